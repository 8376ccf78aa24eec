"""A word of a text that the network is to know of, such as the predicate whose roles are asked for."""

from typing import NamedTuple

import tensorflow as tf

from kerasft.text.bert import Tokens
from kerasft.text.windows import Windows, chosen
from kerasft.text.word_places import WordPlaces


class MarkedWord(NamedTuple):
    """One word of each of B texts, all int32[B].

    Attributes:
        byte_start: its first byte; -1 where no word is meant.
        byte_end: the byte behind its last; -1 likewise.
        first: the first token that shares a character with it; -1 where it has none.
        behind: the token behind the last one; 0 likewise.
    """

    byte_start: tf.Tensor
    byte_end: tf.Tensor
    first: tf.Tensor
    behind: tf.Tensor


def find_marked(words: WordPlaces, tokens: Tokens, places: tf.Tensor) -> MarkedWord:
    """Finds the words that are meant, and their tokens.

    Args:
        words: of B texts.
        tokens: of the same texts.
        places: int32[B], a character (code point) of each text. On white space, or outside the text, no word is meant.

    Returns:
        The words that are meant.
    """
    rows = tf.size(places)
    row = tf.cast(words.char_starts.value_rowids(), tf.int32)
    place = tf.gather(places, row)
    here = (words.char_starts.values <= place) & (place < words.char_ends.values)

    # Of no things at all, a segment's maximum is the lowest number there is.
    def of_word(values: tf.Tensor) -> tf.Tensor:
        found = tf.math.unsorted_segment_max(tf.boolean_mask(values, here), tf.boolean_mask(row, here), rows)
        return tf.maximum(found, -1)

    start, end = of_word(words.char_starts.values), of_word(words.char_ends.values)
    token_row = tf.cast(tokens.ids.value_rowids(), tf.int32)
    shared = (tokens.char_starts.values < tf.gather(end, token_row)) & (
        tokens.char_ends.values > tf.gather(start, token_row)
    )
    number = tf.range(tf.size(token_row)) - tf.gather(tf.cast(tokens.ids.row_starts(), tf.int32), token_row)
    number, token_row = tf.boolean_mask(number, shared), tf.boolean_mask(token_row, shared)
    first = tf.math.unsorted_segment_min(number, token_row, rows)
    behind = tf.maximum(tf.math.unsorted_segment_max(number + 1, token_row, rows), 0)
    return MarkedWord(
        byte_start=of_word(words.byte_starts.values),
        byte_end=of_word(words.byte_ends.values),
        first=tf.where(behind > 0, first, -1),
        behind=behind,
    )


def windows_with(word: MarkedWord, found: Windows) -> Windows:
    """The windows that hold the first token of their row's marked word, two at most; the first where none does."""
    first, size = tf.gather(word.first, found.row), tf.cast(found.segments[-1].row_lengths(), tf.int32)
    holds = (first >= found.first) & (first < found.first + size)
    held = tf.math.unsorted_segment_max(tf.cast(holds, tf.int32), found.row, tf.size(word.first)) > 0
    return chosen(found, holds | (tf.equal(found.first, 0) & ~tf.gather(held, found.row)))


def marked_places(word: MarkedWord, row: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
    """The places that hold a token of the marked word: bool[W, T], for `row` int32[W] and `token` int32[W, T]."""
    first, behind = (tf.gather(side, row)[:, tf.newaxis] for side in (word.first, word.behind))
    return (token >= tf.maximum(first, 0)) & (token < behind)
