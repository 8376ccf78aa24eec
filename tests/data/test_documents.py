"""Plain text files as documents."""

from hypothesis import given
from hypothesis import strategies as st

from kerasft.data.documents import documents

LINE = st.sampled_from(["a", "  b ", "\tü", "x\x0by", "\u2028 z", "\x85."])


@given(
    st.lists(st.lists(LINE, min_size=1, max_size=4), max_size=5),
    st.lists(st.sampled_from(["\n", " \n", "\r\n", "\t\n\n"])),
)
def test_what_stands_between_blank_lines_is_one(wanted, blanks):
    text, filling = "", iter([*blanks, *["\n"] * 10])
    for lines in wanted:
        text += "\n".join(lines) + "\n" + next(filling)
    assert [record["text"] for _, record in documents(text)] == ["\n".join(lines) for lines in wanted]


def test_numbers_are_those_of_the_first_lines():
    assert [number for number, _ in documents("\na\nb\n\n\nc")] == [2, 6]


def test_a_file_without_blank_lines_is_one_document():
    assert [record["text"] for _, record in documents("a\n  b\r\nc")] == ["a\n  b\nc"]
