"""Rows: the columns a task needs, as text, and where each row came from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Origin:
    """One file (or stream, or Python object) that rows were read from.

    Attributes:
        name: as messages call it, such as `reviews.csv` or `standard input`.
        unit: what its rows are counted in, from 1: `row` (the header is not one) or `line`.
    """

    name: str
    unit: str = "row"

    def place(self, number: int) -> str:
        return f"{self.name} {self.unit} {number}"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one or more files.

    Attributes:
        table: one `large_string` column without nulls per task column, named as the task names it.
        origins: the files, in the order in which they were read.
        origin: int32[rows], for each row the index of its file in `origins`.
        number: int64[rows], for each row its number in that file, from 1.
    """

    table: pa.Table
    origins: tuple[Origin, ...]
    origin: np.ndarray
    number: np.ndarray

    def __len__(self) -> int:
        return self.table.num_rows

    def column(self, name: str) -> list[str]:
        """The texts of one task column, in row order."""
        return self.table.column(name).to_pylist()

    def place(self, index: int) -> str:
        """Where row `index` (from 0) came from, such as `reviews.csv row 12`."""
        return self.origins[int(self.origin[index])].place(int(self.number[index]))

    def take(self, indices: Sequence[int] | np.ndarray) -> "Rows":
        """The rows at `indices` (integers, from 0), in that order."""
        indices = np.asarray(indices, dtype=np.int64)
        return Rows(self.table.take(pa.array(indices)), self.origins, self.origin[indices], self.number[indices])

    def read_with(self, other: "Rows") -> bool:
        """Whether both were read at once, and then parted by the split. Files of one name may be two."""
        return self.origins is other.origins

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of the column names and the texts in their order; places do not count.

        Lengths are hashed beside the bytes, so that moving a character from one text to the next changes it.
        """
        whole = hashlib.sha256()
        for name in self.table.column_names:
            lengths, texts = hashlib.sha256(), hashlib.sha256()
            for chunk in self.table.column(name).chunks:
                if not len(chunk):
                    continue
                # A large_string array is int64 offsets into one buffer of UTF-8; a slice shares both.
                ends = np.frombuffer(chunk.buffers()[1], dtype="<i8")[chunk.offset : chunk.offset + len(chunk) + 1]
                lengths.update(np.diff(ends).tobytes())
                if ends[-1] > ends[0]:
                    texts.update(memoryview(chunk.buffers()[2])[ends[0] : ends[-1]])
            whole.update(hashlib.sha256(name.encode()).digest() + lengths.digest() + texts.digest())
        return whole.hexdigest()


def end_to_end(columns: Sequence[Sequence[str] | pa.ChunkedArray]) -> pa.Array:
    """g columns of N texts, lists or Arrow's, as one of g * N: the texts of the first row, then those of the next."""
    chunks = []
    for column in columns:
        if not isinstance(column, pa.ChunkedArray):
            column = pa.chunked_array([pa.array(column, pa.large_string())])
        chunks += column.chunks
    flat = pa.concat_arrays(chunks)
    order = np.arange(len(flat)).reshape(len(columns), -1).T
    return flat.take(pa.array(order.reshape(-1)))


def concatenate(parts: Sequence[Rows]) -> Rows:
    """The rows of all `parts`, which have the same columns, one after the other."""
    first_origins = np.cumsum([0] + [len(part.origins) for part in parts[:-1]])
    return Rows(
        pa.concat_tables([part.table for part in parts]),
        tuple(origin for part in parts for origin in part.origins),
        np.concatenate([part.origin + start for part, start in zip(parts, first_origins, strict=True)]).astype(
            np.int32
        ),
        np.concatenate([part.number for part in parts]),
    )
