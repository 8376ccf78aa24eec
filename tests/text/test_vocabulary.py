"""Reading vocab.txt: what is accepted, and what each bad file is told."""

import pytest

from kerasft.errors import KerasftError
from kerasft.text.vocabulary import read_vocabulary

SPECIAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n"


def read(tmp_path, content: str | bytes) -> tuple[str, ...]:
    path = tmp_path / "vocab.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_vocabulary(path)


@pytest.mark.parametrize(
    "content", [SPECIAL + "a\n##b\n", SPECIAL + "a\n##b", (SPECIAL + "a\n##b\n").replace("\n", "\r\n")]
)
def test_pieces_in_the_order_of_their_ids(tmp_path, content):
    assert read(tmp_path, content) == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##b")


def test_only_line_feeds_end_a_line(tmp_path):
    assert read(tmp_path, SPECIAL + "\u2028\n\x85\n")[4:] == ("\u2028", "\x85")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[PAD]\n[CLS]\na\n", r"has 3 pieces but not \[UNK\], \[SEP\]"),
        ("", r"not \[PAD\]"),
        (SPECIAL + "a\nb\na\n", "repeated pieces, the first 'a' on lines 5 and 7"),
        (SPECIAL.encode() + b"\xff\n", r"not UTF-8 \(byte 24\)"),
        (SPECIAL + "a\0b\n", "on line 5"),
        (SPECIAL + "a\n" + "b" * 257 + "\n", "on line 6"),
    ],
)
def test_bad_files_get_one_line(tmp_path, content, message):
    with pytest.raises(KerasftError, match=message) as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)
    assert "vocab.txt" in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(KerasftError, match="No such file"):
        read_vocabulary(tmp_path / "vocab.txt")
