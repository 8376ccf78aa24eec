"""Splits texts into GPT-2's words in graph ops, without a regular expression, and remembers where each byte came from.

The reference splits by (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners")

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

whose look-ahead TensorFlow's engine lacks. Every character matches some alternative, so the words tile the text, and
where one starts follows from a character's class and its neighbours':

- letters, numbers and other visible characters: where a run of one class starts, unless a blank (U+0020) is before;
- white space: where a run of it starts, and at its last character if a visible one follows (which a blank then leads);
- an apostrophe that is a word by itself takes the letters of a contraction after it, and a word starts behind them.
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from kerasft.text.gpt2_characters import LETTERS, NUMBERS, WHITE_SPACE

# Classes of characters; the rules compare them by order. END is the mark behind each text.
LETTER, NUMBER, OTHER, SPACE, END = range(5)

PAGE_BITS = 8
_MARK = "\n"  # any character but a blank


@dataclasses.dataclass(frozen=True)
class CharacterClasses:
    """The class of every code point, with equal pages stored once: `classes[pages[c >> 8] + (c & 255)]`.

    Attributes:
        pages: int32[4352].
        classes: uint8[n], n a multiple of 256.
    """

    pages: np.ndarray
    classes: np.ndarray


@functools.lru_cache(maxsize=1)
def character_classes() -> CharacterClasses:
    """Builds the table."""
    classes = np.full(0x110000, OTHER, np.uint8)
    for members, number in ((LETTERS, LETTER), (NUMBERS, NUMBER), (WHITE_SPACE, SPACE)):
        classes[list(members)] = number
    classes, page = np.unique(classes.reshape(-1, 1 << PAGE_BITS), axis=0, return_inverse=True)
    return CharacterClasses((page.reshape(-1) << PAGE_BITS).astype(np.int32), classes.reshape(-1))


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of a batch of texts, with B texts, N characters and W words in all.

    One mark is put behind each text, and counts in N. So the character after the last one of a word always exists in
    the same row.

    Attributes:
        strings: str[W], valid UTF-8, row after row.
        word_splits: int32[B + 1], where each text's words start among the W.
        row_splits: int32[B + 1], where each text's characters start among the N.
        sizes: int32[N], UTF-8 bytes of each character in `strings`, 0 for marks.
        byte_starts: int64[N], byte of the original text at which each character starts.
    """

    strings: tf.Tensor
    word_splits: tf.Tensor
    row_splits: tf.Tensor
    sizes: tf.Tensor
    byte_starts: tf.Tensor


def split_words(texts: tf.Tensor, table: CharacterClasses) -> Words:
    """Splits texts into words.

    Args:
        texts: str[B]. Bytes that are not UTF-8 count as U+FFFD, as many as `bytes.decode(errors="replace")` gives.
        table: the classes.

    Returns:
        The words.
    """
    characters = tf.raw_ops.UnicodeDecodeWithOffsets(
        input=tf.strings.join([texts, _MARK]), input_encoding="UTF-8", errors="replace"
    )
    codes = characters.char_values
    row_splits = tf.cast(characters.row_splits, tf.int32)
    page = tf.gather(table.pages, tf.bitwise.right_shift(codes, PAGE_BITS))
    kinds = tf.cast(tf.gather(table.classes, page + tf.bitwise.bitwise_and(codes, (1 << PAGE_BITS) - 1)), tf.int32)
    marks = row_splits[1:, tf.newaxis] - 1
    kinds = tf.tensor_scatter_nd_update(kinds, marks, tf.fill(tf.shape(marks)[:1], END))

    starts = _contract(_word_starts(codes, kinds), codes, kinds)
    first = tf.where(starts)[:, 0]
    splits = tf.concat([tf.cast(first, tf.int32), tf.shape(codes)], axis=0)
    strings = tf.raw_ops.UnicodeEncode(input_values=codes, input_splits=splits, output_encoding="UTF-8")
    is_mark = tf.equal(tf.gather(kinds, first), END)
    words_before_mark = tf.cast(tf.where(is_mark)[:, 0], tf.int32) - tf.range(tf.size(marks))
    sizes = 1 + tf.add_n([tf.cast(codes > limit, tf.int32) for limit in (0x7F, 0x7FF, 0xFFFF)])
    return Words(
        strings=tf.gather(strings, tf.squeeze(tf.where(~is_mark), 1)),
        word_splits=tf.concat([[0], words_before_mark], axis=0),
        row_splits=row_splits,
        sizes=tf.where(tf.equal(kinds, END), 0, sizes),
        byte_starts=characters.char_to_byte_starts,
    )


def _word_starts(codes: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
    """The first two rules, and each mark a word: bool[N]."""
    before = tf.concat([[END], kinds[:-1]], axis=0)
    after = tf.concat([kinds[1:], [END]], axis=0)
    blank_before = tf.concat([[False], tf.equal(codes, ord(" "))[:-1]], axis=0)
    starts_run = tf.not_equal(kinds, before)
    return tf.where(
        tf.equal(kinds, SPACE),
        starts_run | (after < SPACE),
        (starts_run & ~blank_before) | tf.equal(kinds, END),
    )


def _contract(starts: tf.Tensor, codes: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
    """The third rule: joins 's, 't, 'm, 'd, 're, 've and 'll."""
    # A mark is behind the last letter, so that both places after an apostrophe before a letter exist.
    letter_after = tf.concat([tf.equal(kinds, LETTER)[1:], [False]], axis=0)
    apostrophes = tf.where(starts & tf.equal(codes, ord("'")) & letter_after)[:, 0]
    first, second = tf.gather(codes, apostrophes + 1), tf.gather(codes, apostrophes + 2)
    single = functools.reduce(tf.logical_or, (tf.equal(first, ord(letter)) for letter in "stmd"))
    double = functools.reduce(
        tf.logical_or, (tf.equal(first, ord(a)) & tf.equal(second, ord(b)) for a, b in ("re", "ve", "ll"))
    )
    hits = tf.squeeze(tf.where(single | double), 1)
    joined = tf.gather(apostrophes, hits) + 1
    behind = joined + tf.where(tf.gather(single, hits), np.int64(1), np.int64(2))
    places = tf.concat([joined, behind], axis=0)[:, tf.newaxis]
    values = tf.concat([tf.zeros_like(joined, tf.bool), tf.ones_like(behind, tf.bool)], axis=0)
    return tf.tensor_scatter_nd_update(starts, places, values)
