"""The prefix cache: the frozen part is run once, and its hidden states wait on the disk for the phases that need them.

The hidden states that enter a block stay valid as long as the blocks below it do: until a later phase unfreezes them.
Every boundary that some phase needs is filled in one pass, in half precision, without padding, into memory-mapped
files.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasft.data.pipeline import Encoded, padded, sorted_batches, token_batch
from kerasft.network import Network, prefix_model

_SPARE_BYTES = 2**30
_BATCH_ROWS = 64


@dataclass(frozen=True)
class Cache:
    """Hidden states of N rows at some boundaries.

    Attributes:
        hidden: boundary (the block that the states enter) -> float16[sum of lengths, H], memory-mapped.
        starts: int64[N + 1], where each row begins.
    """

    hidden: dict[int, np.ndarray]
    starts: np.ndarray

    def batch(self, boundary: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        """`hidden` float32[B, T, H] and `padding_mask` int32[B, T] of some rows."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        hidden = padded(self.hidden[boundary], self.starts, rows, 0).astype(np.float32)
        mask = np.arange(hidden.shape[1])[None] < lengths[:, None]
        return {"hidden": hidden, "padding_mask": mask.astype(np.int32)}


def cache_bytes(rows: Sequence[Encoded], boundaries: Sequence[int], hidden_size: int) -> int:
    """What the caches of some rows take on the disk, in bytes."""
    return sum(int(encoded.starts[-1]) for encoded in rows) * len(boundaries) * hidden_size * 2


def has_room(folder: Path, needed: int) -> bool:
    """Whether the disk of `folder` takes `needed` bytes and leaves 1 GiB."""
    return shutil.disk_usage(folder).free - needed >= _SPARE_BYTES


def fill_cache(
    network: Network,
    encoded: Encoded,
    boundaries: Sequence[int],
    folder: Path,
    tick: Callable[[int], None] = lambda rows: None,
) -> Cache:
    """Runs the prefix once over all rows.

    Args:
        network: its blocks below the highest boundary are run as in inference.
        encoded: the rows.
        boundaries: blocks whose entering hidden states are wanted.
        folder: is made; holds one file a boundary.
        tick: told of the rows done after each batch.

    Returns:
        The cache. float16 keeps three digits of states of order 1; values beyond its range are clipped to it.
    """
    import tensorflow as tf

    folder.mkdir(parents=True)
    model = prefix_model(network, boundaries)
    shape = (int(encoded.starts[-1]), network.backbone.hidden_size)
    files = {b: _reserved(folder / f"{b}.f16", shape) for b in boundaries}
    largest = float(np.finfo(np.float16).max)
    signature = {name: tf.TensorSpec([None, None], tf.int32) for name in encoded.inputs}

    @tf.function(input_signature=[signature])
    def run(batch):
        real = tf.cast(batch["padding_mask"], tf.bool)
        states = model(batch, training=False)
        return {
            key: tf.cast(tf.clip_by_value(tf.boolean_mask(value, real), -largest, largest), tf.float16)
            for key, value in states.items()
        }

    for rows in sorted_batches(encoded.lengths, _BATCH_ROWS):
        states = {key: value.numpy() for key, value in run(token_batch(encoded, rows)).items()}
        ends = np.cumsum(encoded.lengths[rows])
        for row, end in zip(rows, ends, strict=True):
            first, last = encoded.starts[row], encoded.starts[row + 1]
            for boundary, file in files.items():
                file[first:last] = states[str(boundary)][end - (last - first) : end]
        tick(len(rows))
    return Cache(hidden=files, starts=encoded.starts)


def _reserved(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A new memory-mapped float16 array whose blocks are on the disk already.

    A mapped file with holes, on a disk that fills up, kills the process (SIGBUS) instead of raising `OSError`.
    """
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(shape[0] * shape[1] * 2, 1))
    return np.memmap(path, np.float16, "r+", shape=shape)
