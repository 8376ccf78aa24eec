"""How probable given texts are: the model's log-probability of each token, computed like generation's."""

import tensorflow as tf

from kerasft.backbones.view import Decoder
from kerasft.generation.choose import log_probability
from kerasft.generation.forward import empty_cache, read_tokens

_CHUNK = 16  # tokens of a row at a time: each has V logits


def score(decoder: Decoder, weights, tokens: tf.Tensor, starts: tf.Tensor) -> tf.Tensor:
    """The log-probability of each token given those before it.

    Args:
        decoder: the model.
        weights: its weights.
        tokens: int32[B, T].
        starts: int32[B], the column of each row's first token.

    Returns:
        float32[B, T], natural logarithms. Those up to a row's first token, of which the model says nothing, and those
        of what fills a row up behind, mean nothing; they change none of the others.
    """
    rows, width = tf.shape(tokens)[0], tf.shape(tokens)[1]
    following = tf.pad(tokens, [[0, 0], [0, 1]])

    def visit(found, first, hidden):
        count = tf.shape(hidden)[0] // tf.maximum(rows, 1)
        wanted = tf.reshape(following[:, first + 1 : first + 1 + count], [-1])
        likely = tf.reshape(log_probability(decoder.logits(weights, hidden), wanted), [rows, count])
        columns = first + 1 + tf.range(count)
        return tf.tensor_scatter_nd_update(found, columns[:, tf.newaxis], tf.transpose(likely))

    cache = empty_cache(decoder, rows, tf.maximum(width, 1))
    # The last token says nothing of any other, but a place for what it says keeps all tokens alike.
    found = tf.zeros([width + 1, rows])
    _, found = read_tokens(decoder, weights, cache, tokens, starts, visit, found, chunk=_CHUNK)
    return tf.transpose(found)[:, :width]
