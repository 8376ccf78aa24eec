"""From row numbers to what each replica is given: its share of a global batch, with weights that sum to 1 over all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Inputs = Mapping[str, np.ndarray]
# Micro-batches, rows and tokens differ from element to element.
_FREE_AXES = 3


@dataclass(frozen=True)
class Share:
    """A replica's part of one global batch.

    Attributes:
        rows: int[M * B], row numbers, micro-batch after micro-batch.
        weights: float32[M * B]; 0 where a row only fills its place.
    """

    rows: np.ndarray
    weights: np.ndarray


def share(rows: np.ndarray, weights: np.ndarray, replica: int, replicas: int, accumulate: int = 1) -> Share:
    """Cuts a replica's share out of a global batch.

    Args:
        rows: int[N], the batch.
        weights: float[N], what each row counts; any scale.
        replica: from 0, over all workers.
        replicas: over all workers.
        accumulate: M, micro-batches that the share is cut into, of equal size.

    Returns:
        Every M-th row: neighbours are of like length, so that no replica gets all the long ones. A place without a row
        is filled by the batch's first, with weight 0: shapes stay whole and sums do not change.
    """
    pieces = replicas * accumulate
    normed = (weights / weights.sum()).astype(np.float32)
    size = -(-len(rows) // pieces)
    places = np.arange(size)[None] * pieces + (replica * accumulate + np.arange(accumulate))[:, None]
    inside = places < len(rows)
    places = np.where(inside, places, 0)
    return Share(rows[places].reshape(-1), np.where(inside, normed[places], np.float32(0)).reshape(-1))


def training_element(
    batch_of: Callable[[np.ndarray], Inputs], targets: np.ndarray, part: Share, accumulate: int
) -> tuple[Inputs, np.ndarray, np.ndarray]:
    """The arrays of a share: inputs, targets, weights, each with a leading axis of micro-batches.

    Args:
        batch_of: row numbers -> inputs [B, T, …].
        targets: [N, …] of all rows.
        part: the share.
        accumulate: its micro-batches.
    """

    def cut(array):
        return array.reshape(accumulate, -1, *array.shape[1:])

    inputs = {name: cut(array) for name, array in batch_of(part.rows).items()}
    return inputs, cut(targets[part.rows]), cut(part.weights)


def pieces(rows: int, length: int, replicas: int, accumulate: int, at_once: int) -> int:
    """How many micro-batches each device's share of a batch is cut into, so that no more than `at_once` tokens are
    in a device's memory together.

    Args:
        rows: of the global batch.
        length: T, of its longest row.
        replicas: over all workers.
        accumulate: at least so many.
        at_once: tokens, padding included.
    """
    each = -(-rows // replicas)
    return min(max(accumulate, -(-each * length // at_once)), max(each, accumulate))


def distributed_dataset(strategy, elements: Callable[[Sequence[int]], Iterator[tuple]]):
    """A dataset that hands each replica its own elements.

    Args:
        strategy: a `tf.distribute.Strategy`.
        elements: the replicas of one worker -> their elements in turn, step after step, without end.

    Returns:
        What `fit` takes. Nothing is sharded or cut again by TensorFlow: `elements` has done it.
    """
    import tensorflow as tf

    def spec(array: np.ndarray):
        free = min(array.ndim, _FREE_AXES)
        return tf.TensorSpec([None] * free + list(array.shape[free:]), array.dtype)

    def of_worker(context):
        count = context.num_replicas_in_sync // context.num_input_pipelines
        replicas = range(context.input_pipeline_id * count, (context.input_pipeline_id + 1) * count)
        signature = tf.nest.map_structure(spec, next(elements(replicas)))
        made = tf.data.Dataset.from_generator(lambda: elements(replicas), output_signature=signature)
        # Known to be endless: else every step asks all workers whether there is more.
        return made.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)).prefetch(2)

    if strategy.num_replicas_in_sync == 1:
        return of_worker(tf.distribute.InputContext())
    return strategy.distribute_datasets_from_function(of_worker)
