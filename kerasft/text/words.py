"""Splits texts into normalised words as BERT does, in graph ops, and remembers where every byte came from.

A text is decoded to characters; `UnicodeTable` gives each one's normal form; words end at white space, and at every
punctuation mark and Chinese character, which are words themselves.
"""

import dataclasses

import tensorflow as tf

from kerasft.text.unicode_table import KIND_SHIFT, LENGTH_BITS, SEQUENCE, SINGLE, SIZE_BITS, SPACE, UnicodeTable


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of a batch of texts, with B texts, N characters and W words in all.

    One white-space character is appended to each text before it is decoded, and counts in N. So words end before their
    row does, and the character after the last one of a word always exists in the same row.

    Attributes:
        strings: str[W], normalised words of the whole batch, row after row.
        lengths: int32[W], characters of each normalised word.
        row_splits: int32[B + 1], where each text's characters start among the N.
        bytes_before: int32[N], UTF-8 bytes of all words up to each character (of the normal forms, the batch's words
            taken as one string): what a byte of the words is traced back to its character with.
        byte_starts: int64[N], byte of the original text at which each character starts.
    """

    strings: tf.Tensor
    lengths: tf.Tensor
    row_splits: tf.Tensor
    bytes_before: tf.Tensor
    byte_starts: tf.Tensor


def split_words(texts: tf.Tensor, table: UnicodeTable) -> Words:
    """Splits texts into normalised words.

    Args:
        texts: str[B], UTF-8. Bytes that are not UTF-8 count as U+FFFD, which is dropped.
        table: what becomes of each character.

    Returns:
        The words.
    """
    characters = tf.raw_ops.UnicodeDecodeWithOffsets(
        input=tf.strings.join([texts, " "]), input_encoding="UTF-8", errors="replace"
    )
    codes = characters.char_values
    page = tf.gather(table.pages, tf.bitwise.right_shift(codes, 8))
    entry = tf.gather(table.entries, page + tf.bitwise.bitwise_and(codes, 255))
    units = _normal_units(codes, entry)

    kind = tf.bitwise.right_shift(units, KIND_SHIFT)
    letters = tf.bitwise.bitwise_and(units, (1 << KIND_SHIFT) - 1)
    is_sequence = tf.equal(kind, SEQUENCE)
    letters = tf.where(is_sequence, tf.gather(table.sequences, tf.where(is_sequence, letters, 0)), letters)

    in_run = kind < SPACE
    after_run = tf.concat([[False], in_run[:-1]], axis=0)
    starts_word = tf.equal(kind, SINGLE) | (in_run & ~after_run)
    visible = tf.where(tf.not_equal(kind, SPACE))[:, 0]
    word_starts = tf.cast(tf.where(tf.gather(starts_word, visible))[:, 0], tf.int32)
    word_splits = tf.concat([word_starts, tf.shape(visible)], axis=0)

    size = tf.bitwise.bitwise_and(tf.bitwise.right_shift(entry, LENGTH_BITS), (1 << SIZE_BITS) - 1)
    return Words(
        strings=tf.raw_ops.UnicodeEncode(
            input_values=tf.gather(letters, visible), input_splits=word_splits, output_encoding="UTF-8"
        ),
        lengths=word_splits[1:] - word_splits[:-1],
        row_splits=tf.cast(characters.row_splits, tf.int32),
        bytes_before=tf.cumsum(size, exclusive=True),
        byte_starts=characters.char_to_byte_starts,
    )


def _normal_units(codes: tf.Tensor, entry: tf.Tensor) -> tf.Tensor:
    """Replaces each character by its 0 to 3 normalised units (see `UnicodeTable`)."""
    first = codes + tf.bitwise.right_shift(entry, LENGTH_BITS + SIZE_BITS)
    length = tf.bitwise.bitwise_and(entry, (1 << LENGTH_BITS) - 1)
    # The units of one character are consecutive numbers, so that one op drops, keeps and expands.
    return tf.raw_ops.RaggedRange(starts=first, limits=first + length, deltas=1, Tsplits=tf.int32).rt_dense_values
