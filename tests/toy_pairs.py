"""Pairs that a toy can learn: two texts with the same rare words, among words that say nothing."""

import random

from tests.toy import BAD, GOOD, OTHER


def toy_pairs(count: int, seed: int = 0, negatives: bool = False) -> list[dict[str, str]]:
    """Rows `text`, `text_pair` and perhaps `negative`; no two pairs have the same rare words."""
    draw, rows, seen = random.Random(seed), [], set()
    while len(rows) < count:
        rare = tuple(sorted(draw.sample([*GOOD, *BAD], 3)))
        if rare in seen:
            continue
        seen.add(rare)
        row = {"text": _mixed(draw, rare), "text_pair": _mixed(draw, rare)}
        if negatives:
            row["negative"] = _mixed(draw, (*rare[:2], draw.choice(OTHER)))
        rows.append(row)
    return rows


def _mixed(draw: random.Random, words) -> str:
    mixed = [*words, *draw.sample(OTHER, draw.randint(1, 5))]
    draw.shuffle(mixed)
    return " ".join(mixed)
