"""Words as people count them, with their places in the raw text, whatever the family's own pieces are.

A word is a run of letters, digits and underscores with the marks on them; every other visible character is a word of
its own, and so is each character of the scripts that are written without spaces. The n't of an English verb is a word
too, so that wouldn't has two: treebanks give it a tag and roles of its own. Graph ops only.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasft.text.word_kinds import ALONE, BETWEEN, GOES_ON, PAGE_BITS, RUN, kind_table


class WordPlaces(NamedTuple):
    """The words of B texts: ragged int32[B, (N)] tensors with the same splits.

    Attributes:
        char_starts: first character (code point) of each word in its text.
        char_ends: the character after its last.
        byte_starts: first byte of each word in its text.
        byte_ends: the byte after its last.
    """

    char_starts: tf.RaggedTensor
    char_ends: tf.RaggedTensor
    byte_starts: tf.RaggedTensor
    byte_ends: tf.RaggedTensor


def find_words(texts: tf.Tensor) -> WordPlaces:
    """Finds the words of texts.

    Args:
        texts: string[B]; bytes that are not UTF-8 count as one character each, or as many as Python's decoder makes.

    Returns:
        Their places, in order.
    """
    pages, entries = map(tf.constant, kind_table())
    # A space behind each text: a word then always ends before its row does.
    decoded = tf.raw_ops.UnicodeDecodeWithOffsets(
        input=tf.strings.join([tf.ensure_shape(texts, [None]), " "]), input_encoding="UTF-8", errors="replace"
    )
    codes, splits = decoded.char_values, tf.cast(decoded.row_splits, tf.int64)
    page = tf.gather(pages, tf.bitwise.right_shift(codes, PAGE_BITS))
    kind = tf.cast(tf.gather(entries, page + tf.bitwise.bitwise_and(codes, (1 << PAGE_BITS) - 1)), tf.int32)
    # What a character that goes on is part of: the last one before it that does not. A row begins behind a space.
    number = tf.range(tf.size(kind))
    anchors = tf.concat([[-1], tf.boolean_mask(number, tf.not_equal(kind, GOES_ON))], axis=0)
    anchor = tf.gather(anchors, tf.searchsorted(anchors, number, side="right") - 1)
    kind = tf.gather(tf.concat([[BETWEEN], kind], axis=0), anchor + 1)
    own = tf.equal(anchor, number)
    before = tf.concat([[BETWEEN], kind[:-1]], axis=0)
    begins = own & (tf.equal(kind, ALONE) | (tf.equal(kind, RUN) & tf.not_equal(before, RUN)))
    negation = _negations(codes, kind)
    begins = (begins | negation) & ~(tf.roll(negation, 1, axis=0) | tf.roll(negation, 2, axis=0))
    inside = tf.not_equal(kind, BETWEEN)
    behind = tf.concat([begins[1:], [True]], axis=0)
    ends = inside & (behind | tf.concat([tf.logical_not(inside[1:]), [True]], axis=0))
    start, last = tf.where(begins)[:, 0], tf.where(ends)[:, 0]
    row = tf.searchsorted(splits, start, side="right", out_type=tf.int64) - 1
    first_of_row = tf.gather(splits, row)
    bytes_at = tf.cast(decoded.char_to_byte_starts, tf.int32)

    def ragged(values) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_value_rowids(
            tf.cast(values, tf.int32), row, nrows=tf.size(splits, out_type=tf.int64) - 1, validate=False
        )

    return WordPlaces(
        char_starts=ragged(start - first_of_row),
        char_ends=ragged(last + 1 - first_of_row),
        byte_starts=ragged(tf.gather(bytes_at, start)),
        byte_ends=ragged(tf.gather(bytes_at, last + 1)),
    )


def _negations(codes: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """bool[N]: whether an n't begins at a character, with nothing more of its word behind it."""

    def one_of(characters: str, further: int) -> tf.Tensor:
        # Rolled round the ends, too: but each row ends with a space, which is none of these.
        ahead = tf.roll(codes, -further, axis=0)
        return tf.reduce_any(tf.equal(ahead[:, tf.newaxis], [ord(character) for character in characters]), axis=1)

    whole = one_of("nN", 0) & one_of("'\u2019", 1) & one_of("tT", 2)
    return whole & tf.not_equal(tf.roll(kind, -3, axis=0), RUN)
