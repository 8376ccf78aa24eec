"""Columns of whole numbers: read from every kind of source, and refused with the row where they are none."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kerasft.data.columns import Cell
from kerasft.data.plain import whole_number
from kerasft.data.read import read_rows
from kerasft.errors import KerasftError


def read(source, **more):
    arguments = {"text_columns": ("text",), "number_columns": ("place",), "label_column": None, "task_name": "t"}
    return read_rows(source, **{**arguments, **more})


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0", 0),
        ("-3", -3),
        ("+7", 7),
        ("007", 7),
        ("12.0", 12),
        ("12.", 12),
        ("2147483647", 2**31 - 1),
        ("-2147483648", -(2**31)),
        ("0" * 5000, 0),
    ],
)
def test_whole_numbers(value, number):
    assert whole_number(value) == number


@pytest.mark.parametrize(
    "value",
    ["", "x", "1.5", "1e3", "1_000", "1,000", "- 3", "true", "\u0663", "2147483648", "-2147483649", "9" * 5000, "0x10"],
)
def test_what_is_no_whole_number(value):
    assert whole_number(value) is None


def test_every_kind_of_source_gives_the_same_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("text,place\nso,3\nno, 0 \n")
    (tmp_path / "b.csv").write_text("text,place\nso,3.0\nno,0.0\n")
    (tmp_path / "c.jsonl").write_text('{"text": "so", "place": 3}\n{"text": "no", "place": "0"}\n')
    pq.write_table(pa.table({"text": ["so", "no"], "place": [3, 0]}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"text": ["so", "no"], "place": [3.0, 0.0]}), tmp_path / "e.parquet")
    sources = [*sorted(tmp_path.iterdir()), [{"text": "so", "place": 3}, {"text": "no", "place": 0.0}]]
    for source in sources:
        assert [whole_number(value) for value in read(source).rows.column("place")] == [3, 0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "the place '1.5' is not a whole number"),
        ("two", "the place 'two' is not a whole number"),
        (True, "the place 'true' is not a whole number"),
        (None, "the place is missing"),
        ("", "the place is empty"),
        (2**31, "the place '2147483648' is not a whole number"),
        ([3], "the place is a list"),
        (13, "13 is unlucky"),
    ],
)
def test_a_faulty_number_is_told_with_its_row_or_skipped(tmp_path, value, reason):
    cells = {"place": Cell(fault=lambda value, texts: "13 is unlucky" if value == "13" else None, mend="Take 12.")}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "so", "place": 1}) + "\n" + json.dumps({"text": "no", "place": value}) + "\n")
    with pytest.raises(KerasftError, match=rf"rows.jsonl line 2: {reason}.*--on-bad-row skip"):
        read(path, cells=cells)
    skipped = read(path, cells=cells, on_bad_row="skip").skipped
    assert [reason in one.reason for one in skipped] == [True]


def test_a_faulty_text_is_told_before_its_number():
    with pytest.raises(KerasftError, match="row 1: the text is empty"):
        read([{"place": "x", "text": ""}])


def test_a_column_of_numbers_is_never_guessed():
    rows = [{"text": "so it goes on and on", "other": 3}]
    with pytest.raises(KerasftError, match=r"needs a column 'place'.*'text', 'other'.*--set place_column=other"):
        read(rows)
    assert read(rows, columns={"place": "other"}).rows.column("place") == ["3"]
