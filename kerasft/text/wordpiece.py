"""WordPiece: normalised words -> pieces of the vocabulary, longest match first.

The algorithm is that of Song et al., "Fast WordPiece Tokenization" (https://aclanthology.org/2021.emnlp-main.160), in
TensorFlow Text. Its limit on a word's length is in bytes, BERT's is in characters: `WordPiece` applies the latter.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_text as tf_text

_MAX_CHARACTERS = 100
_MAX_BYTES = 4 * _MAX_CHARACTERS  # a longer word has more characters than it may have


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The P pieces of a list of words.

    Attributes:
        ids: int32[P].
        starts: int32[P], first byte of each piece in the concatenation of the words.
        ends: int32[P], the byte after its last.
    """

    ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor


class WordPiece:
    """Splits words into the pieces of one vocabulary.

    Args:
        vocabulary: the pieces, in the order of their ids; those inside a word start with `##`.
        unknown: the piece that stands for a word which cannot be split, or has more than 100 characters.
    """

    def __init__(self, vocabulary: Sequence[str], unknown: str):
        # Outside any graph under construction, so that all functions share one constant; on the CPU, where the op is.
        with tf.init_scope(), tf.device("CPU:0"):
            self._tokenizer = tf_text.FastWordpieceTokenizer(
                vocab=list(vocabulary),
                max_bytes_per_word=_MAX_BYTES,
                unknown_token=unknown,
                token_out_type=tf.int32,
                no_pretokenization=True,
            )

    def split(self, words: tf.Tensor, lengths: tf.Tensor) -> Pieces:
        """Splits words.

        Args:
            words: str[W], normalised, none empty.
            lengths: int32[W], their characters.

        Returns:
            The pieces. They tile the words: each byte of a word is in one piece.
        """
        too_long = lengths > _MAX_CHARACTERS
        words = tf.cond(tf.reduce_any(too_long), lambda: _unsplittable(words, too_long), lambda: words)
        ids, starts, ends = self._tokenizer.tokenize_with_offsets(words)
        size = tf.cast(ends.values - starts.values, tf.int32)
        ends = tf.cumsum(size)
        return Pieces(ids.values, ends - size, ends)


def _unsplittable(words: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Replaces the chosen words by NULs, which no piece holds, of the same number of bytes."""
    size = tf.strings.length(words)
    nothing = tf.strings.substr(tf.fill(tf.shape(words), "\0" * _MAX_BYTES), tf.zeros_like(size), size)
    # Words of more bytes than that are unknown to TensorFlow Text too, and must keep their size.
    return tf.where(chosen & (size <= _MAX_BYTES), nothing, words)
