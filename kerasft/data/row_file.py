"""Rows of different lengths, end to end in a plain file, read a batch at a time.

Read with `preadv` into the batch itself and never mapped: pages of a mapped file count as the process's own memory, so
that it would seem to grow with the data; what the system keeps of a file that is read does not.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class RowFile:
    """N rows in a file without padding or header. Opened for each batch: it may be used by many threads.

    Attributes:
        path: the file, sum of lengths * size of a token bytes long.
        starts: int64[N + 1], the token at which each row begins.
        dtype: of the numbers.
        shape: of one token: `()` for ids, `(H,)` for hidden states.
    """

    path: Path
    starts: np.ndarray
    dtype: np.dtype
    shape: tuple[int, ...] = ()

    @property
    def token_bytes(self) -> int:
        """Bytes of one token."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def padded(self, rows: np.ndarray, fill) -> np.ndarray:
        """Reads some rows, padded to the longest.

        Args:
            rows: the row numbers wanted, int[B].
            fill: the number that fills a short row.

        Returns:
            [B, T, *shape] of `dtype`.

        Raises:
            OSError: the file is gone or shorter than the rows say.
        """
        first = self.starts[rows]
        lengths = self.starts[np.asarray(rows) + 1] - first
        batch = np.empty((len(lengths), int(lengths.max(initial=0)), *self.shape), self.dtype)
        offsets = first * self.token_bytes
        with open(self.path, "rb", buffering=0) as file:
            descriptor = file.fileno()
            for place, (offset, length) in enumerate(zip(offsets.tolist(), lengths.tolist(), strict=True)):
                if length:
                    self._read(descriptor, batch[place, :length], offset)
                batch[place, length:] = fill
        return batch

    def chunks(self) -> Iterator[bytes]:
        """The whole file, a MiB at a time."""
        with open(self.path, "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def _read(self, descriptor: int, target: np.ndarray, offset: int) -> None:
        count = os.preadv(descriptor, [target], offset)
        if count == target.nbytes:
            return
        # A read may stop early at a signal or at 2 GiB; only one that gives nothing is at the end.
        view = memoryview(target).cast("B")
        while count < len(view):
            more = os.preadv(descriptor, [view[count:]], offset + count)
            if not more:
                raise OSError(f"{self.path} ends before byte {offset + len(view)}: it was cut short after it was made")
            count += more


def write_at(descriptor: int, values: np.ndarray, offset: int) -> None:
    """Writes an array's bytes to an open file at `offset` bytes.

    Raises:
        OSError: the disk or the process's limit is full.
    """
    view = memoryview(np.ascontiguousarray(values)).cast("B")
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def reserve(descriptor: int, size: int) -> None:
    """Takes `size` bytes on the disk for an open file, where the system can, so that a disk too small shows at once and
    not hours into the writing.

    Raises:
        OSError: there is no room.
    """
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
