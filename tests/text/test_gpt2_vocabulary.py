"""vocab.json and merges.txt: what they hold, and what is said of those that are faulty."""

import json

import pytest

from kerasft.errors import KerasftError
from kerasft.text.gpt2_vocabulary import END_OF_TEXT, byte_pieces, read_byte_pairs
from tests.toy_gpt2 import write_files

BYTES = {piece: number for number, piece in enumerate(byte_pieces())}
VOCABULARY = {**BYTES, "Ġt": 256, "Ġth": 257, END_OF_TEXT: 258, "unused": 259}
MERGES = [("Ġ", "t"), ("Ġt", "h")]


def read(folder):
    return read_byte_pairs(folder / "vocab.json", folder / "merges.txt")


def test_bytes_have_the_pieces_of_gpt2():
    pieces = byte_pieces()
    assert len(set(pieces)) == 256
    assert "".join(pieces[byte] for byte in b" a\n\t\x00\x7f\xa0\xad\xc3") == "ĠaĊĉĀġłŃÃ"
    assert all(piece.isprintable() and not piece.isspace() for piece in pieces)


def test_pieces_and_merges(tmp_path):
    found = read(write_files(tmp_path, dict(reversed(VOCABULARY.items())), MERGES))
    assert found.pieces == tuple(VOCABULARY)
    assert found.end_of_text == 258
    assert found.merges.tokens[255:] == (b"\xff", b" t", b" th", None, None)
    assert found.merges.pairs == ((32, 116, 256), (256, 104, 257))


def test_line_ends_and_a_missing_header_do_not_matter(tmp_path):
    expected = read(write_files(tmp_path, VOCABULARY, MERGES))
    (tmp_path / "merges.txt").write_bytes("Ġ t\r\nĠt h".encode())
    assert read(tmp_path) == expected


@pytest.mark.parametrize(
    ("vocabulary", "merges", "message"),
    [
        ("[", "", "is not JSON"),
        (json.dumps([*VOCABULARY]), "", "expected an object"),
        (json.dumps({**VOCABULARY, "more": 259}), "", "the ids 0, 1, 2"),
        (json.dumps({**VOCABULARY, "more": 261}), "", "the ids 0, 1, 2"),
        (json.dumps({**VOCABULARY, "more": "x"}), "", "the ids 0, 1, 2"),
        (json.dumps({"a": 0}), "", "expected all 256 bytes"),
        (json.dumps(BYTES), "", "but not <|endoftext|>"),
        (json.dumps(VOCABULARY), "Ġ t\nĠt x", "line 2: expected two pieces"),
        (json.dumps(VOCABULARY), "#version: 0.2\nĠt", "line 2: expected two pieces"),
        (json.dumps(VOCABULARY), "Ġ t\nĠ t", "line 2: 'Ġ t' is there twice"),
    ],
)
def test_faulty_files(tmp_path, vocabulary, merges, message):
    (tmp_path / "vocab.json").write_text(vocabulary, encoding="utf-8")
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    with pytest.raises(KerasftError, match=message.replace("|", "\\|")) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(KerasftError, match=r"vocab\.json: No such file"):
        read(tmp_path)
    write_files(tmp_path, VOCABULARY, MERGES)
    (tmp_path / "merges.txt").write_bytes(b"\xff")
    with pytest.raises(KerasftError, match="is not UTF-8"):
        read(tmp_path)
