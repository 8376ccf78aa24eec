"""Every text of the shared development data, whatever the format of its file."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

needs_shared_data = pytest.mark.skipif(not DATA.is_dir(), reason="the development data, ../shared/data, is not here")


def shared_texts(root: Path = DATA) -> list[str]:
    """Each distinct text once."""
    return list(dict.fromkeys(text for path in sorted(root.rglob("*.*")) for text in texts_of(path)))


def texts_of(path: Path) -> Iterator[str]:
    """The texts of one file."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            for row in csv.reader(file):
                yield from row
        elif path.suffix == ".json":
            yield from _strings(json.load(file))
        elif path.suffix == ".jsonl":
            for line in file:
                yield from _strings(json.loads(line))
        elif path.suffix.startswith(".conll"):
            for sentence in file.read().split("\n\n"):
                yield " ".join(line.split()[0] for line in sentence.splitlines() if line.split())
                yield sentence
        else:
            yield from file.read().split("\n")


def _strings(value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
