"""The forward pass with a key-value cache: tokens are given piece by piece, and each is computed once.

The cache is one tensor for the keys and one for the values of each block, float32[B * heads, S, d], with S places for
each row. A token of row b at place p is written to [b * heads + head, p]; places that are not written yet, or have only
the rest of a longer row, are never read, for a token sees the places up to its own. So rows of any lengths go together,
each from place 0 on. Core ops alone: a scatter that TensorFlow does in place, whatever S is.
"""

import tensorflow as tf

from kerasft.backbones.view import Decoder

_CHUNK = 128  # tokens of a prompt at a time: attention takes memory for each of them times S
_UNSEEN = -1e9

Cache = tuple[tuple[tf.Tensor, tf.Tensor], ...]


def empty_cache(decoder: Decoder, rows: tf.Tensor, size: tf.Tensor) -> Cache:
    """A cache with nothing in it.

    Args:
        decoder: for how many blocks, heads and numbers.
        rows: B.
        size: S.

    Returns:
        (keys, values), float32[B * heads, S, d] each, for each block.
    """

    def zeros():
        return tf.zeros([rows * decoder.heads, size, decoder.head_size])

    return tuple((zeros(), zeros()) for _ in range(decoder.blocks))


def extend(decoder: Decoder, weights, cache: Cache, tokens: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, Cache]:
    """Computes the next Q tokens of each row.

    Args:
        decoder: the model.
        weights: its weights.
        cache: what the rows have before; what it has at `places` is replaced.
        tokens: int32[B, Q].
        places: int32[B, Q], from 0; all below S and the model's context.

    Returns:
        Hidden states float32[B * Q, H], row after row, for `decoder.logits`; and the cache with these tokens.
    """
    one = tokens.shape[1] == 1
    count = 1 if one else tf.shape(tokens)[1]
    heads, size = decoder.heads, decoder.head_size
    rows = tf.range(tf.shape(tokens)[0])
    first, places = rows[:, tf.newaxis] * heads, tf.ensure_shape(places, [None, tokens.shape[1]])
    row = tf.broadcast_to((first + tf.range(heads))[:, tf.newaxis], [tf.size(rows), count, heads])
    column = tf.broadcast_to(places[:, :, tf.newaxis], tf.shape(row))
    targets = tf.reshape(tf.stack([row, column], axis=-1), [-1, 2])
    unseen = _unseen(places, tf.shape(cache[0][0])[1], heads)

    def by_head(values):
        """[B * Q, heads * d] -> [B * heads, Q, d]."""
        if one:
            return tf.reshape(values, [-1, 1, size])
        values = tf.transpose(tf.reshape(values, [-1, count, heads, size]), [0, 2, 1, 3])
        return tf.reshape(values, [-1, count, size])

    def by_token(values):
        """[B * heads, Q, d] -> [B * Q, heads * d]."""
        if not one:
            values = tf.transpose(tf.reshape(values, [-1, heads, count, size]), [0, 2, 1, 3])
        return tf.reshape(values, [-1, heads * size])

    hidden = decoder.embed(weights, tf.reshape(tokens, [-1]), tf.reshape(places, [-1]))
    written = []
    for block, (keys, values) in enumerate(cache):
        queries, new_keys, new_values = decoder.project(weights, block, hidden)
        keys = tf.tensor_scatter_nd_update(keys, targets, tf.reshape(new_keys, [-1, size]))
        values = tf.tensor_scatter_nd_update(values, targets, tf.reshape(new_values, [-1, size]))
        shares = tf.nn.softmax(tf.matmul(by_head(queries), keys, transpose_b=True) + unseen)
        hidden = decoder.finish_block(weights, block, hidden, by_token(tf.matmul(shares, values)))
        written.append((keys, values))
    return hidden, tuple(written)


def _unseen(places: tf.Tensor, size: tf.Tensor, heads: int) -> tf.Tensor:
    """float32[B * heads, Q, S]: 0 where a token at `places` int32[B, Q] may look, far below all logits elsewhere."""
    later = tf.cast(tf.range(size) > places[:, :, tf.newaxis], tf.float32) * _UNSEEN
    return tf.repeat(later, heads, axis=0)


def read_tokens(decoder: Decoder, weights, cache: Cache, tokens: tf.Tensor, visit=None, given=(), chunk: int = _CHUNK):
    """Computes the tokens of whole rows from place 0 on, some at a time, so that memory is bounded.

    Args:
        decoder: the model.
        weights: its weights.
        cache: of at least T places.
        tokens: int32[B, T]; what fills a row up is computed too, and no token of the row looks at it.
        visit: (given, the first place of these tokens, their hidden states float32[B * Q, H]) -> given; what is wanted
            of the hidden states. It may see a place more than once.
        given: what `visit` is given first.
        chunk: the most tokens of a row at a time.

    Returns:
        The cache, and what `visit` gave last.
    """
    length = tf.shape(tokens)[1]
    count = tf.minimum(length, chunk)

    def more(start, given, cache):
        return start < length

    def read(start, given, cache):
        # The last tokens come with some that were computed before, to the same values: there is no filling.
        first = tf.minimum(start, length - count)
        places = tf.broadcast_to(first + tf.range(count), [tf.shape(tokens)[0], count])
        hidden, cache = extend(decoder, weights, cache, tokens[:, first : first + count], places)
        return start + count, given if visit is None else visit(given, first, hidden), cache

    _, given, cache = tf.while_loop(more, read, (tf.constant(0), given, cache), parallel_iterations=1)
    return cache, given


def repeat_rows(decoder: Decoder, cache: Cache, rows: tf.Tensor) -> Cache:
    """Gathers rows of a cache, in any order and as often as wanted.

    Args:
        decoder: the model.
        cache: of B rows.
        rows: int32[R], numbers of rows.

    Returns:
        A cache of R rows.
    """
    places = tf.reshape(rows[:, tf.newaxis] * decoder.heads + tf.range(decoder.heads), [-1])
    return tuple((tf.gather(keys, places), tf.gather(values, places)) for keys, values in cache)
