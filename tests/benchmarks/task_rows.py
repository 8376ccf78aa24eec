"""The rows of bench_tasks.py: read, written, split and cut. Both environments import this; it needs nothing else.

A row is a dictionary with at least a `text`, which alone decides on which side of the split it falls. A new format is
one entry in FORMATS.
"""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

HELD_OUT = 0.15
FEWEST_TEXTS = 5  # of a label, in a trial of few rows: kerasft refuses to learn a rarer one


def _read_csv(path: Path) -> list[dict]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write_csv(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _read_jsonl(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def _write_jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


FORMATS = {".csv": (_read_csv, _write_csv), ".jsonl": (_read_jsonl, _write_jsonl)}


def read_rows(path: Path) -> list[dict]:
    """The rows of a file; its suffix tells the format."""
    return FORMATS[path.suffix][0](path)


def write_rows(path: Path, rows: list[dict]) -> None:
    """Writes rows, at least one, in the format of the file's suffix."""
    FORMATS[path.suffix][1](path, rows)


def draw(row: dict) -> float:
    """A number in [0, 1) that depends on the row's text alone."""
    digest = hashlib.blake2b(row["text"].encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """Training and held-out rows; rows of the same text (or of one premise) stay together."""
    return [row for row in rows if draw(row) >= HELD_OUT], [row for row in rows if draw(row) < HELD_OUT]


def labels_of(row: dict) -> list[str]:
    """The row's labels: none, one or several."""
    return row["labels"] if "labels" in row else [row["label"]] if "label" in row else []


def cut(train: list[dict], held_out: list[dict], limit: int) -> tuple[list[dict], list[dict]]:
    """At most `limit` rows of each, less the rows with a label that too few of these training texts have."""
    train, held_out = sorted(train, key=draw)[:limit], sorted(held_out, key=draw)[:limit]
    while True:
        texts = Counter(label for _, label in {(row["text"], label) for row in train for label in labels_of(row)})
        common = {label for label, count in texts.items() if count >= FEWEST_TEXTS}
        kept, held_out = ([row for row in rows if common.issuperset(labels_of(row))] for rows in (train, held_out))
        if len(kept) == len(train):
            return kept, held_out
        train = kept  # a row with several labels has gone: another of them may be rare now
