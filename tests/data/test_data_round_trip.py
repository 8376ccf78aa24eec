"""Whatever text a file can hold comes back as it was (property-based)."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.data.read import read_rows
from kerasft.errors import KerasftError

# What the formats are made of, more often than chance would have it.
TRICKY = st.sampled_from(
    ['"', '""', "\n", "\r", "\r\n", ",", ";", "\t", "'", "\\", "\\n", "{", "\u2028", "\x85", "\ufeff", "é", "👩‍👧"]
)
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
TEXT = st.lists(TRICKY | PLAIN, min_size=1, max_size=6).map("".join).filter(lambda text: text.strip())
# A label goes through the same formats; white space around it is dropped on purpose.
LABEL = TEXT.map(str.strip).filter(bool)
ROWS = st.lists(st.tuples(TEXT, LABEL), min_size=1, max_size=8)


def delimited(rows, delimiter, quoting):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
    writer.writerows([("text", "label"), *rows])
    return file.getvalue().encode()


def parquet(rows):
    file = io.BytesIO()
    pq.write_table(pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}), file)
    return file.getvalue()


WRITERS = {
    "minimal.csv": lambda rows: delimited(rows, ",", csv.QUOTE_MINIMAL),
    "all.csv": lambda rows: delimited(rows, ",", csv.QUOTE_ALL),
    "semicolon.csv": lambda rows: delimited(rows, ";", csv.QUOTE_ALL),
    "a.tsv": lambda rows: delimited(rows, "\t", csv.QUOTE_MINIMAL),
    "escaped.jsonl": lambda rows: "".join(json.dumps({"text": t, "label": c}) + "\n" for t, c in rows).encode(),
    "raw.jsonl": lambda rows: "\n".join(
        json.dumps({"text": t, "label": c}, ensure_ascii=False) for t, c in rows
    ).encode(),
    "array.json": lambda rows: json.dumps([{"text": t, "label": c} for t, c in rows], ensure_ascii=False).encode(),
    "a.parquet": parquet,
}


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_round_trip(tmp_path_factory, name, rows):
    path = tmp_path_factory.mktemp("round") / name
    path.write_bytes(WRITERS[name](rows))
    got = read_rows(path, text_columns=("text",), label_column="label", task_name="sentiment").rows
    assert got.column("text") == [text for text, _ in rows]
    # Unicode's white space as Arrow sees it is also Python's, but for the separators U+001C to U+001F.
    assert [label.strip() for label in got.column("label")] == [label for _, label in rows]
    assert got.number.tolist() == list(range(1, len(rows) + 1))


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=80) | st.text(max_size=60).map(str.encode), name=st.sampled_from(list(WRITERS)))
def test_any_bytes_give_rows_or_one_line(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(content)
    for on_bad_row in ("error", "skip"):
        message = ""
        try:
            read_rows(path, text_columns=("text",), label_column=None, on_bad_row=on_bad_row, task_name="sentiment")
        except KerasftError as error:
            message = str(error)
        assert len(message.splitlines()) <= 1
