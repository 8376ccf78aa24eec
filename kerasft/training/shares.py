"""From row numbers to what each replica is given: its share of a global batch, with weights that sum to 1 over all."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasft.data.pipeline import TokenTargets, evened
from kerasft.training.devices import tokens_at_once

Inputs = Mapping[str, np.ndarray]
_XLA_STEP = 32
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
    # Rows that all count nothing: windows without a word that is tagged.
    normed = (weights / max(weights.sum(), np.finfo(np.float32).tiny)).astype(np.float32)
    size = -(-len(rows) // pieces)
    places = np.arange(size)[None] * pieces + (replica * accumulate + np.arange(accumulate))[:, None]
    inside = places < len(rows)
    places = np.where(inside, places, 0)
    return Share(rows[places].reshape(-1), np.where(inside, normed[places], np.float32(0)).reshape(-1))


def training_element(
    batch_of: Callable[[np.ndarray], Inputs], targets: np.ndarray | TokenTargets, part: Share, accumulate: int
) -> tuple[Inputs, np.ndarray, np.ndarray]:
    """The arrays of a share: inputs, targets, weights, each with a leading axis of micro-batches.

    Args:
        batch_of: row numbers -> inputs [B, T, …].
        targets: of all rows, [N, …] or one for each place.
        part: the share.
        accumulate: its micro-batches.
    """

    def cut(array):
        return array.reshape(accumulate, -1, *array.shape[1:])

    inputs = batch_of(part.rows)
    chosen = targets_of(targets, part.rows, next(iter(inputs.values())).shape[1])
    return {name: cut(array) for name, array in inputs.items()}, cut(chosen), cut(part.weights)


def targets_of(targets: np.ndarray | TokenTargets, rows: np.ndarray, width: int) -> np.ndarray:
    """The targets of some rows: [B, …], or int32[B, width] where each place has one."""
    return targets[rows] if isinstance(targets, np.ndarray) else targets.padded(rows, width)


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
        endless = made.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)).prefetch(2)
        # Nothing is to be tuned; and freeing an iterator would wait for the tuner's thread to look: up to a minute.
        options = tf.data.Options()
        options.autotune.enabled = False
        return endless.with_options(options)

    if strategy.num_replicas_in_sync == 1:
        return of_worker(tf.distribute.InputContext())
    return strategy.distribute_datasets_from_function(of_worker)


def training_dataset(
    strategy,
    train: Any,
    batch_of: Callable[[Any, np.ndarray], Inputs],
    batches: Callable[[], Iterable[np.ndarray]],
    accumulate: int,
    xla: bool,
    whole: bool = False,
):
    """Batches as each replica gets them, in as many micro-batches as the recipe wants and the memory needs.

    Args:
        strategy: a `tf.distribute.Strategy`.
        train: `kerasft.training.job.Examples`.
        batch_of: (the examples, numbers of their sequences) -> the model's inputs.
        batches: () -> the row numbers of each global batch, without end.
        accumulate: micro-batches that the recipe wants.
        xla: whether the update is compiled: it is, anew, for each shape.
        whole: one micro-batch, whatever memory it needs.

    Returns:
        What `fit` takes.
    """
    count, encoded, at_once = strategy.num_replicas_in_sync, train.encoded, tokens_at_once()
    longest, lengths = int(encoded.lengths.max()), encoded.group_lengths

    def inputs_of(rows):
        batch = batch_of(train, encoded.sequences(rows))
        return evened(batch, longest, _XLA_STEP) if xla else batch

    def elements(replicas):
        for rows in batches():
            number = 1
            if not whole:
                number = pieces(len(rows), int(lengths[rows].max()), count, accumulate, at_once)
            for replica in replicas:
                yield training_element(
                    inputs_of, train.targets, share(rows, train.weights[rows], replica, count, number), number
                )

    return distributed_dataset(strategy, elements)
