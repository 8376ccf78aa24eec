"""One pass of the frozen part over all rows, in inference; each replica runs batches of its own."""

from collections.abc import Iterator, Sequence

import numpy as np

from kerasft.data.pipeline import LENGTH_STEP, Encoded, evened, sorted_batches, token_batch
from kerasft.network import Network, prefix_model
from kerasft.training.devices import tokens_at_once

_BATCH_ROWS = 1024


def prefix_pass(
    network: Network, encoded: Encoded, boundaries: Sequence[int], rows: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, dict[int, np.ndarray]]]:
    """Runs the embeddings and the blocks below the highest boundary over rows once.

    Under a strategy with several replicas in this process, called inside its scope, every replica runs every n-th
    batch. Each worker of a cluster runs all of them: each reads its own cache.

    Args:
        network: its layers, in their own precision.
        encoded: the rows.
        boundaries: blocks that the wanted states enter.
        rows: int64[R], those to run; all when None.

    Yields:
        Row numbers int64[B], and boundary -> float16[sum of their lengths, H], without padding, in that order.
    """
    import tensorflow as tf

    model = prefix_model(network, boundaries)
    largest = float(np.finfo(np.float16).max)

    def states(batch):
        real = tf.cast(batch["padding_mask"], tf.bool)
        return {key: half(tf.boolean_mask(value, real)) for key, value in model(batch, training=False).items()}

    def half(value):
        # In float32: the nearest that bfloat16 has to the bound is beyond it.
        return tf.cast(tf.clip_by_value(tf.cast(value, tf.float32), -largest, largest), tf.float16)

    strategy = tf.distribute.get_strategy()
    replicas = len(strategy.extended.worker_devices) if tf.distribute.has_strategy() else 1
    inputs = {name: tf.TensorSpec([None, None], tf.int32) for name in encoded.padding}

    @tf.function(input_signature=[[inputs] * replicas])
    def run(batches):
        if replicas == 1:
            return [states(batches[0])]
        own = strategy.experimental_distribute_values_from_function(
            lambda context: batches[context.replica_id_in_sync_group % replicas]
        )
        return strategy.experimental_local_results(strategy.run(states, args=(own,)))

    def fetched(started):
        for rows, found in zip(*started, strict=False):
            yield rows, {boundary: found[str(boundary)].numpy() for boundary in boundaries}

    # With lengths rounded up, batches of as many rows follow each other.
    rounded = -(-encoded.lengths // LENGTH_STEP) * LENGTH_STEP
    if rows is None:
        rows = np.arange(len(rounded))
    batches = [rows[batch] for batch in sorted_batches(rounded[rows], _BATCH_ROWS, tokens_at_once())]
    most = int(encoded.lengths.max(initial=0))
    started = ([], [])
    for first in range(0, len(batches), replicas):
        group = batches[first : first + replicas]
        # The last group may be short of batches: the replicas left over repeat one.
        feeds = [evened(token_batch(encoded, rows), most) for rows in (group + group[-1:] * replicas)[:replicas]]
        # The next batches are on their way before the last ones are fetched, so that a GPU does not wait for the disk.
        last, started = started, (group, run(feeds))
        yield from fetched(last)
    yield from fetched(started)
