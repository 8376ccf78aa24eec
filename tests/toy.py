"""Words, rows and phases of the toy that the tests train."""

import csv
import random
from pathlib import Path

GOOD = ["good", "fine", "lovely", "warm", "bright", "clever", "funny", "great", "joyful", "brilliant"]
BAD = ["bad", "poor", "dull", "cold", "grim", "stupid", "tedious", "awful", "joyless", "dreadful"]
OTHER = [
    "a",
    "the",
    "this",
    "that",
    "film",
    "story",
    "plot",
    "cast",
    "scene",
    "and",
    "but",
    "with",
    "very",
    "quite",
    "rather",
    "it",
    "is",
    "was",
    "of",
    "in",
]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-[]<>|/"]
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *GOOD,
    *BAD,
    *OTHER[1:],
    *LETTERS,
    *("##" + letter for letter in LETTERS),
]


def toy_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows that a toy can learn: the label is told by one word among others."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = ("negative", "positive")[number % 2]
        words = [draw.choice(OTHER) for _ in range(draw.randint(2, 9))]
        words.insert(draw.randint(0, len(words)), draw.choice(GOOD if label == "positive" else BAD))
        rows.append({"text": " ".join(words) + f" {number}", "label": label})
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as a CSV file with a header."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


TOY_PHASES = [
    {"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2},
    {"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3},
    {"unfrozen": "all", "epochs": 3, "learning_rate": 5e-3},
]
