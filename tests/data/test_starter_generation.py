"""The starter data of the generation tasks: whole rows, none twice, and programs that pass their own tests."""

import csv
import json
from pathlib import Path

import pytest

import kerasft
from kerasft.evaluation.run_code import run_program

STARTER = Path(kerasft.__file__).parent / "starter"
PAIRS = {
    "text-generation.csv": ("prompt", "completion"),
    "summarization.csv": ("source", "target"),
    "translation.csv": ("source", "target"),
}


def rows_of(name: str) -> list[dict]:
    with open(STARTER / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)) if name.endswith(".csv") else [json.loads(line) for line in file]


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_whole_and_there_once(name):
    rows = rows_of(name)
    assert len(rows) >= 100
    assert all(tuple(row) == PAIRS[name] for row in rows)
    assert all(text and text == text.strip() for row in rows for text in row.values())
    for column in PAIRS[name]:
        assert len({row[column] for row in rows}) == len(rows)


def test_summaries_are_shorter():
    assert all(len(row["target"]) < len(row["source"]) / 2 for row in rows_of("summarization.csv"))


def test_in_a_dialogue_the_reply_has_the_last_word():
    rows = rows_of("dialogue.jsonl")
    assert len(rows) >= 100
    assert all(len(row["turns"]) % 2 == 0 for row in rows)
    assert all(turn and turn == turn.strip() for row in rows for turn in row["turns"])
    assert any(len(row["turns"]) > 2 for row in rows)
    assert len({tuple(row["turns"]) for row in rows}) == len(rows)


def test_every_program_passes_its_tests():
    rows = rows_of("code-generation.jsonl")
    assert len(rows) >= 100
    assert len({row["prompt"] for row in rows}) == len(rows)
    for row in rows:
        assert row["code"].endswith("\n")
        assert "assert" in row["test"]
        # Our own programs: no fence is needed, and a process each would take a minute.
        exec(compile(row["code"] + row["test"], row["prompt"], "exec"), {})


@pytest.mark.parametrize("place", [0, 50, -1])
def test_a_program_passes_in_its_fence_and_not_without_its_code(place):
    row = rows_of("code-generation.jsonl")[place]
    assert run_program(row["code"], row["test"]).verdict == "passed"
    assert run_program("", row["test"]).verdict == "failed"
