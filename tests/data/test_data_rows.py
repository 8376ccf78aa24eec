"""Rows: texts in order, their places, and a fingerprint of their content."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.data.read import read_rows
from kerasft.data.rows import concatenate

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip), min_size=1, max_size=6)


def rows_of(texts):
    return read_rows([{"text": t} for t in texts], text_columns=("text",), label_column=None, task_name="t").rows


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS, others=TEXTS)
def test_fingerprint_is_of_the_content(texts, others):
    rows = rows_of(texts)
    assert rows.fingerprint() == rows_of(texts).fingerprint()
    assert (rows.fingerprint() == rows_of(others).fingerprint()) == (texts == others)
    both = concatenate([rows, rows_of(others)])  # two chunks of one content
    assert both.fingerprint() == rows_of(texts + others).fingerprint()
    assert both.take(range(len(texts))).fingerprint() == rows.fingerprint()


def test_fingerprint_sees_where_texts_end_and_what_columns_are_called():
    assert rows_of(["ab", "c"]).fingerprint() != rows_of(["a", "bc"]).fingerprint()
    labelled = [{"text": "a", "label": "b"}]
    one = read_rows(labelled, text_columns=("text",), label_column="label", task_name="t").rows
    two = read_rows(labelled, text_columns=("label",), label_column="text", task_name="t").rows
    assert one.fingerprint() != two.fingerprint()


def test_fingerprint_of_a_slice():
    rows = rows_of(["a", "b", "c"])
    middle = type(rows)(rows.table.slice(1, 1), rows.origins, rows.origin[1:2], rows.number[1:2])
    assert middle.fingerprint() == rows_of(["b"]).fingerprint()


def test_take_keeps_places(tmp_path):
    (tmp_path / "a.csv").write_text("text\na\nb\n\nc\n")
    (tmp_path / "b.csv").write_text("text\nd\n")
    rows = read_rows(tmp_path, text_columns=("text",), label_column=None, task_name="t").rows
    taken = rows.take([3, 2, 0])
    assert taken.column("text") == ["d", "c", "a"]
    assert [taken.place(i) for i in range(3)] == ["b.csv row 1", "a.csv row 3", "a.csv row 1"]
    assert len(rows.take([])) == 0
    assert taken.table.schema.field("text").type == pa.large_string()
