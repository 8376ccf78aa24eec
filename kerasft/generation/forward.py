"""The forward pass with a key-value cache: tokens are given piece by piece, and each is computed once.

The cache is one tensor for the keys and one for the values of each block, float32[B * heads, S, d], with S columns.
All rows write the same columns at a time, and a row begins at a column of its own: so prompts of any lengths, side by
side at their right ends, go on together. A token sees the columns from its row's first one to its own.

Columns are written by `TensorStridedSliceUpdate`, the one core op that does it in place, whatever S is (0.05 ms; with
20 MB, `TensorScatterUpdate` takes 9 ms on the same busy machine, for it copies all; Keras' `slice_update` needs XLA).
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


def extend(
    decoder: Decoder, weights, cache: Cache, tokens: tf.Tensor, column: tf.Tensor, starts: tf.Tensor
) -> tuple[tf.Tensor, Cache]:
    """Computes the next Q tokens of each row.

    Args:
        decoder: the model.
        weights: its weights.
        cache: what the rows have before `column`.
        tokens: int32[B, Q].
        column: int32, that of the first of them; the last one's is below S.
        starts: int32[B], the column of each row's place 0. What is before it is computed and never seen.

    Returns:
        Hidden states float32[B * Q, H], row after row, for `decoder.logits`; and the cache with these tokens.
    """
    one = tokens.shape[1] == 1
    count = 1 if one else tf.shape(tokens)[1]
    heads, size = decoder.heads, decoder.head_size
    columns = column + tf.range(count)
    unseen = _unseen(columns, tf.shape(cache[0][0])[1], starts, heads)

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

    # A row that is done may be given columns beyond the context.
    places = tf.clip_by_value(columns - starts[:, tf.newaxis], 0, decoder.context - 1)
    hidden = decoder.embed(weights, tf.reshape(tokens, [-1]), tf.reshape(places, [-1]))
    written = []
    for block, (keys, values) in enumerate(cache):
        queries, new_keys, new_values = decoder.project(weights, block, hidden)
        keys = _write(keys, column, count, by_head(new_keys))
        values = _write(values, column, count, by_head(new_values))
        shares = tf.nn.softmax(tf.matmul(by_head(queries), keys, transpose_b=True) + unseen)
        hidden = decoder.finish_block(weights, block, hidden, by_token(tf.matmul(shares, values)))
        written.append((keys, values))
    return hidden, tuple(written)


def _write(cached: tf.Tensor, column: tf.Tensor, count: tf.Tensor | int, new: tf.Tensor) -> tf.Tensor:
    """Columns of float32[R, S, d], in place."""
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=cached,
        begin=[0, column, 0],
        end=[0, column + count, 0],
        strides=[1, 1, 1],
        value=new,
        begin_mask=0b101,
        end_mask=0b101,
    )


def _unseen(columns: tf.Tensor, size: tf.Tensor, starts: tf.Tensor, heads: int) -> tf.Tensor:
    """float32[B * heads, Q, S]: 0 where the tokens at `columns` int32[Q] look, far below all logits elsewhere."""
    every = tf.range(size)
    is_seen = (every <= columns[:, tf.newaxis]) & (every >= starts[:, tf.newaxis, tf.newaxis])
    return tf.repeat(tf.where(is_seen, 0.0, _UNSEEN), heads, axis=0)


def read_tokens(
    decoder: Decoder,
    weights,
    cache: Cache,
    tokens: tf.Tensor,
    starts: tf.Tensor,
    visit=None,
    given=(),
    chunk: int = _CHUNK,
):
    """Computes the tokens of whole rows from column 0 on, some at a time, so that memory is bounded.

    Args:
        decoder: the model.
        weights: its weights.
        cache: of at least T columns.
        tokens: int32[B, T].
        starts: int32[B], the column of each row's place 0.
        visit: (given, the first column of these tokens, their hidden states float32[B * Q, H]) -> given; what is wanted
            of the hidden states. It may see a column more than once.
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
        hidden, cache = extend(decoder, weights, cache, tokens[:, first : first + count], first, starts)
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
