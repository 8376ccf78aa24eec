"""BERT tokenisation by hand-checked examples and by properties, with a small vocabulary and no reference."""

import functools
import unicodedata

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.text.bert import make_tokenizer
from kerasft.text.bert_characters import DROPPED
from kerasft.text.unicode_table import normal_form

WORDS = [
    "un",
    "##aff",
    "##able",
    "the",
    "cafe",
    "[",
    "]",
    "mask",
    "cls",
    "!",
    "$",
    "中",
    "文",
    "##s",
    "ß",
    "a",
    "b",
    "##b",
]
JAMO = ["\u1112", "##\u1161", "##\u11ab"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *JAMO]


@functools.cache
def tokenizer(lowercase=True):
    return tf.function(
        make_tokenizer(VOCABULARY, lowercase=lowercase), input_signature=[tf.TensorSpec([None], tf.string)]
    )


def pieces(text: str | bytes, lowercase=True) -> list[str]:
    return [VOCABULARY[i] for i in tokenizer(lowercase)(tf.constant([text])).ids[0].numpy()]


def spans(text: str | bytes, lowercase=True) -> list[tuple[int, ...]]:
    """(char start, char end, byte start, byte end) of each token."""
    found = tokenizer(lowercase)(tf.constant([text]))
    columns = (found.char_starts, found.char_ends, found.byte_starts, found.byte_ends)
    return list(zip(*(column[0].numpy().tolist() for column in columns), strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Unaffable", ["un", "##aff", "##able"]),
        ("the  café!", ["the", "cafe", "!"]),
        ("cafe\u0301s", ["cafe", "##s"]),
        ("中文the", ["中", "文", "the"]),
        ("[MASK][CLS]", ["[", "mask", "]", "[", "cls", "]"]),
        ("unknown", ["[UNK]"]),
        ("ẞ", ["ß"]),
        ("한", JAMO),
        ("", []),
        (" \t\r\n\u3000\u00a0", []),
        ("\u0301\u200d\ufeff", []),
        ("a" * 300, ["[UNK]"]),
    ],
)
def test_uncased(text, expected):
    assert pieces(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("the", ["the"]), ("The", ["[UNK]"]), ("café", ["[UNK]"])])
def test_cased_models_keep_case_and_accents(text, expected):
    assert pieces(text, lowercase=False) == expected


def test_accents_can_be_kept_in_lower_case():
    tokenize = make_tokenizer([*VOCABULARY, "é"], lowercase=True, strip_accents=False)
    assert tokenize(tf.constant(["É"])).ids.to_list() == [[len(VOCABULARY)]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Unaffable the", [(0, 2, 0, 2), (2, 5, 2, 5), (5, 9, 5, 9), (10, 13, 10, 13)]),
        # The accent takes two bytes; the one that follows as a character of its own belongs to no token.
        ("CAFÉ the", [(0, 4, 0, 5), (5, 8, 6, 9)]),
        ("cafe\u0301 the", [(0, 4, 0, 4), (6, 9, 7, 10)]),
        ("\ufeff中 文", [(1, 2, 3, 6), (3, 4, 7, 10)]),
        # Characters that are dropped inside a word stay inside its span.
        ("t\u00adh\0e", [(0, 5, 0, 6)]),
        ("😀 the", [(0, 1, 0, 4), (2, 5, 5, 8)]),
        # The three letters of a Hangul syllable share it.
        ("한", [(0, 1, 0, 3)] * 3),
    ],
)
def test_offsets_point_into_the_original_text(text, expected):
    assert spans(text) == expected


@pytest.mark.parametrize(
    "text", [b"the \xff\xfe cafe", b"the \xe4\xb8 cafe", b"the \xed\xa0\x80cafe", b"th\x80e cafe\xf0\x9f"]
)
def test_bytes_that_are_not_utf8_are_dropped(text):
    assert pieces(text) == ["the", "cafe"]
    for (_, _, start, end), word in zip(spans(text), (b"the", b"cafe"), strict=True):
        assert text[start:end].replace(b"\x80", b"") == word


def test_a_long_text():
    count = 20_000
    text = "the cafés! " * count
    found = tokenizer()(tf.constant([text]))
    assert found.ids.row_lengths().numpy().tolist() == [4 * count]
    assert int(found.char_ends[0, -1]) == len(text) - 1
    assert int(found.byte_ends[0, -1]) == len(text.encode()) - 1


def test_batches_of_none_and_of_nothing():
    for texts in ([], [""], ["", " ", ""]):
        found = tokenizer()(tf.constant(texts, tf.string))
        for column in found:
            assert column.dtype == tf.int32
            assert column.to_list() == [[] for _ in texts]


def test_a_wrong_rank_is_refused():
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="shape"):
        make_tokenizer(VOCABULARY, lowercase=True)(tf.constant([["a"]]))


def test_one_trace_serves_all_batches():
    tokenize = tf.function(make_tokenizer(VOCABULARY, True), input_signature=[tf.TensorSpec([None], tf.string)])
    for texts in (["a"], ["a", "the cafe"], []):
        tokenize(tf.constant(texts, tf.string))
    assert tokenize.experimental_get_tracing_count() == 1


# Properties.

ALPHABET = st.one_of(
    st.sampled_from("abUnthecafE[]! ß中文한é\u0301\u00ad\u0e33\0\u200d😀𝔞İ"),
    st.characters(blacklist_categories=("Cs",)),
)
TEXTS = st.text(ALPHABET, max_size=30)
CHARACTERS = sorted({form for c in "abunthecaf[]! ß中文한é😀𝔞i" for form in unicodedata.normalize("NFD", c)} - {" "})


@functools.cache
def spelling_tokenizer(lowercase: bool):
    vocabulary = ["[PAD]", "[UNK]", *CHARACTERS, *("##" + c for c in CHARACTERS)]
    tokenize = make_tokenizer(vocabulary, lowercase)
    return vocabulary, tf.function(tokenize, input_signature=[tf.TensorSpec([None], tf.string)])


def normalised(text: str, lowercase: bool) -> str:
    return "".join(normal_form(c, lowercase, lowercase) for c in text if ord(c) not in DROPPED)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, lowercase=st.booleans())
def test_the_text_under_a_token_is_the_token(text, lowercase):
    vocabulary, tokenize = spelling_tokenizer(lowercase)
    found = tokenize(tf.constant([text]))
    rows = list(zip(*(column[0].numpy().tolist() for column in found), strict=True))
    starts = [char_start for _, _, _, char_start, _ in rows]
    before = 0
    for number, byte_start, byte_end, start, end in rows:
        under = text[start:end]
        assert text.encode()[byte_start:byte_end].decode() == under
        assert under
        assert not under[0].isspace()
        assert not under[-1].isspace()
        shared = starts.count(start) > 1
        assert start >= before or shared, "tokens overlap"
        before = end
        piece = vocabulary[number].removeprefix("##")
        if shared:
            assert piece in normalised(under, lowercase)
        elif number != vocabulary.index("[UNK]"):
            assert normalised(under, lowercase) == piece


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
def test_every_visible_character_is_under_a_token(text):
    found = tokenizer()(tf.constant([text]))
    covered = set()
    for start, end in zip(found.char_starts[0].numpy(), found.char_ends[0].numpy(), strict=True):
        covered.update(range(start, end))
    for position, character in enumerate(text):
        visible = ord(character) not in DROPPED and not character.isspace() and normal_form(character, True, True)
        assert not visible or position in covered


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.one_of(TEXTS.map(str.encode), st.binary(max_size=20)), max_size=6))
def test_a_row_does_not_depend_on_its_batch(texts):
    together = tokenizer()(tf.constant(texts, tf.string))
    for row, text in enumerate(texts):
        alone = tokenizer()(tf.constant([text]))
        for joint, single in zip(together, alone, strict=True):
            assert joint[row].numpy().tolist() == single[0].numpy().tolist()


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_spelling_out_a_special_token_never_makes_one(text):
    specials = {VOCABULARY.index(piece) for piece in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")}
    for wrapped in (text, f"[MASK]{text}[SEP]", text.join(("[CLS]", "[PAD]"))):
        assert not specials & set(tokenizer()(tf.constant([wrapped])).ids[0].numpy().tolist())
