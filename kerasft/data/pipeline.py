"""From tokens to padded batches: kept without padding, padded only to the longest of the batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kerasft.data.batches import shuffled_batches, sorted_batches
from kerasft.data.row_file import RowFile

__all__ = [
    "Encoded",
    "Places",
    "TokenTargets",
    "evened",
    "padded",
    "padding_mask",
    "shuffled_batches",
    "sorted_batches",
    "token_batch",
]

# oneDNN keeps code and scratch space for every shape it has met. Forward passes meet few with T a multiple of 4. In
# training the fillings cost more than they save: 8 % of the time of an SST run's updates, for 47 MB.
LENGTH_STEP = 4
_MASK = "padding_mask"


@dataclass(frozen=True)
class Places:
    """Where the places of windows lie in the texts, for tasks that answer with places.

    Attributes:
        row: int32[N], the row of data that each window shows a part of; a row's windows come one after the other.
        char_starts: int32[sum of lengths], the character of its row's last text at which a place's token begins; -1
            where the place holds a special token or another text's.
        char_ends: int32[sum of lengths], the character after its end; -1 likewise.
        truncated: bool[rows of data], whether a part of the row is in no window.
    """

    row: np.ndarray
    char_starts: np.ndarray
    char_ends: np.ndarray
    truncated: np.ndarray


@dataclass(frozen=True)
class TokenTargets:
    """A target for each place of N windows, laid end to end.

    Attributes:
        flat: int32[sum of lengths].
        starts: int64[N + 1].
        fill: the target of a place that has none.
    """

    flat: np.ndarray
    starts: np.ndarray
    fill: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def padded(self, rows: np.ndarray, width: int) -> np.ndarray:
        """int32[B, width]: the targets of some windows."""
        found = np.full((len(rows), width), self.fill, np.int32)
        filled = padded(self.flat, self.starts, rows, self.fill)
        found[:, : filled.shape[1]] = filled
        return found


@dataclass(frozen=True)
class Encoded:
    """Token inputs of N sequences, laid end to end: of rows, of windows over rows, or of groups of texts.

    Attributes:
        inputs: name -> int32[sum of lengths], in memory or in a file, or what makes a batch as a `RowFile` does. The
            padding mask is among them only where it numbers the texts of a sequence; else it follows from the lengths.
        starts: int64[N + 1], where each sequence begins in `inputs`.
        uncut: int32, the tokens that each row of data, or each of its texts, had before the cut.
        padding: name -> the number that fills a short sequence.
        places: of the windows; None where a row is one sequence.
        group: how many sequences, one after the other, go into a batch together: the texts of a row that are read each
            by itself.
        notes: what is to be said of how the rows were laid out.
    """

    inputs: Mapping[str, np.ndarray | RowFile]
    starts: np.ndarray
    uncut: np.ndarray
    padding: Mapping[str, int]
    places: Places | None = None
    group: int = 1
    notes: tuple[str, ...] = ()

    @property
    def lengths(self) -> np.ndarray:
        """int64[N], the tokens kept of each sequence."""
        return np.diff(self.starts)

    @property
    def group_lengths(self) -> np.ndarray:
        """int64[N / group], the tokens of each group, the shorter of its sequences filled up to the longest."""
        return self.lengths.reshape(-1, self.group).max(axis=1) * self.group

    def __len__(self) -> int:
        return len(self.starts) - 1

    def sequences(self, groups: np.ndarray) -> np.ndarray:
        """int64[group * B], the numbers of the sequences of some groups, in their order."""
        return (groups[:, None] * self.group + np.arange(self.group)).reshape(-1)


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
        if name == _MASK and name not in encoded.inputs:
            batch[name] = padding_mask(encoded.starts, rows)
        elif isinstance(encoded.inputs[name], np.ndarray):
            batch[name] = padded(encoded.inputs[name], encoded.starts, rows, fill)
        else:
            batch[name] = encoded.inputs[name].padded(rows, fill)
    return batch
