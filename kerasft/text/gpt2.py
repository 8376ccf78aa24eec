"""GPT-2's tokenisation as one graph function: str[B] -> token ids with byte and character offsets.

Equal to the reference implementation (byte-level pre-tokeniser without a prefix space, and BPE, of the `tokenizers`
library; Radford et al. 2019), but that special tokens spelt out in a text stay text: "<|endoftext|>" is seven tokens.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from kerasft.text.bert import Tokens
from kerasft.text.bpe import BytePairs, Encoded, Merges
from kerasft.text.gpt2_words import Words, character_classes, split_words


def make_tokenizer(merges: Merges) -> Callable[[tf.Tensor], Tokens]:
    """Makes the tokenising function of one vocabulary.

    Args:
        merges: as `kerasft.text.gpt2_vocabulary.read_byte_pairs` gives them.

    Returns:
        A function from str[B] to `kerasft.text.bert.Tokens`. It consists of stateless graph ops and constants, runs
        eagerly, in a `tf.function`, in `tf.data` and in an exported SavedModel, and takes any bytes: those that are not
        UTF-8 are read as U+FFFD, just as Python's `bytes.decode(errors="replace")` reads them. The tokens of a text
        tile it. Those made of a part of a character's bytes have its character offsets, and byte offsets of their own
        (but all bytes that a U+FFFD stands for).
    """
    table = character_classes()
    sizes = [len(token or b"") for token in merges.tokens]
    with tf.init_scope(), tf.device("CPU:0"):
        table = dataclasses.replace(table, **{k: tf.constant(v) for k, v in vars(table).items()})
        sizes = tf.constant(sizes, tf.uint8 if max(sizes) < 256 else tf.int32)
    pairs = BytePairs(merges)

    def tokenize(texts: tf.Tensor) -> Tokens:
        # String ops exist on the CPU alone; without this, an accelerator would get the arithmetic between them.
        with tf.name_scope("gpt2_tokens"), tf.device("CPU:0"):
            words = split_words(tf.ensure_shape(texts, [None]), table)
            return _locate(words, pairs.encode(words.strings), sizes)

    return tokenize


def _locate(words: Words, encoded: Encoded, sizes: tf.Tensor) -> Tokens:
    """Traces tokens back to the characters of the texts."""
    size = tf.cast(tf.gather(sizes, encoded.ids), tf.int32)
    ends = tf.cumsum(size)
    starts = ends - size
    # A character with bytes is the last of those with the same number of bytes before.
    bytes_before = tf.cumsum(words.sizes, exclusive=True)
    first = tf.searchsorted(bytes_before, starts, side="right") - 1
    last = tf.searchsorted(bytes_before, ends - 1, side="right") - 1
    row_start = tf.gather(words.row_splits, tf.searchsorted(words.row_splits, first, side="right") - 1)
    splits = tf.cast(tf.gather(encoded.splits, words.word_splits), tf.int64)

    # Within a character that stands for other bytes than its own, there is no place to point at.
    original = tf.cast(words.byte_starts, tf.int32)
    behind = tf.concat([original[1:], original[:1]], axis=0)
    is_exact = tf.equal(behind - original, words.sizes)
    skipped = tf.where(tf.gather(is_exact, first), starts - tf.gather(bytes_before, first), 0)
    left = tf.where(tf.gather(is_exact, last), tf.gather(bytes_before + words.sizes, last) - ends, 0)

    def ragged(values: tf.Tensor) -> tf.RaggedTensor:
        return tf.RaggedTensor.from_row_splits(values, splits, validate=False)

    return Tokens(
        ids=ragged(encoded.ids),
        byte_starts=ragged(tf.gather(original, first) + skipped),
        byte_ends=ragged(tf.gather(behind, last) - left),
        char_starts=ragged(first - row_start),
        char_ends=ragged(last + 1 - row_start),
    )
