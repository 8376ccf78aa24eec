"""Any file to checked rows: `read_rows`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasft.data.columns import Cell, Wanted, resolve_columns
from kerasft.data.formats import open_path, open_rows
from kerasft.data.opened import Fault, Native, Opened
from kerasft.data.plain import one_line, shortened, whole_number
from kerasft.data.rows import Rows, concatenate
from kerasft.data.sources import list_inputs
from kerasft.errors import KerasftError, did_you_mean

ON_BAD_ROW = ("error", "skip")


@dataclass(frozen=True)
class Skipped:
    """A row that was left out: where it is (`reviews.csv row 12 (line 14)`) and why (`the text is empty`)."""

    place: str
    reason: str


@dataclass(frozen=True)
class Read:
    """What `read_rows` gives.

    Attributes:
        rows: the good rows, in the order of the files.
        notes: what was guessed or decided, one line each, for the user to see.
        skipped: the rows left out; always empty with `on_bad_row="error"`.
    """

    rows: Rows
    notes: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def read_rows(
    source: object,
    *,
    text_columns: Sequence[str],
    label_column: str | None,
    columns: Mapping[str, str] | None = None,
    on_bad_row: str = "error",
    task_name: str,
    label_optional: bool = False,
    can_set: bool = True,
    optional_columns: Sequence[str] = (),
    native: Native | None = None,
    number_columns: Sequence[str] = (),
    cells: Mapping[str, Cell] | None = None,
) -> Read:
    """Reads a task's columns from CSV, TSV, JSON lines, a JSON array, Parquet, or Python objects.

    Texts are kept as they are, to the last space. All others lose the white space around them, and numbers and booleans
    become what a person would write (`1`, `true`). CSV knows no missing value other than the empty one.

    Args:
        source: a path, a folder, a glob, `-` for standard input, or a list of these; a sequence of mappings, a
            pyarrow Table, or anything with `to_dict("records")` (a pandas DataFrame).
        text_columns: the task's text columns, as the task names them.
        label_column: the task's label column; None when no labels are needed.
        columns: the task's column -> the file's column, where the names differ.
        on_bad_row: `error` stops at the first bad row of a file; `skip` leaves bad rows out and lists them. Faults
            of a whole file are errors either way.
        task_name: for messages.
        label_optional: with True, labels are read where the file has their column and may be blank then; the rows
            have no label column when a file is without one.
        can_set: whether the user can pass `--set text_column=NAME` here; decides how messages say to mend a name.
        optional_columns: those of `text_columns` that the source may be without; then the rows are without them.
        native: the task's own formats.
        number_columns: the task's columns of whole numbers, which the source must have and every row must fill.
        cells: column -> how its values are taken, where that is not plainly.

    Returns:
        The rows, with notes and the rows left out.

    Raises:
        KerasftError: one line with the file, the row or byte, and the mend.
    """
    if on_bad_row not in ON_BAD_ROW:
        raise KerasftError(f"on_bad_row={on_bad_row} is unknown.{did_you_mean(on_bad_row, ON_BAD_ROW)}")
    wanted = Wanted(
        text_columns=tuple(text_columns),
        label_column=label_column,
        label_optional=label_optional,
        told=columns or {},
        task_name=task_name,
        can_set=can_set,
        optional_columns=tuple(optional_columns),
        native=native,
        number_columns=tuple(number_columns),
        cells=cells or {},
    )
    try:
        return _read(source, wanted, skip=on_bad_row == "skip")
    except KerasftError as error:
        # Names of files and columns are the user's and may hold anything, line ends too.
        raise KerasftError(one_line(str(error))) from None


def _read(source: object, wanted: Wanted, skip: bool) -> Read:
    inputs, notes = list_inputs(source, wanted.native.endings if wanted.native else ())
    parts: list[Rows] = []
    skipped: list[Skipped] = []
    for each in inputs:
        if each.rows is not None:
            opened = open_rows(each.rows, each.name, wanted.native)
        else:
            opened = open_path(each.path, each.name, allow_bad_bytes=skip, native=wanted.native)
        positions, guesses = resolve_columns(opened.names, wanted, opened.sample, each.name)
        notes += [*opened.notes, *guesses]
        rows, faults = _checked_rows(opened, positions, wanted)
        if faults and not skip:
            raise KerasftError(_fault_message(opened, faults))
        skipped += _skipped(opened, faults)
        parts.append(rows)
    for column in wanted.optional_columns:
        lacking = [each.name for each, part in zip(inputs, parts, strict=True) if column not in part.table.column_names]
        if 0 < len(lacking) < len(parts):
            notes.append(f"Column '{column}' is left out of all rows: {lacking[0]} has none.")
    rows = concatenate(_same_columns(parts, wanted))
    if not len(rows):
        first = f" The first: {skipped[0].place}: {skipped[0].reason}." if skipped else ""
        where = inputs[0].name if len(inputs) == 1 else f"the {len(inputs)} files"
        raise KerasftError(f"No row of {where} can be used: all {len(skipped):,} are bad.{first}")
    if skipped:
        notes.append(f"{len(skipped):,} of {len(skipped) + len(rows):,} rows are bad and were left out.")
    return Read(rows, tuple(map(one_line, notes)), tuple(skipped))


def _checked_rows(opened: Opened, positions: Mapping[str, int], wanted: Wanted) -> tuple[Rows, list[Fault]]:
    """The good rows of one file, and the faults of the others in the order of their rows."""
    parsed = opened.parse(positions, wanted.lists)
    # In the task's order: what is wrong with a text is told first.
    columns = {column: parsed.columns[column] for column in wanted.columns() if column in parsed.columns}
    for column in columns:
        if column not in wanted.text_columns and not wanted.cell(column).verbatim:
            columns[column] = pc.utf8_trim_whitespace(columns[column])
    faults = list(parsed.faults)
    good = np.ones(len(parsed.number), dtype=bool)
    for column, values in columns.items():
        if column == wanted.label_column and wanted.label_optional:
            columns[column] = pc.fill_null(values, "")
            continue
        cell = _cell(column, wanted)
        if cell.blank:
            columns[column] = values = pc.fill_null(values, "")
        texts = {name: columns[name] for name in wanted.text_columns if name in columns}
        good &= ~_unfit(parsed.number, values, texts, cell, faults, good)
        if cell.blank:
            continue
        blank = _blank(values)
        for i in np.flatnonzero(blank & good):
            faults.append(_blank_fault(int(parsed.number[i]), column, values[int(i)].as_py()))
        good &= ~blank
    if not good.all():
        columns = {column: values.filter(pa.array(good)) for column, values in columns.items()}
    for column, values in columns.items():
        becomes = wanted.cell(column).becomes
        if becomes:
            columns[column] = pa.chunked_array([pa.array(map(becomes, values.to_pylist()), pa.large_string())])
    number = parsed.number[good]
    rows = Rows(pa.table(columns), (opened.origin,), np.zeros(len(number), dtype=np.int32), number)
    return rows, sorted(faults, key=lambda fault: fault.number)


def _cell(column: str, wanted: Wanted) -> Cell:
    """How a column's values are taken; a number is a number before the task looks at it."""
    cell = wanted.cell(column)
    if column not in wanted.number_columns:
        return cell

    def fault(value: str, texts: Mapping[str, str]) -> str | None:
        if whole_number(value) is None:
            return f"the {column} {shortened(value)!r} is not a whole number"
        return cell.fault(value, texts) if cell.fault else None

    return Cell(fault=fault, mend=cell.mend or "Write a whole number.")


def _unfit(
    numbers: np.ndarray,
    values: pa.ChunkedArray,
    texts: Mapping[str, pa.ChunkedArray],
    cell: Cell,
    faults: list[Fault],
    good: np.ndarray,
) -> np.ndarray:
    """bool[rows]: the value is there, and is no answer of the task; adds the faults of rows that had none."""
    unfit = np.zeros(len(values), dtype=bool)
    if cell.fault is None:
        return unfit
    rows = zip(*(column.to_pylist() for column in texts.values()), strict=True)
    for i, (value, row) in enumerate(zip(values.to_pylist(), rows, strict=True)):
        row = {name: text or "" for name, text in zip(texts, row, strict=True)}
        reason = cell.fault(value, row) if value and good[i] else None
        if reason:
            unfit[i] = True
            faults.append(Fault(int(numbers[i]), reason, cell.mend))
    return unfit


def _blank(values: pa.ChunkedArray) -> np.ndarray:
    """bool[rows]: missing, empty, or nothing but white space (as Unicode has it)."""
    blank = pc.or_(pc.equal(values, ""), pc.utf8_is_space(values))
    return np.asarray(pc.fill_null(blank, True))


def _blank_fault(number: int, column: str, value: str | None) -> Fault:
    state = "missing" if value is None else "blank (only white space)" if value else "empty"
    return Fault(number, f"the {column} is {state}", "Fill it in or remove the row.")


def _same_columns(parts: Sequence[Rows], wanted: Wanted) -> Sequence[Rows]:
    """The parts in one column order, without the optional columns that some of them lack."""
    shared = [name for name in wanted.columns() if all(name in part.table.column_names for part in parts)]
    return [Rows(part.table.select(shared), part.origins, part.origin, part.number) for part in parts]


def _skipped(opened: Opened, faults: Sequence[Fault]) -> list[Skipped]:
    lines = opened.lines([fault.number for fault in faults]) if faults else {}
    return [Skipped(_place(opened, fault.number, lines), fault.reason) for fault in faults]


def _place(opened: Opened, number: int, lines: Mapping[int, int]) -> str:
    return opened.origin.place(number) + (f" (line {lines[number]})" if number in lines else "")


def _fault_message(opened: Opened, faults: Sequence[Fault]) -> str:
    first = faults[0]
    place = _place(opened, first.number, opened.lines([first.number]))
    others = f" {len(faults) - 1:,} more of its {opened.origin.unit}s are bad." if len(faults) > 1 else ""
    return f"{place}: {first.reason}. {first.mend.removesuffix('.')}, or pass --on-bad-row skip.{others}"
