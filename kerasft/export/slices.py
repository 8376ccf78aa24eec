"""Rows of a batch, some at a time: those of like length together, and never more than memory should hold."""

from collections.abc import Callable, Collection, Mapping

import tensorflow as tf

# Rows up to 16 tokens are filled up to 16 at most, and so on. Steps of two: more of them make more and smaller runs,
# and were slower.
_EDGES = (16, 32, 64, 128, 256, 512)


def in_slices(
    run: Callable, inputs: Mapping[str, tf.Tensor], of_places: Collection[str], tokens: int, fill_up: bool = False
) -> tf.Tensor:
    """What a network gives for a batch, a slice of rows of like length at a time.

    A server that joins requests joins short and long texts. Together all would be as wide as the longest: 32 sentences
    of 5 to 130 tokens took 4.3 times as long (tests/benchmarks/README.md).

    Args:
        run: inputs of some rows [n, …] -> float32[n, …].
        inputs: of the network, [N, …] each, `padding_mask` among them, filled up behind.
        of_places: the inputs that are [N, T], a value for each token.
        tokens: of a slice at most, filling included; a row that has more is a slice of its own.
        fill_up: `run` gives a value for each token too, on the second axis: a narrower slice is filled up with zeros.

    Returns:
        float32[N, …], in the order of the rows. Graph ops only.
    """
    mask = tf.cast(inputs["padding_mask"], tf.int32)
    width = tf.shape(mask)[1]
    order, lengths, starts, ends = _slices(tf.reduce_sum(mask, axis=1), tokens)
    count = tf.shape(starts)[0]

    def one(number, found):
        start, end = starts[number], ends[number]
        rows = order[start:end]
        # A place at least, should there be no rows.
        widest = tf.minimum(tf.reduce_max(tf.concat([lengths[start:end], [1]], axis=0)), width)
        given = {name: tf.gather(value, rows) for name, value in inputs.items()}
        value = run({name: part[:, :widest] if name in of_places else part for name, part in given.items()})
        if fill_up:
            rest = [[0, 0]] * (value.shape.rank - 2)
            value = tf.pad(value, [[0, 0], [0, width - widest], *rest])
        return number + 1, found.write(number, value)

    found = tf.TensorArray(tf.float32, size=count, infer_shape=False)
    found = tf.while_loop(lambda number, _: number < count, one, (0, found), parallel_iterations=1)[1]
    return tf.gather(found.concat(), tf.math.invert_permutation(order))


def _slices(lengths: tf.Tensor, tokens: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where a batch is cut.

    Args:
        lengths: int32[N], of the rows.
        tokens: as in `in_slices`.

    Returns:
        int32 each: the rows by length [N]; their lengths [N]; of S slices, 1 or more, where in that order each begins
        [S], and where it has ended [S].
    """
    order = tf.argsort(lengths)
    lengths = tf.gather(lengths, order)
    edges = tf.constant(_EDGES)
    group = tf.searchsorted(edges, lengths)
    # What is longer than the last edge has no width that is known beforehand.
    widths = tf.gather(tf.concat([edges, [tf.reduce_max(tf.concat([lengths, [1]], axis=0))]], axis=0), group)
    place = tf.range(tf.shape(lengths)[0]) - tf.searchsorted(group, group)
    firsts = tf.where(tf.equal(place % tf.maximum(tokens // widths, 1), 0))[:, 0]
    starts = tf.concat([[0], tf.cast(firsts, tf.int32)[1:]], axis=0)
    ends = tf.concat([starts[1:], [tf.shape(lengths)[0]]], axis=0)
    return order, lengths, starts, ends
