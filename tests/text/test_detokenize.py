"""Token ids -> bytes -> valid UTF-8, against Python's own decoding."""

import codecs

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.backbones.load import load_text_functions
from kerasft.text.detokenize import join_pieces, valid_text, whole_length
from tests.toy_gpt2 import train, write_files


@settings(deadline=None, max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=12), st.text(max_size=6).map(lambda t: t.encode()[1:])), max_size=4))
def test_bytes_become_what_python_reads(rows):
    found = valid_text(tf.constant(rows, tf.string)).numpy().tolist()
    assert [text.decode() for text in found] == [row.decode(errors="replace") for row in rows]


def test_tokens_become_the_text_they_were_made_of(tmp_path):
    text = load_text_functions(write_files(tmp_path / "vocabulary", *train()))
    texts = ["the film's\n\ngood", "", "naïve 中文 \0 <|endoftext|>", "\u202e\ufeff\U0001f469\u200d"]
    ids = text.tokenize(tf.constant(texts)).ids.to_tensor(-1)
    found = valid_text(join_pieces(tf.constant(list(text.spelling.pieces)), ids))
    assert [row.decode() for row in found.numpy()] == texts
    assert text.spelling.pieces[text.spelling.end] == b""
    assert join_pieces(tf.constant(list(text.spelling.pieces)), tf.zeros([2, 0], tf.int32)).numpy().tolist() == [
        b"",
        b"",
    ]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.text(max_size=4), st.binary(max_size=4)), max_size=4))
def test_all_but_the_beginning_of_a_character_can_be_shown(rows):
    """Against Python's decoder of streams, which waits for the rest of a character."""
    strings = [text.encode() + more for text, more in rows]
    for string, length in zip(strings, whole_length(tf.constant(strings, tf.string)).numpy().tolist(), strict=True):
        assert len(string) - 3 <= length <= len(string)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        decoder.decode(string)
        # Bytes that only look like the beginning of a character, such as of an overlong form, are held back as well.
        assert length <= len(string) - len(decoder.getstate()[0])


def test_characters_that_grow_byte_by_byte():
    text = "aé日\U0001f600z".encode()
    strings = [text[:size] for size in range(len(text) + 1)]
    expected = [len(string.decode(errors="ignore").encode()) for string in strings]
    assert whole_length(tf.constant(strings)).numpy().tolist() == expected
