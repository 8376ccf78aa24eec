"""From rows to padded batches: tokenised once, kept as flat integers, padded only to the longest of the batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasft.backbones.view import TextFunctions

_TOKENISE_ROWS = 512
_WINDOW_BATCHES = 50


@dataclass(frozen=True)
class Encoded:
    """Token inputs of N rows, laid end to end.

    Attributes:
        inputs: name -> int32[sum of lengths].
        starts: int64[N + 1], where each row begins in `inputs`.
        uncut: int32[N], the tokens that each row had before the cut.
        padding: name -> the number that fills a short row.
    """

    inputs: Mapping[str, np.ndarray]
    starts: np.ndarray
    uncut: np.ndarray
    padding: Mapping[str, int]

    @property
    def lengths(self) -> np.ndarray:
        """int64[N], the tokens kept of each row."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1


def encode(text: TextFunctions, columns: Sequence[Sequence[str]], max_length: int) -> Encoded:
    """Tokenises rows through the graph function that the export holds.

    Args:
        text: the family's functions.
        columns: one sequence of N strings for each text column.
        max_length: tokens kept of each row.

    Returns:
        The rows in their order.
    """
    import tensorflow as tf

    @tf.function(input_signature=[[tf.TensorSpec([None], tf.string) for _ in columns]])
    def tokens(texts):
        segments = [text.tokenize(part).ids for part in texts]
        packed = text.pack(segments, max_length=max_length)
        kept = tf.cast(packed["padding_mask"], tf.bool)
        return (
            {name: tf.boolean_mask(value, kept) for name, value in packed.items()},
            tf.reduce_sum(tf.cast(kept, tf.int64), axis=1),
            text.lengths(segments),
        )

    chunks, lengths, uncut = [], [np.zeros(1, np.int64)], []
    for start in range(0, len(columns[0]), _TOKENISE_ROWS):
        chunk, kept, whole = tokens([tf.constant(list(c[start : start + _TOKENISE_ROWS]), tf.string) for c in columns])
        chunks.append({name: value.numpy().astype(np.int32) for name, value in chunk.items()})
        lengths.append(kept.numpy())
        uncut.append(whole.numpy().astype(np.int32))
    return Encoded(
        inputs={name: np.concatenate([chunk[name] for chunk in chunks]) for name in text.padding},
        starts=np.cumsum(np.concatenate(lengths)),
        uncut=np.concatenate(uncut),
        padding=text.padding,
    )


def shuffled_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of one epoch: rows of like length together, in an order that is random all the same.

    Rows are shuffled, cut into windows of 50 batches, sorted by length within a window, cut into batches, and the
    batches shuffled. A pure function of its arguments.

    Args:
        lengths: int[N].
        batch_size: rows a batch; the last may have fewer.
        seed: of the run.
        epoch: counted over the whole run.

    Returns:
        Row numbers, int64, a batch each.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    window = batch_size * _WINDOW_BATCHES
    batches = []
    for start in range(0, len(order), window):
        rows = order[start : start + window]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    return [batches[number] for number in random.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Every row once, longest first (so that a batch too large for the memory fails at once), for evaluation."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def padded(flat: np.ndarray, starts: np.ndarray, rows: np.ndarray, fill) -> np.ndarray:
    """Cuts rows out of a flat array and pads them to the longest.

    Args:
        flat: [sum of lengths, …].
        starts: int64[N + 1].
        rows: the row numbers wanted, int[B].
        fill: the number that fills a short row.

    Returns:
        [B, T, …] of `flat`'s dtype.
    """
    lengths = starts[rows + 1] - starts[rows]
    batch = np.full((len(rows), int(lengths.max(initial=0)), *flat.shape[1:]), fill, flat.dtype)
    for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        batch[place, :length] = flat[starts[row] : starts[row] + length]
    return batch


def token_batch(encoded: Encoded, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The token inputs of some rows, int32[B, T] each."""
    return {name: padded(flat, encoded.starts, rows, encoded.padding[name]) for name, flat in encoded.inputs.items()}


def dataset(batch: Callable[[np.ndarray], tuple], plan: Callable[[], Iterator[np.ndarray]]):
    """A `tf.data.Dataset` of the batches that `plan` names.

    Args:
        batch: row numbers -> a tuple of (nested dicts of) arrays whose first axis is B.
        plan: () -> the row numbers of each batch.

    Returns:
        The dataset; every axis up to the second is unknown in its shapes, so that nothing is traced again for a new
        length.
    """
    import tensorflow as tf

    def spec(array: np.ndarray):
        free = min(array.ndim, 2)
        return tf.TensorSpec([None] * free + list(array.shape[free:]), array.dtype)

    signature = tf.nest.map_structure(spec, batch(next(plan())))
    made = tf.data.Dataset.from_generator(lambda: map(batch, plan()), output_signature=signature)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return made.with_options(options).prefetch(2)
