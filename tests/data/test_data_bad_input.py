"""Each kind of bad input: one line with the file, the row or byte, and the mend; never Arrow's own words."""

import gzip
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kerasft.data.read import Skipped, read_rows
from kerasft.errors import KerasftError


def read(source, **changes):
    arguments = {"text_columns": ("text",), "label_column": "label", "task_name": "sentiment"}
    return read_rows(source, **(arguments | changes))


def message(source, **changes):
    with pytest.raises(KerasftError) as caught:
        read(source, **changes)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


GOOD = b"text,label\ngood film,p\nbad film,n\n"
ONE = b'{"text": "a", "label": "b"}\n'

# name, content, the message
FATAL = [
    ("a.csv", b"", "a.csv is empty (0 bytes): it needs a header line and rows."),
    ("a.jsonl", b"", "a.jsonl is empty (0 bytes): it needs a header line and rows."),
    ("a.csv", b" \n\n", "a.csv is empty (only white space): it needs a header line and rows."),
    ("a.csv", b"text,label\n", "a.csv has a header ('text', 'label') but no rows: add rows below it."),
    ("a.csv", b"text,label", "a.csv has a header ('text', 'label') but no rows: add rows below it."),
    ("a.csv", b"text,label\n\n\r\n", "a.csv has a header ('text', 'label') but no rows: add rows below it."),
    ("a.jsonl", b"\n \n", 'a.jsonl has no rows: it needs one object per row, such as {"text": "..."}.'),
    ("a.json", b"[]", 'a.json has no rows: it needs one object per row, such as {"text": "..."}.'),
    (
        "a.csv",
        b"opinion,id,label\nx,1,p\n",
        "Task 'sentiment' needs a column 'text'; a.csv has 'opinion', 'id', 'label'. "
        "Pass --set text_column=opinion or --set text_column=id.",
    ),
    (
        "a.csv",
        b"A dull and joyless film indeed.,0.5\nGreat.,1\n",
        "Task 'sentiment' needs a column 'text'; a.csv has 'A dull and joyless film indeed.', '0.5'. "
        "The first line must name the columns: add such a line, as in text,label.",
    ),
    (
        "a.csv",
        b"text,text,label\na,b,c\n",
        "a.csv has two columns 'text' (columns 1, 2): rename or remove one of them.",
    ),
    (
        "a.csv",
        GOOD.replace(b"bad", b"caf\xe9"),
        "a.csv is not UTF-8: byte 0xe9 at offset 26 (line 3). If it is Western European text, convert it: "
        "iconv -f WINDOWS-1252 -t UTF-8 < a.csv > utf8-a.csv",
    ),
    (
        "a.csv",
        GOOD.replace(b"good", "Čau".encode()).replace(b"bad", b"\xff"),
        "a.csv is not UTF-8: byte 0xff at offset 23 (line 3). The text before it is UTF-8: repair that line, "
        "or leave it out with --on-bad-row skip.",
    ),
    (
        "a.csv",
        GOOD.decode().encode("utf-16"),
        "a.csv is text in UTF-16, expected UTF-8: convert it: iconv -f UTF-16 -t UTF-8 < a.csv > utf8-a.csv",
    ),
    (
        "a.csv",
        GOOD.decode().encode("utf-16-le"),
        "a.csv looks like text in UTF-16LE, expected UTF-8: "
        "convert it: iconv -f UTF-16LE -t UTF-8 < a.csv > utf8-a.csv",
    ),
    (
        "a.csv",
        GOOD.replace(b"bad", b"b\0d") + b"more rows,p\n" * 50,
        "a.csv line 3 has a NUL character (byte 24), which text files do not have. "
        "Remove it: tr -d '\\000' < a.csv > clean-a.csv",
    ),
    (
        "a.csv",
        bytes(range(8)) * 100,
        "a.csv is a binary file (NUL at byte 0), expected text: pass CSV, TSV, JSONL or Parquet.",
    ),
    ("a.csv", gzip.compress(GOOD, mtime=0), "a.csv is compressed with gzip: give its name the ending .gz."),
    ("a.csv", b"\x89PNG\r\n\x1a\n....", "a.csv is a PNG image: pass a file of texts."),
    ("a.csv", b"%PDF-1.7\n....", "a.csv is a PDF document: pass a file of texts."),
    ("a.csv", b"\x80\x04\x95.....", "a.csv is a Python pickle: write it as Parquet or CSV."),
    ("a.csv", b"PAR1....PAR1", "a.csv is a Parquet file: give it the ending .parquet."),
    (
        "a.csv",
        b"<!DOCTYPE html><html>",
        "a.csv is a web page (HTML), as failed downloads leave it: fetch the data again.",
    ),
    (
        "a.csv",
        b"version https://git-lfs.github.com/spec/v1\n",
        "a.csv is a Git LFS pointer, not the data itself: run git lfs pull.",
    ),
    (
        "a.txt",
        GOOD,
        "a.txt has an unknown ending, expected .csv, .tsv, .jsonl, .ndjson, .json, .parquet "
        "(all but .parquet also with .gz): rename it.",
    ),
    ("a.csv.gz", GOOD, "a.csv.gz is not compressed with gzip, though its ending is .gz: rename it."),
    (
        "a.csv.gz",
        gzip.compress(GOOD, mtime=0)[:-9],
        "a.csv.gz is a gzip file that is damaged or cut short: copy it again.",
    ),
    ("a.parquet", GOOD, "a.parquet is not a Parquet file (it does not begin with PAR1): check its ending."),
    ("a.parquet", b"PAR1abc", "a.parquet is a Parquet file that was cut short: write or copy it again."),
    ("a.parquet", b"PAR1" + b"x" * 50 + b"PAR1", "a.parquet is a damaged Parquet file: write or copy it again."),
    (
        "a.json",
        b'[{"text": "a"},\n {"text": }]',
        "a.json line 2, column 11: not JSON, though the file begins as a JSON array. "
        "Repair it, or write one JSON object per line.",
    ),
    (
        "a.json",
        b'{"version": 1, "data": [{"text": "a"}]}',
        "a.json is one JSON object with 'version', 'data'; expected a list of objects, or one object per line: "
        "write a row for each text.",
    ),
    (
        "a.csv",
        b'text,label\n"good,p\nbad,n\n',
        "a.csv row 1 (line 2): a quote is opened and never closed. "
        "Close it, or double each quote inside a quoted value, or pass --on-bad-row skip.",
    ),
]


@pytest.mark.parametrize(("name", "content", "expected"), FATAL)
def test_faults_of_the_file(tmp_path, monkeypatch, name, content, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert message(name) == expected


# name, rows with one bad one, where, why, the mend
BAD_ROWS = [
    ("a.csv", GOOD + b"a,b,c\nmore,p\n", "row 3 (line 4)", "expected 2 columns, found 3", 'Put "quotes" around values'),
    ("a.csv", GOOD + b"\nalone\nmore,p\n", "row 3 (line 5)", "expected 2 columns, found 1", "Complete the row"),
    ("a.csv", b'text,label\n"g\nh",p\n,n\n', "row 2 (line 4)", "the text is empty", "Fill it in or remove the row"),
    ("a.csv", GOOD + ' \u3000 ,p\n'.encode(), "row 3 (line 4)", "the text is blank (only white space)", "Fill it in"),
    ("a.csv", GOOD + b"fine,\n", "row 3 (line 4)", "the label is empty", "Fill it in"),
    ("a.tsv", GOOD.replace(b",", b"\t") + b"x\ty\tz\n", "row 3 (line 4)", "expected 2 columns, found 3", "tab"),
    ("a.csv", GOOD + b'more,"p\nlast,n\n', "row 3 (line 4)", "a quote is opened and never closed", "Close it"),
    ("a.jsonl", ONE + b'\n{"text": "c"\n', "line 3", "not JSON: it breaks off at column 13", "one"),
    ("a.jsonl", ONE + b"{'text'}\n", "line 2", "not JSON: unexpected \"'text'}\" at column 2", ""),
    ("a.jsonl", ONE + b'["c"]\n', "line 2", "expected an object, found a list", "Write each row as"),
    ("a.jsonl", ONE + b'{"text": null, "label": 1}\n', "line 2", "the text is missing", "Fill it in"),
    ("a.jsonl", ONE + b'{"text": "c"}\n', "line 2", "the label is missing", "Fill it in"),
    ("a.jsonl", ONE + b'{"text": "c", "label": NaN}\n', "line 2", "the label is missing", "Fill"),
    ("a.jsonl", ONE + b'{"text": ["c"], "label": 1}\n', "line 2", "the text is a list, expected one text", ""),
    (
        "a.jsonl",
        ONE + b'{"text": "\\ud800", "label": 1}\n',
        "line 2",
        "the text has half of a surrogate pair (\\ud800 to \\udfff)",
        "Repair the text",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "where", "why", "mend"), BAD_ROWS)
def test_faults_of_a_row(tmp_path, name, content, where, why, mend):
    path = tmp_path / name
    path.write_bytes(content)
    text = message(path)
    assert text.startswith(f"{name} {where}: {why}. {mend}") or mend in text
    assert f"{name} {where}: {why}. " in text
    assert text.endswith("or pass --on-bad-row skip.")

    got = read(path, on_bad_row="skip")
    assert got.skipped == (Skipped(f"{name} {where}", why),)
    total = len(got.rows) + 1
    assert got.notes[-1] == f"1 of {total} rows are bad and were left out."
    assert all(text.strip() and label for text, label in zip(*map(got.rows.column, ("text", "label")), strict=True))


def test_row_numbers_after_skipped_rows(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\n1,x\nragged\n,x\n4,x\n\n5,\n6,x\n")
    got = read(tmp_path / "a.csv", on_bad_row="skip")
    assert [got.rows.place(i) for i in range(3)] == ["a.csv row 1", "a.csv row 4", "a.csv row 6"]
    assert [skipped.place for skipped in got.skipped] == [
        "a.csv row 2 (line 3)",
        "a.csv row 3 (line 4)",
        "a.csv row 5 (line 7)",
    ]
    assert message(tmp_path / "a.csv").endswith(" 2 more of its rows are bad.")


def test_undecodable_rows_can_be_skipped(tmp_path):
    (tmp_path / "a.csv").write_bytes(GOOD.replace(b"bad", b"b\xe9d"))
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "\xe9", "label": "p"}\n{"text": "c", "label": "p"}\n')
    got = read(tmp_path, on_bad_row="skip")
    assert got.rows.column("text") == ["good film", "c"]
    assert got.skipped == (
        Skipped("a.csv row 2 (line 3)", "the text is not UTF-8"),
        Skipped("b.jsonl line 1", "the line is not UTF-8"),
    )


def test_all_rows_bad(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\n,p\n,n\n")
    assert message(tmp_path / "a.csv", on_bad_row="skip") == (
        "No row of a.csv can be used: all 2 are bad. The first: a.csv row 1 (line 2): the text is empty."
    )


def test_missing_values_of_parquet_and_frames(tmp_path):
    pq.write_table(pa.table({"text": ["a", None], "label": [1.0, 2.0]}), tmp_path / "a.parquet")
    assert message(tmp_path / "a.parquet").startswith("a.parquet row 2: the text is missing. Fill it in")
    assert message([{"text": "a", "label": float("nan")}]).startswith("the data row 1: the label is missing.")


def test_nested_parquet_column():
    assert message(pa.table({"text": ["a"], "label": [["x"]]})) == (
        "the data column 'label' holds list<item: string>, expected one text per row: write it as strings."
    )


def test_binary_parquet_column_that_is_no_text():
    assert "bytes that are not UTF-8" in message(pa.table({"text": [b"\xff"], "label": ["x"]}))


def test_excel(tmp_path):
    for name in ("a.csv", "a.xlsx"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("[Content_Types].xml", "<Types/>")
            archive.writestr("xl/workbook.xml", "<workbook/>")
        assert message(tmp_path / name) == f"{name} is an Excel workbook: save it as CSV (UTF-8) and pass that."
    with zipfile.ZipFile(tmp_path / "b.csv", "w") as archive:
        archive.writestr("a.csv", "text")
    assert message(tmp_path / "b.csv") == "b.csv is a zip archive: unpack it and pass the files."


def test_file_not_found(tmp_path):
    (tmp_path / "reviews.csv").write_bytes(GOOD)
    path = tmp_path / "review.csv"
    assert message(path) == f'There is no file {path}. Did you mean "{tmp_path / "reviews.csv"}"?'
    path = tmp_path / "q"
    assert message(path) == f"There is no file {path}; the folder {tmp_path} has reviews.csv. Check the path."
    path = tmp_path / "no" / "a.csv"
    assert message(path) == f"There is no file {path}: the folder {tmp_path / 'no'} does not exist."
    assert message(f"{tmp_path}/*.tsv").startswith(f"No file matches {tmp_path}/*.tsv.")


def test_folders(tmp_path):
    assert message(tmp_path).startswith(f"The folder {tmp_path} has no data files: put .csv")
    (tmp_path / "train").mkdir()
    assert message(tmp_path) == f"The folder {tmp_path} has no data files: pass one of its folders: train."
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "notes.md").write_bytes(b"x")
    assert message(tmp_path) == (
        f"{tmp_path} has files that are not data: notes.md. "
        f"Move them away or pass a pattern such as '{tmp_path}/*.csv'."
    )


def test_told_column_that_is_not_there(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"review,label\na,b\n")
    assert message(tmp_path / "a.csv", columns={"text": "reviw"}) == (
        'text_column=reviw names no column of a.csv. Did you mean "review"?'
    )


def test_mend_where_nothing_can_be_set():
    assert message([{"opinion": "x", "label": "y", "z": "w"}], can_set=False).endswith(
        "Rename the right one to 'text'."
    )


@pytest.mark.parametrize("source", [[], {"text": ["a"]}, 3, ["a.csv", {"text": "b"}]])
def test_not_a_source(source):
    assert message(source)


def test_unknown_on_bad_row():
    assert message([{"text": "a", "label": "b"}], on_bad_row="skp") == 'on_bad_row=skp is unknown. Did you mean "skip"?'


def test_many_lines_after_a_stray_quote_in_a_large_file(tmp_path):
    rows = b"".join(b"row %d,p\n" % i for i in range(600_000))
    (tmp_path / "a.csv").write_bytes(b'text,label\n"stray,p\n' + rows)
    assert message(tmp_path / "a.csv").startswith("a.csv row 1 (line 2): a quote is opened and never closed.")


def test_deeply_nested_json_is_a_fault_of_its_line(tmp_path):
    lines = [json.dumps({"text": "a", "label": "b"}), "[" * 200_000]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert message(tmp_path / "a.jsonl").startswith("a.jsonl line 2: ")
