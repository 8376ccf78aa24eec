"""Words and their places, for any Unicode text."""

import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kerasft.export.hostile import HOSTILE_TEXTS
from kerasft.text.word_kinds import in_word
from kerasft.text.word_places import find_words


def words_of(text: str) -> list[str]:
    found = find_words(tf.constant([text.encode()]))
    raw = text.encode()
    words = []
    for start, end, first, last in zip(*(part.to_list()[0] for part in found), strict=True):
        assert text[start:end] == raw[first:last].decode()
        words.append(text[start:end])
    return words


def test_words_as_people_count_them():
    assert words_of("Don't pay €3.50, Dr. Quill!") == "Do n~t pay € 3 . 50 , Dr . Quill !".replace("~", "'").split(" ")
    assert words_of("cafe\u0301s na\u00efve") == ["cafe\u0301s", "na\u00efve"]
    assert words_of("\u5317\u4eac\u5927\u5b66 \u306f\u3044") == [
        "\u5317",
        "\u4eac",
        "\u5927",
        "\u5b66",
        "\u306f",
        "\u3044",
    ]
    assert words_of("\u092c\u0939\u0941\u0924 \u0905\u091a\u094d\u091b\u0940") == [
        "\u092c\u0939\u0941\u0924",
        "\u0905\u091a\u094d\u091b\u0940",
    ]
    negations = "I CAN\u2019T, you wouldn't, n't but isn'tit, n'to, n't\u0301, don''t, n'"
    parts = "I CA N\u2019T , you would n't , n't but isn ' tit , n ' to , n ' t\u0301 , don ' ' t , n '"
    assert words_of(negations) == parts.split(" ")
    assert words_of("snake_case 42nd") == ["snake_case", "42nd"]
    assert words_of("\u0301 \u200d") == []
    assert words_of("") == []


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30))
@example("\u0301a\u0301\u0301 b")
def test_every_visible_character_is_in_one_word(text):
    words = words_of(text)
    kept = "".join(words)
    assert all(not word.isspace() for word in words)
    assert [c for c in kept if c.isalnum()] == [c for c in text if c.isalnum()]


def test_bytes_that_are_no_text_break_nothing():
    texts = [text for _, text in HOSTILE_TEXTS]
    found = find_words(tf.constant(texts))
    assert find_words(tf.constant([], tf.string)).char_starts.shape[0] == 0
    for part in found:
        assert part.shape[0] == len(texts)
    sizes = [len(text) for text in texts]
    assert all(max([0, *ends]) <= size for ends, size in zip(found.byte_ends.to_list(), sizes, strict=True))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
@example("\u0301a\u0301\u200d \u0301b")
def test_rows_are_checked_by_the_same_words(text):
    found = find_words(tf.constant([text.encode()]))
    inside = set()
    for start, end in zip(found.char_starts.to_list()[0], found.char_ends.to_list()[0], strict=True):
        inside |= set(range(start, end))
    assert {place for place in range(len(text)) if in_word(text, place)} == inside
