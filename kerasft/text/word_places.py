"""Words as people count them, with their places in the raw text, whatever the family's own pieces are.

A word is a run of letters, digits and underscores with the marks on them; every other visible character is a word of
its own, and so is each character of the scripts that are written without spaces. Graph ops only.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_BETWEEN, _ALONE, _RUN, _GOES_ON = range(4)
_PAGE_BITS = 8
# Han, Kana, Bopomofo, Thai, Lao, Myanmar, Khmer, Yi, Tai: no spaces between words.
_UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x2E80, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0xA4CF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF)),
    *((0xFF66, 0xFF9D), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
)


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


@functools.cache
def _classes() -> tuple[np.ndarray, np.ndarray]:
    """A two-level table: the class of code point c is `entries[pages[c >> 8] + (c & 255)]`."""
    kinds = np.array([unicodedata.category(chr(code)) for code in range(0x110000)])
    first = kinds.astype("U1")
    classes = np.full(0x110000, _ALONE, np.uint8)
    classes[np.isin(first, ["L", "N"]) | (kinds == "Pc")] = _RUN
    for start, end in _UNSPACED:
        part = classes[start : end + 1]
        part[part == _RUN] = _ALONE
    # Marks, joiners and tags belong to what is before them.
    classes[(first == "M") | (kinds == "Cf")] = _GOES_ON
    classes[(first == "Z") | (kinds == "Cc") | (kinds == "Cs")] = _BETWEEN
    entries, page = np.unique(classes.reshape(-1, 1 << _PAGE_BITS), axis=0, return_inverse=True)
    return (page.reshape(-1) << _PAGE_BITS).astype(np.int32), entries.reshape(-1).astype(np.int32)


def find_words(texts: tf.Tensor) -> WordPlaces:
    """Finds the words of texts.

    Args:
        texts: string[B]; bytes that are not UTF-8 count as one character each, or as many as Python's decoder makes.

    Returns:
        Their places, in order.
    """
    pages, entries = map(tf.constant, _classes())
    # A space behind each text: a word then always ends before its row does.
    decoded = tf.raw_ops.UnicodeDecodeWithOffsets(
        input=tf.strings.join([tf.ensure_shape(texts, [None]), " "]), input_encoding="UTF-8", errors="replace"
    )
    codes, splits = decoded.char_values, tf.cast(decoded.row_splits, tf.int64)
    page = tf.gather(pages, tf.bitwise.right_shift(codes, _PAGE_BITS))
    kind = tf.gather(entries, page + tf.bitwise.bitwise_and(codes, (1 << _PAGE_BITS) - 1))
    # What a character that goes on is part of: the last one before it that does not. A row begins behind a space.
    number = tf.range(tf.size(kind))
    anchors = tf.concat([[-1], tf.boolean_mask(number, tf.not_equal(kind, _GOES_ON))], axis=0)
    anchor = tf.gather(anchors, tf.searchsorted(anchors, number, side="right") - 1)
    kind = tf.gather(tf.concat([[_BETWEEN], kind], axis=0), anchor + 1)
    own = tf.equal(anchor, number)
    before = tf.concat([[_BETWEEN], kind[:-1]], axis=0)
    begins = own & (tf.equal(kind, _ALONE) | (tf.equal(kind, _RUN) & tf.not_equal(before, _RUN)))
    inside = tf.not_equal(kind, _BETWEEN)
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
