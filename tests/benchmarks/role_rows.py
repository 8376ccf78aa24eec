"""Semantic roles for bench_tasks.py: sentences of CoNLL-U Plus with PropBank columns, and two guesses without a model.

Written a second time on purpose, apart from kerasft's own reader: both must find the same roles. Both environments
import this; it needs nothing else.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

Roles = dict[tuple[int, int], str]
"""(predicate, word) -> role, both as places among the words of a sentence."""

NOUNS = ("NOUN", "PRON", "PROPN")
_NONE = ("", "_")


def read_sentences(path: Path) -> list[dict]:
    """Each sentence with a predicate: its `text` and `lines`, the `predicates`, `nouns` and `roles` of its words."""
    rows = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        lines = block.strip("\n").split("\n")
        words = [line.split("\t") for line in lines if line.partition("\t")[0].isdecimal()]
        predicates = [place for place, cells in enumerate(words) if len(cells) > 10 and cells[10] not in _NONE]
        roles: Roles = {
            (predicate, place): cells[11 + number]
            for number, predicate in enumerate(predicates)
            for place, cells in enumerate(words)
            if cells[11 + number] not in (*_NONE, "V")
        }
        if predicates:
            text = next((line[9:] for line in lines if line.startswith("# text = ")), " ".join(w[1] for w in words))
            nouns = [place for place, cells in enumerate(words) if cells[3] in NOUNS]
            rows.append({"text": text, "lines": lines, "predicates": predicates, "nouns": nouns, "roles": roles})
    return rows


def write_sentences(path: Path, rows: list[dict]) -> None:
    path.write_text("".join("\n".join(row["lines"]) + "\n\n" for row in rows), encoding="utf-8")


def neighbours(row: dict, predicate: int) -> tuple[int | None, int | None]:
    """The nouns nearest to a predicate, on its left and on its right."""
    left = [noun for noun in row["nouns"] if noun < predicate]
    right = [noun for noun in row["nouns"] if noun > predicate]
    return (left[-1] if left else None), (right[0] if right else None)


def guessed(row: dict, left: str, right: str) -> Roles:
    """The nearest noun on each side of each predicate with a fixed role."""
    found: Roles = {}
    for predicate in row["predicates"]:
        for noun, role in zip(neighbours(row, predicate), (left, right), strict=True):
            if noun is not None:
                found[predicate, noun] = role
    return found


def f1(rows: Sequence[dict], guess: Callable[[dict], Roles]) -> float:
    """Of all roles pooled; a role is right when its word and its label are."""
    true = given = right = 0
    for row in rows:
        found = guess(row)
        true, given = true + len(row["roles"]), given + len(found)
        right += len(row["roles"].items() & found.items())
    return 2 * right / max(true + given, 1)


def baselines(train: Sequence[dict], held_out: Sequence[dict]) -> dict[str, float]:
    """Argument F1 without learning: both guess the nouns nearest to the predicate, one on each side.

    Returns:
        `majority_f1`, with the role that is most frequent in the training rows on either side; `nearest_noun_f1`, with
        ARG0 on the left and ARG1 on the right (or A0 and A1, as the data call them).
    """
    counts = Counter(role for row in train for role in row["roles"].values())
    most = counts.most_common(1)[0][0]
    agent, patient = ("ARG0", "ARG1") if "ARG0" in counts else ("A0", "A1")
    return {
        "majority_f1": f1(held_out, lambda row: guessed(row, most, most)),
        "nearest_noun_f1": f1(held_out, lambda row: guessed(row, agent, patient)),
    }
