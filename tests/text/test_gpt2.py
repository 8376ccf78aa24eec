"""GPT-2 tokenisation by hand-checked examples and by properties, with a small vocabulary and no reference."""

import functools

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.text.bpe import Merges
from kerasft.text.gpt2 import make_tokenizer
from kerasft.text.gpt2_vocabulary import END_OF_TEXT, byte_pieces
from kerasft.text.gpt2_words import character_classes, split_words
from tests.toy_gpt2 import train

BYTES = [bytes([byte]) for byte in range(256)]


def merges_of(*pairs: tuple[bytes, bytes]) -> Merges:
    """All bytes, by their value, and what the pairs make, from 256 on."""
    tokens = [*BYTES]
    for pair in pairs:
        if b"".join(pair) not in tokens:
            tokens.append(b"".join(pair))
    return Merges(tokens, [(tokens.index(a), tokens.index(b), tokens.index(a + b)) for a, b in pairs])


def graph(merges: Merges):
    return tf.function(make_tokenizer(merges), input_signature=[tf.TensorSpec([None], tf.string)])


def pieces(merges: Merges, *texts: str | bytes) -> list[list[bytes]]:
    return [[merges.tokens[i] for i in row] for row in graph(merges)(tf.constant(texts)).ids.to_list()]


@functools.cache
def toy():
    """A trained vocabulary: its tokens' bytes, and the tokenizer."""
    vocabulary, merges = train()
    byte_of = {piece: byte for byte, piece in enumerate(byte_pieces())}
    tokens = [bytes(byte_of[c] for c in piece) for piece in list(vocabulary)[:-1]]
    pairs = [(vocabulary[a], vocabulary[b], vocabulary[a + b]) for a, b in merges]
    return tokens, graph(Merges([*tokens, None], pairs))


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def split(texts):
    words = split_words(texts, character_classes())
    return words.strings, words.word_splits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\ndef", ["\n", "\n", "def"]),
        ("a  b", ["a", " ", " b"]),
        ("a \n\t b", ["a", " \n\t", " b"]),
        ("a \t", ["a", " \t"]),
        ("  ", ["  "]),
        ("a\tb", ["a", "\t", "b"]),
        ("a\u00a0b", ["a", "\u00a0", "b"]),
        ("it's", ["it", "'s"]),
        ("it'sx", ["it", "'s", "x"]),
        ("'llama", ["'ll", "ama"]),
        ("'re've'm'd't", ["'re", "'ve", "'m", "'d", "'t"]),
        ("IT'S", ["IT", "'", "S"]),
        ("a 's", ["a", " '", "s"]),
        ("a\n's", ["a", "\n", "'s"]),
        ("''s", ["''", "s"]),
        ("'s'", ["'s", "'"]),
        ("'l", ["'", "l"]),
        ("'", ["'"]),
        ("ab12 12ab", ["ab", "12", " 12", "ab"]),
        ("x==y != z", ["x", "==", "y", " !=", " z"]),
        ("½ ६", ["½", " ६"]),
        ("a\x1fb\x00", ["a", "\x1f", "b", "\x00"]),
        ("a\x85b", ["a", "\x85", "b"]),
        ("\u180e\u200b", ["\u180e\u200b"]),
        ("e\u0301", ["e", "\u0301"]),
        ("<|endoftext|>", ["<|", "endoftext", "|>"]),
        ("", []),
    ],
)
def test_words(text, expected):
    # Neighbours in the batch must not matter: they end and begin with what could join.
    words, splits = split(tf.constant(["a ", text, "'s\n"]))
    first, last = splits.numpy()[1:3]
    assert [word.decode() for word in words.numpy()[first:last]] == expected


def test_the_best_ranked_pair_is_merged_first():
    assert pieces(merges_of((b"b", b"c"), (b"a", b"b"), (b"a", b"bc")), "abc", "ab", "abab") == [
        [b"abc"],
        [b"ab"],
        [b"ab", b"ab"],
    ]
    assert pieces(merges_of((b"a", b"b"), (b"b", b"c")), "abc bc") == [[b"ab", b"c", b" ", b"bc"]]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 33])
def test_of_overlapping_pairs_the_left_one_is_merged(count):
    found = pieces(merges_of((b"a", b"a"), (b"aa", b"aa")), "a" * count)[0]
    assert b"".join(found) == b"a" * count
    assert found == sorted(found, key=len, reverse=True)
    assert len(found) == count // 4 + count % 4 // 2 + count % 2


def test_a_pair_that_a_merge_makes_may_come_before_the_next_merge():
    # "ab" is made third, but a merge of it ranks second: it comes before the second "ab" of the word is made.
    assert pieces(merges_of((b"ab", b"a"), (b"a", b"b")), "abab", "abcab") == [[b"aba", b"b"], [b"ab", b"c", b"ab"]]


def test_a_text_that_spells_a_special_token_stays_text():
    vocabulary, _ = train()
    _, tokenize = toy()
    assert vocabulary[END_OF_TEXT] not in tokenize(tf.constant([END_OF_TEXT, f" {END_OF_TEXT}"])).ids.values.numpy()


@pytest.mark.parametrize(
    "text",
    [b"a\xffb", b"\xe4\xb8", b"\xed\xa0\x80", b"a\xf0\x9f\x98 b", b"\xc0\xaf\x80", b"\xf4\x90\x80\x80", b"'\xff's"],
)
def test_bytes_that_are_not_utf8_are_read_as_python_reads_them(text):
    _, tokenize = toy()
    found = tokenize(tf.constant([text, text.decode(errors="replace").encode()]))
    for column in (found.ids, found.char_starts, found.char_ends):
        assert column[0].numpy().tolist() == column[1].numpy().tolist()
    starts, ends = found.byte_starts[0].numpy(), found.byte_ends[0].numpy()
    assert starts[0] == 0
    assert ends[-1] == len(text)
    assert (starts < ends).all()


def test_offsets_of_the_parts_of_a_character():
    found = graph(merges_of())(tf.constant(["a é"]))
    assert found.char_starts.to_list() == [[0, 1, 2, 2]]
    assert found.char_ends.to_list() == [[1, 2, 3, 3]]
    assert found.byte_starts.to_list() == [[0, 1, 2, 3]]
    assert found.byte_ends.to_list() == [[1, 2, 3, 4]]


def test_batches_of_none_and_of_nothing():
    _, tokenize = toy()
    for texts in ([], [""], ["", "", ""]):
        for column in tokenize(tf.constant(texts, tf.string)):
            assert column.dtype == tf.int32
            assert column.to_list() == [[] for _ in texts]


def test_a_long_text_and_a_long_word():
    tokens, tokenize = toy()
    for text in ("the cafés! don't\n" * 10_000, "filmstory" * 2_000):
        found = tokenize(tf.constant([text]))
        assert b"".join(tokens[i] for i in found.ids[0].numpy()) == text.encode()
        assert int(found.char_ends[0, -1]) == len(text)


def test_a_wrong_rank_is_refused():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="shape"):
        make_tokenizer(merges_of())(tf.constant([["a"]]))


# Properties.

ALPHABET = st.one_of(
    st.sampled_from("the cafésfilm''stdmrevl  \n\t\u3000\u00a0\u0085中文12.,!६\0\u200d😀\u0301"),
    st.characters(blacklist_categories=("Cs",)),
)
TEXTS = st.text(ALPHABET, max_size=30)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_the_tokens_of_a_text_tile_it(text):
    tokens, tokenize = toy()
    found = tokenize(tf.constant([text]))
    raw, end = text.encode(), 0
    for number, byte_start, byte_end, char_start, char_end in zip(*(c[0].numpy().tolist() for c in found), strict=True):
        assert byte_start == end
        assert raw[byte_start:byte_end] == tokens[number]
        assert len(text[:char_start].encode()) <= byte_start < len(text[: char_start + 1].encode())
        assert len(text[: char_end - 1].encode()) < byte_end <= len(text[:char_end].encode())
        end = byte_end
    assert end == len(raw)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXTS, max_size=6))
def test_a_text_does_not_depend_on_its_batch(texts):
    _, tokenize = toy()
    together = tokenize(tf.constant(texts, tf.string))
    for row, text in enumerate(texts):
        alone = tokenize(tf.constant([text]))
        for joint, single in zip(together, alone, strict=True):
            assert joint[row].numpy().tolist() == single[0].numpy().tolist()


@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=40))
def test_any_bytes(text):
    tokens, tokenize = toy()
    found = tokenize(tf.constant([text]))
    assert b"".join(tokens[i] for i in found.ids[0].numpy()) == text.decode(errors="replace").encode()
    starts, ends = found.byte_starts[0].numpy(), found.byte_ends[0].numpy()
    assert (starts < ends).all()
    assert not len(text) or (starts[0], ends[-1]) == (0, len(text))
