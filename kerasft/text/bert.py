"""BERT's tokenisation as one graph function: str[B] -> token ids with byte and character offsets.

Equal to the reference implementation (normaliser, pre-tokeniser and WordPiece of the `tokenizers` library; Devlin et
al., https://arxiv.org/abs/1810.04805), but that special tokens spelt out in a text stay text: "[MASK]" is three words.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from kerasft.text.unicode_table import unicode_table
from kerasft.text.wordpiece import Pieces, WordPiece
from kerasft.text.words import Words, split_words


class Tokens(NamedTuple):
    """The tokens of a batch of texts, without special tokens: ragged tensors, all int32[B, (T)] with the same splits.

    Attributes:
        ids: token ids.
        byte_starts: first byte of each token in its text.
        byte_ends: the byte after its last.
        char_starts: first character (code point) of each token in its text.
        char_ends: the character after its last.
    """

    ids: tf.RaggedTensor
    byte_starts: tf.RaggedTensor
    byte_ends: tf.RaggedTensor
    char_starts: tf.RaggedTensor
    char_ends: tf.RaggedTensor


def make_tokenizer(
    vocabulary: Sequence[str],
    lowercase: bool,
    strip_accents: bool | None = None,
    split_cjk: bool = True,
    unknown: str = "[UNK]",
) -> Callable[[tf.Tensor], Tokens]:
    """Makes the tokenising function of one vocabulary.

    Args:
        vocabulary: the pieces, in the order of their ids.
        lowercase: whether texts are lower-cased ("uncased" models).
        strip_accents: whether accents are removed; None follows `lowercase`.
        split_cjk: whether each Chinese character is a word.
        unknown: the piece for words that the vocabulary cannot spell.

    Returns:
        A function from str[B] to `Tokens`. It consists of stateless graph ops and constants, runs eagerly, in a
        `tf.function`, in `tf.data` and in an exported SavedModel, and takes any bytes: those that are not UTF-8 are
        dropped. Offsets of a token span the characters that it was made of, without the accents and control
        characters dropped after the last one; tokens made of one character (Hangul syllables) share its offsets.
    """
    table = unicode_table(lowercase, lowercase if strip_accents is None else strip_accents, split_cjk)
    with tf.init_scope(), tf.device("CPU:0"):
        table = dataclasses.replace(table, **{k: tf.constant(v) for k, v in vars(table).items()})
    wordpiece = WordPiece(vocabulary, unknown)

    def tokenize(texts: tf.Tensor) -> Tokens:
        # String ops exist on the CPU alone; without this, an accelerator would get the arithmetic between them.
        with tf.name_scope("bert_tokens"), tf.device("CPU:0"):
            words = split_words(tf.ensure_shape(texts, [None]), table)
            pieces = wordpiece.split(words.strings, words.lengths)
            return _locate(words, pieces)

    return tokenize


def _locate(words: Words, pieces: Pieces) -> Tokens:
    """Traces pieces back to the characters of the texts."""
    # A character with bytes is the last of those with the same number of bytes before.
    first = tf.searchsorted(words.bytes_before, pieces.starts, side="right") - 1
    last = tf.searchsorted(words.bytes_before, pieces.ends - 1, side="right") - 1
    row = tf.searchsorted(words.row_splits, first, side="right") - 1
    row_start = tf.gather(words.row_splits, row)
    splits = tf.searchsorted(first, words.row_splits, out_type=tf.int64)

    def ragged(values: tf.Tensor) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_splits(tf.cast(values, tf.int32), splits, validate=False)

    return Tokens(
        ids=ragged(pieces.ids),
        byte_starts=ragged(tf.gather(words.byte_starts, first)),
        byte_ends=ragged(tf.gather(words.byte_starts, last + 1)),
        char_starts=ragged(first - row_start),
        char_ends=ragged(last + 1 - row_start),
    )
