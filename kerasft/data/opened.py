"""What each file format gives the reader: the column names, a sample, and the columns asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kerasft.data.rows import Origin

SAMPLE_ROWS = 200


@dataclass(frozen=True)
class Fault:
    """One row that cannot be used.

    Attributes:
        number: its number in the file, in the unit of the file's `Origin`.
        reason: what was found, such as `the label is missing`.
        mend: what the user does about it, one sentence.
    """

    number: int
    reason: str
    mend: str


@dataclass(frozen=True)
class Native:
    """The ways in which a field writes a task's rows, beside one column for each of the task's.

    Attributes:
        endings: of files in the field's own format.
        records: (the text of such a file) -> pairs of a line number, from 1, and a mapping or the line's `Fault`.
        adapt: (() -> such pairs, from such a file or from JSON) -> pairs whose mappings have the task's columns.
        notes: (the text of such a file) -> what its reader should tell of it.
    """

    endings: tuple[str, ...]
    records: Callable[[str], Iterator[tuple[int, object]]]
    adapt: Callable[[Callable[[], Iterator[tuple[int, object]]]], Iterator[tuple[int, object]]]
    notes: Callable[[str], tuple[str, ...]] = lambda text: ()


@dataclass(frozen=True)
class Parsed:
    """The wanted columns of one file.

    Attributes:
        columns: task column -> `large_string` array of the rows that could be read; null where missing.
        number: int64[rows], each row's number in the file.
        faults: the rows that could not be read; they are not among the rows.
    """

    columns: Mapping[str, pa.ChunkedArray]
    number: np.ndarray
    faults: list[Fault]


@dataclass(frozen=True)
class Opened:
    """One file, opened: its format is known, its values are not yet read.

    Attributes:
        origin: its name and what its rows are counted in.
        names: its column names, in its order.
        sample: some values of each column, as strings without the missing ones.
        parse: (task column -> position in `names`; the columns that may hold lists, which are then handed on as JSON
            text) -> the values.
        lines: row numbers -> the line at which each begins, where that is known (CSV); may leave some out.
        notes: what the user should know about how it was read.
    """

    origin: Origin
    names: Sequence[str]
    sample: Callable[[], Sequence[Sequence[str]]]
    parse: Callable[[Mapping[str, int], frozenset[str]], Parsed]
    lines: Callable[[Sequence[int]], Mapping[int, int]] = lambda numbers: {}
    notes: tuple[str, ...] = ()
