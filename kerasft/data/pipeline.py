"""From rows to padded batches: tokenised once, kept without padding, padded only to the longest of the batch."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.backbones.view import TextFunctions
from kerasft.data.batches import shuffled_batches, sorted_batches
from kerasft.data.row_file import RowFile

__all__ = [
    "Encoded",
    "encode",
    "evened",
    "padded",
    "padding_mask",
    "shuffled_batches",
    "sorted_batches",
    "token_batch",
]

# oneDNN keeps code and scratch space for every shape it has met: with T a multiple of 4 an SST run needs 100 MB less.
LENGTH_STEP = 4
_TOKENISE_ROWS = 512
_MASK = "padding_mask"


@dataclass(frozen=True)
class Encoded:
    """Token inputs of N rows, laid end to end.

    Attributes:
        inputs: name -> int32[sum of lengths], in memory or in a file. The padding mask is not among them: it follows
            from the lengths.
        starts: int64[N + 1], where each row begins in `inputs`.
        uncut: int32[N], the tokens that each row had before the cut.
        padding: name -> the number that fills a short row.
    """

    inputs: Mapping[str, np.ndarray | RowFile]
    starts: np.ndarray
    uncut: np.ndarray
    padding: Mapping[str, int]

    @property
    def lengths(self) -> np.ndarray:
        """int64[N], the tokens kept of each row."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1


def encode(text: TextFunctions, columns: Sequence[Any], max_length: int, folder: Path | None = None) -> Encoded:
    """Tokenises rows through the graph function that the export holds.

    Args:
        text: the family's functions.
        columns: N strings for each text column: a sequence, or an Arrow array (`rows.table.column(name)`), of which
            only some hundred rows at a time become Python strings.
        max_length: tokens kept of each row.
        folder: where the tokens are written as they come, one file an input; whoever made the folder removes it. None:
            they stay in memory.

    Returns:
        The rows in their order.

    Raises:
        OSError: the disk is full.
    """
    import tensorflow as tf

    @tf.function(input_signature=[[tf.TensorSpec([None], tf.string) for _ in columns]])
    def tokens(texts):
        segments = [text.tokenize(part).ids for part in texts]
        packed = text.pack(segments, max_length=max_length)
        kept = tf.cast(packed[_MASK], tf.bool)
        return (
            {name: tf.boolean_mask(value, kept) for name, value in packed.items() if name != _MASK},
            tf.reduce_sum(tf.cast(kept, tf.int64), axis=1),
            text.lengths(segments),
        )

    names = [name for name in text.padding if name != _MASK]
    lengths, uncut = [np.zeros(1, np.int64)], []
    with _sinks(names, folder) as (add, finished):
        for start in range(0, len(columns[0]), _TOKENISE_ROWS):
            chunk, kept, whole = tokens([tf.constant(_texts(column, start), tf.string) for column in columns])
            for name in names:
                add(name, chunk[name].numpy().astype(np.int32))
            lengths.append(kept.numpy())
            uncut.append(whole.numpy().astype(np.int32))
    starts = np.cumsum(np.concatenate(lengths))
    return Encoded(
        inputs={name: finished(name, starts) for name in names},
        starts=starts,
        uncut=np.concatenate(uncut) if uncut else np.zeros(0, np.int32),
        padding=text.padding,
    )


def _texts(column: Any, start: int) -> list:
    part = column[start : start + _TOKENISE_ROWS]
    return part.to_pylist() if hasattr(part, "to_pylist") else list(part)


@contextlib.contextmanager
def _sinks(names: Sequence[str], folder: Path | None) -> Iterator[tuple[Callable, Callable]]:
    """Where tokens go: (name, array) -> None to add some, (name, starts) -> array or `RowFile` when all are there."""
    if folder is None:
        chunks: dict[str, list[np.ndarray]] = {name: [np.zeros(0, np.int32)] for name in names}
        yield (lambda name, array: chunks[name].append(array)), (lambda name, starts: np.concatenate(chunks.pop(name)))
        return
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.i32" for name in names}
    with contextlib.ExitStack() as stack:
        # Not written beside and renamed: nobody but the `Encoded` that comes of it knows these files.
        files = {name: stack.enter_context(open(path, "wb")) for name, path in paths.items()}
        yield (
            (lambda name, array: files[name].write(array.tobytes())),
            (lambda name, starts: RowFile(paths[name], starts, np.dtype(np.int32))),
        )


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


def evened(batch: Mapping[str, np.ndarray], most: int, step: int = LENGTH_STEP) -> dict[str, np.ndarray]:
    """Fills T up to a multiple of `step`, so that the machine meets few shapes; the mask says what is filling.

    Args:
        batch: inputs [B, T, …], `padding_mask` among them.
        most: T is never filled beyond this, the tokens that a row may have.
        step: tokens.
    """
    filled = {}
    for name, array in batch.items():
        now = array.shape[1]
        missing = max(min(-(-now // step) * step, most) - now, 0)
        filled[name] = np.pad(array, [(0, 0), (0, missing)] + [(0, 0)] * (array.ndim - 2)) if missing else array
    return filled


def padding_mask(starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """1 for the tokens of some rows, 0 for what fills them up: int32[B, T]."""
    lengths = starts[rows + 1] - starts[rows]
    return (np.arange(lengths.max(initial=0))[None] < lengths[:, None]).astype(np.int32)


def token_batch(encoded: Encoded, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The token inputs of some rows, int32[B, T] each.

    Raises:
        OSError: the tokens lie in a file that cannot be read.
    """
    batch = {}
    for name, fill in encoded.padding.items():
        if name == _MASK:
            batch[name] = padding_mask(encoded.starts, rows)
        elif isinstance(encoded.inputs[name], RowFile):
            batch[name] = encoded.inputs[name].padded(rows, fill)
        else:
            batch[name] = padded(encoded.inputs[name], encoded.starts, rows, fill)
    return batch
