"""Rows of semantic role labelling that a toy can learn: which of two words is meant."""

import random

from tests.toy import BAD, GOOD, OTHER


def judged(count, seed=0):
    """Texts with a good and a bad word; the one that is meant is its own and only role."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        words = [draw.choice(OTHER) for _ in range(draw.randint(1, 5))]
        for word in (draw.choice(GOOD), draw.choice(BAD)):
            words.insert(draw.randint(0, len(words)), word)
        meant, label = draw.choice([(GOOD, "A0"), (BAD, "A1")])
        number = next(number for number, word in enumerate(words) if word in meant)
        start = len(" ".join([*words[:number], ""]))
        roles = [[start, start + len(words[number]), label]]
        rows.append({"text": " ".join(words), "predicate": start + draw.randint(0, 2), "roles": roles})
    return rows
