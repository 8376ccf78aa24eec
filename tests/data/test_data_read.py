"""Every kind of source gives the same rows, and columns are found or guessed only where no doubt is left."""

import csv
import gzip
import io
import json
import os
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kerasft.data.read import read_rows
from kerasft.errors import KerasftError

ROWS = [("A joyless film.", "negative"), ('He said "yes",\nthen left.', "positive"), (" Čau, 世界 👩‍👩‍👧 ", "positive")]


def read(source, **changes):
    arguments = {"text_columns": ("text",), "label_column": "label", "task_name": "sentiment"}
    return read_rows(source, **(arguments | changes))


def as_pairs(rows):
    return list(zip(rows.column("text"), rows.column("label"), strict=True))


def csv_bytes(rows=ROWS, header=("text", "label"), delimiter=",", end="\r\n"):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerows([header, *rows])
    return file.getvalue().encode()


def json_lines(rows=ROWS):
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()


def write(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


FILES = {
    "crlf.csv": csv_bytes(),
    "lf.csv": csv_bytes(end="\n"),
    "bom.csv": b"\xef\xbb\xbf" + csv_bytes(),
    "semicolon.csv": csv_bytes(delimiter=";"),
    "tab.csv": csv_bytes(delimiter="\t"),
    "a.tsv": csv_bytes(delimiter="\t"),
    "a.csv.gz": gzip.compress(csv_bytes()),
    "a.jsonl": json_lines(),
    "bom.jsonl": b"\xef\xbb\xbf" + json_lines(),
    "blank-lines.ndjson": json_lines().replace(b"\n", b"\r\n\r\n"),
    "lines.json": json_lines(),
    "array.json": json.dumps([{"text": t, "label": c} for t, c in ROWS], indent=1, ensure_ascii=False).encode(),
    "a.jsonl.gz": gzip.compress(json_lines()),
    "UPPER.CSV": csv_bytes(),
}


@pytest.mark.parametrize("name", FILES)
def test_formats(tmp_path, name):
    got = read(write(tmp_path, name, FILES[name]))
    assert as_pairs(got.rows) == ROWS
    assert got.skipped == ()
    assert got.rows.place(2).startswith(f"{name} ")


def test_delimiter_is_said(tmp_path):
    assert read(write(tmp_path, "a.csv", csv_bytes(delimiter=";"))).notes == (
        "a.csv: values are separated by a semicolon.",
    )
    assert read(write(tmp_path, "b.csv", csv_bytes())).notes == ()


def test_parquet_and_table(tmp_path):
    table = pa.table({"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS], "n": [1, 2, 3]})
    pq.write_table(table, tmp_path / "a.parquet")
    from_file, in_memory = read(tmp_path / "a.parquet").rows, read(table).rows
    assert as_pairs(from_file) == as_pairs(in_memory) == ROWS
    assert (from_file.place(2), in_memory.place(2)) == ("a.parquet row 3", "the data row 3")


def test_dictionary_column():
    table = pa.table({"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]})
    table = table.set_column(1, "label", table.column("label").dictionary_encode())
    assert as_pairs(read(table).rows) == ROWS


def test_mappings_and_frames():
    records = [{"text": text, "label": label, "extra": [1]} for text, label in ROWS]

    class Frame:
        def to_dict(self, orient):
            assert orient == "records"
            return records

    assert as_pairs(read(records).rows) == as_pairs(read(Frame()).rows) == ROWS


@pytest.mark.parametrize(
    "content", [csv_bytes(), json_lines(), csv_bytes(delimiter="\t"), gzip.compress(csv_bytes(), mtime=0)]
)
def test_standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    rows = read("-").rows
    assert as_pairs(rows) == ROWS
    assert rows.place(0) in ("standard input row 1", "standard input line 1")


def test_parquet_on_standard_input(monkeypatch):
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"], "label": ["b"]}), file)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.getvalue())))
    assert as_pairs(read("-").rows) == [("a", "b")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(json_lines(),))
    writer.start()
    assert as_pairs(read(tmp_path / "pipe").rows) == ROWS
    writer.join()


def test_folder_glob_and_list(tmp_path):
    write(tmp_path, "b.jsonl", json_lines(ROWS[1:]))
    write(tmp_path, "a.csv", csv_bytes(ROWS[:1]))
    write(tmp_path, ".hidden.bin", b"\0")
    (tmp_path / "more").mkdir()
    folder = read(tmp_path)
    assert as_pairs(folder.rows) == ROWS
    assert [folder.rows.place(i) for i in range(3)] == ["a.csv row 1", "b.jsonl line 1", "b.jsonl line 2"]
    assert folder.notes == (f"{tmp_path}: the folders in it are not read (more).",)
    assert as_pairs(read(str(tmp_path / "*.csv")).rows) == ROWS[:1]
    assert as_pairs(read([tmp_path / "b.jsonl", tmp_path / "a.csv"]).rows) == ROWS[1:] + ROWS[:1]


def test_named_twice_is_read_once(tmp_path):
    path = write(tmp_path, "a.csv", csv_bytes())
    got = read([path, tmp_path])
    assert as_pairs(got.rows) == ROWS
    assert got.notes == ("1 of the 2 files were named twice; each is read once.",)


def test_same_names_in_two_folders_show_their_folders(tmp_path):
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder, "a.csv", csv_bytes()))
    assert read(paths).rows.place(3) == f"{paths[1]} row 1"


def test_typed_labels_become_what_a_person_writes(tmp_path):
    labels = [1, 1.0, True, "1 ", 0.5, -3]
    records = [{"text": f"t{i}", "label": label} for i, label in enumerate(labels)]
    assert read(records).rows.column("label") == ["1", "1", "true", "1", "0.5", "-3"]
    for kind, values, expected in (
        (pa.float64(), [1.0, 2.5], ["1", "2.5"]),
        (pa.int8(), [1, -2], ["1", "-2"]),
        (pa.bool_(), [True, False], ["true", "false"]),
    ):
        table = pa.table({"text": ["a", "b"], "label": pa.array(values, kind)})
        assert read(table).rows.column("label") == expected


def test_labels_are_stripped_and_texts_are_not():
    rows = read([{"text": " a ", "label": " x\t"}]).rows
    assert as_pairs(rows) == [(" a ", "x")]


def test_told_columns_win(tmp_path):
    path = write(tmp_path, "a.csv", b"text,body,stars\na,b,1\n")
    got = read(path, columns={"text": "body", "label": "stars"})
    assert (as_pairs(got.rows), got.notes) == ([("b", "1")], ())


def test_synonyms_and_case_are_guessed_and_said(tmp_path):
    got = read(write(tmp_path, "a.csv", b"id, Review ,SENTIMENT\n1,good,p\n"))
    assert as_pairs(got.rows) == [("good", "p")]
    assert got.notes == (
        "a.csv: column ' Review ' is taken as 'text'.",
        "a.csv: column 'SENTIMENT' is taken as 'label'.",
    )
    assert read([{"TEXT": "a", "label": "b"}]).notes == ("the data: column 'TEXT' is taken as 'text'.",)


def test_only_column_of_long_texts_is_guessed():
    rows = [{"id": f"x{i}", "what": "a rather long text of several words", "label": "p"} for i in range(4)]
    got = read(rows)
    assert got.rows.column("text")[0].startswith("a rather")
    assert got.notes == ("the data: column 'what' is taken as 'text', the only one left for it.",)


def test_label_among_two_columns_is_guessed_by_its_values():
    assert set(read([{"text": f"t{i}", "verdict": i % 2} for i in range(8)]).rows.column("label")) == {"0", "1"}
    with pytest.raises(KerasftError, match="label_column=verdict"):
        read([{"text": f"t{i}", "verdict": f"unique {i}"} for i in range(8)])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"review": "a", "comment": "b", "label": "x"},
            "Task 'sentiment' needs a column 'text'; in the data it could be 'review' or 'comment'. "
            "Pass --set text_column=review or --set text_column=comment.",
        ),
        (
            {"Text": "a", "TEXT": "b", "label": "x"},
            "Task 'sentiment' needs a column 'text'; in the data it could be 'Text' or 'TEXT'. "
            "Pass --set text_column=Text or --set text_column=TEXT.",
        ),
        (
            {"a b": "one text that is long enough", "c": "another text that is long enough", "label": "x"},
            "Task 'sentiment' needs a column 'text'; in the data it could be 'a b' or 'c'. "
            "Pass --set 'text_column=a b' or --set text_column=c.",
        ),
        (
            {"text": "a", "stars": 3, "category": "b"},
            "Task 'sentiment' needs a column 'label'; in the data it could be 'stars' or 'category'. "
            "Pass --set label_column=stars or --set label_column=category.",
        ),
    ],
)
def test_no_guess_between_two(record, message):
    with pytest.raises(KerasftError) as caught:
        read([record] * 4)
    assert str(caught.value) == message


def test_predicting_needs_no_label_and_takes_no_label_for_the_text():
    assert read([{"q": "short"}], label_column=None).rows.column("text") == ["short"]
    assert read([{"phrase": "a phrase of some length", "label": "x"}], label_column=None).rows.column("text") == [
        "a phrase of some length"
    ]


def test_optional_label():
    rows = read([{"text": "a", "label": None}, {"text": "b", "label": "x"}], label_optional=True).rows
    assert rows.column("label") == ["", "x"]
    assert read([{"text": "a"}], label_optional=True).rows.table.column_names == ["text"]


def test_two_text_columns():
    got = read([{"premise": "a", "hypothesis": "b", "label": "c"}], text_columns=("premise", "hypothesis"))
    assert got.rows.table.column_names == ["premise", "hypothesis", "label"]


def test_a_row_longer_than_a_block(tmp_path):
    long = "word, " * 1_000_000
    rows = [("a", "x"), (long, "y"), ("b", "x")]
    assert as_pairs(read(write(tmp_path, "a.csv", csv_bytes(rows))).rows) == rows


@pytest.mark.parametrize("end", [b'"', b'"\n', b'" \n', b'\n"\r\n', b'"\n\n\n'])
def test_quoted_line_ends_in_the_last_value_are_no_fault(tmp_path, end):
    rows = read(write(tmp_path, "a.csv", b'label,text\nx,"one\ntwo' + end)).rows
    assert rows.column("text")[0].strip() == "one\ntwo"


def test_real_data_reads_without_notes():
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the development data beside the repository")
    got = read(folder / "sentiment" / "sst" / "train.csv")
    assert (len(got.rows), got.notes) == (6920, ())


def test_one_half_of_a_pair_is_not_taken_for_a_text():
    long = "a text of more than twenty characters"
    rows = [{"sentence1": f"{long} {n}", "sentence2": f"{long} too {n}", "label": "ab"[n % 2]} for n in range(4)]
    with pytest.raises(KerasftError, match=r"needs a column 'text'.*text_column=sentence1 or"):
        read_rows(rows, text_columns=("text",), label_column="label", task_name="sentiment")
    read = read_rows(rows, text_columns=("text", "text_pair"), label_column="label", task_name="text-pair")
    assert read.rows.column("text_pair")[0] == f"{long} too 0"
