"""The rows of bench_tasks.py: read, written, split and cut. Both environments import this; it needs nothing else.

A row is a dictionary with at least a `text`, which alone decides on which side of the split it falls. A new format is
one entry in FORMATS.
"""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

from role_rows import read_sentences, write_sentences

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


def _read_conll(path: Path) -> list[dict]:
    """A row for each sentence: `tokens` (first column), `tags` (last column), and the tokens with spaces as `text`."""
    sentences: list[list[list[str]]] = [[]]
    with open(path, newline="\n", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                sentences[-1].append(line.strip("\r\n").split("\t") if "\t" in line else line.split())
            elif sentences[-1]:
                sentences.append([])
    rows = []
    for words in filter(None, sentences):
        tokens = [columns[0] for columns in words]
        rows.append({"text": " ".join(tokens), "tokens": tokens, "tags": [columns[-1] for columns in words]})
    return rows


def _write_conll(path: Path, rows: list[dict]) -> None:
    with open(path, "w", newline="\n", encoding="utf-8") as file:
        for row in rows:
            file.writelines(f"{token}\t{tag}\n" for token, tag in zip(row["tokens"], row["tags"], strict=True))
            file.write("\n")


def _read_squad(path: Path) -> list[dict]:
    """A row for each question of SQuAD's JSON: `id`, `question`, `answers`, and its context as `text`."""
    return [
        {"text": paragraph["context"], **asked}
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    ]


def _write_squad(path: Path, rows: list[dict]) -> None:
    """One article, with the questions of a context together."""
    asked: dict[str, list[dict]] = {}
    for row in rows:
        asked.setdefault(row["text"], []).append({name: value for name, value in row.items() if name != "text"})
    paragraphs = [{"context": context, "qas": questions} for context, questions in asked.items()]
    whole = {"version": "1.1", "data": [{"title": path.stem, "paragraphs": paragraphs}]}
    path.write_text(json.dumps(whole), encoding="utf-8")


def _read_lines(path: Path) -> list[dict]:
    return [{"text": line} for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(f"{row['text']}\n" for row in rows), encoding="utf-8")


FORMATS = {
    ".txt": (_read_lines, _write_lines),
    ".csv": (_read_csv, _write_csv),
    ".jsonl": (_read_jsonl, _write_jsonl),
    ".conll": (_read_conll, _write_conll),
    ".json": (_read_squad, _write_squad),
    ".conllu": (read_sentences, write_sentences),
}


def read_rows(path: Path) -> list[dict]:
    """The rows of a file; its suffix tells the format."""
    return FORMATS[path.suffix][0](path)


def write_rows(path: Path, rows: list[dict]) -> None:
    """Writes rows, at least one, in the format of the file's suffix."""
    FORMATS[path.suffix][1](path, rows)


def count(rows: list[dict]) -> int:
    """How many rows kerasft makes of them: one for each predicate of a sentence, else one each."""
    return sum(len(row.get("predicates", (1,))) for row in rows)


def draw(text: str) -> float:
    """A number in [0, 1) that depends on a text alone."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split(rows: list[dict]) -> tuple[list[dict], list[dict]]:
    """Training and held-out rows; rows of the same text (of one premise, or one context) stay together."""
    return (
        [row for row in rows if draw(row["text"]) >= HELD_OUT],
        [row for row in rows if draw(row["text"]) < HELD_OUT],
    )


def labels_of(row: dict) -> list[str]:
    """The row's labels: none, one or several."""
    if "tags" in row:
        return sorted({tag.partition("-")[2] for tag in row["tags"] if tag != "O"})
    if "roles" in row:
        return sorted(set(row["roles"].values()))
    return row["labels"] if "labels" in row else [row["label"]] if "label" in row else []


def known(train: list[dict], held_out: list[dict]) -> list[dict]:
    """The held-out rows less those with a label that no training row has, which kerasft refuses."""
    labels = {label for row in train for label in labels_of(row)}
    return [row for row in held_out if labels.issuperset(labels_of(row))]


def cut(train: list[dict], held_out: list[dict], most: tuple[int, int]) -> tuple[list[dict], list[dict]]:
    """At most so many rows of each, less the rows with a label that too few of these training texts have.

    They are drawn by a hash of their text, and of the question where there is one: some questions of every context,
    not all questions of a few.
    """
    train, held_out = (
        sorted(rows, key=lambda row: draw(row["text"] + row.get("question", "")))[:limit]
        for rows, limit in zip((train, held_out), most, strict=True)
    )
    while True:
        texts = Counter(label for _, label in {(row["text"], label) for row in train for label in labels_of(row)})
        common = {label for label, count in texts.items() if count >= FEWEST_TEXTS}
        kept, held_out = ([row for row in rows if common.issuperset(labels_of(row))] for rows in (train, held_out))
        if len(kept) == len(train):
            return kept, held_out
        train = kept  # a row with several labels has gone: another of them may be rare now
