"""CSV and TSV (RFC 4180, and the delimiters that spreadsheet programs write instead of the comma)."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from kerasft.data.bytes_check import Content
from kerasft.data.opened import SAMPLE_ROWS, Fault, Opened, Parsed
from kerasft.data.plain import quoted
from kerasft.data.rows import Origin
from kerasft.errors import KerasftError

BLOCK = 4 << 20  # bytes parsed at a time; a row that is longer makes us parse the file as one block
NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


def open_delimited(content: Content, name: str, delimiter: str | None) -> Opened:
    """Opens CSV.

    Args:
        content: the whole file, UTF-8 (bytes that are not are faults of their rows).
        name: for messages.
        delimiter: the one character between values, or None to tell it from the header.

    Raises:
        KerasftError: the file has no row beside the header.
    """
    notes = ()
    if delimiter is None:
        delimiter = _detect(content)
        if delimiter != ",":
            notes = (f"{name}: values are separated by {NAMES[delimiter]}.",)
    names, has_rows = _header(content, name, delimiter)
    if not has_rows:
        raise KerasftError(f"{name} has a header ({quoted(names)}) but no rows: add rows below it.")
    return Opened(
        Origin(name),
        names,
        sample=lambda: _sample(content, delimiter, len(names)),
        parse=lambda positions, lists=frozenset(): _parse(content, name, delimiter, len(names), positions),
        lines=lambda numbers: _lines(content, delimiter, numbers),
        notes=notes,
    )


def _detect(content: Content) -> str:
    end = content.find(b"\n")
    line = bytes(content[: end if end >= 0 else 65536]).decode(errors="replace")
    line = re.sub('"(?:[^"]|"")*"', "", line)
    return "," if "," in line else max(",;\t", key=lambda mark: (line.count(mark), mark == ","))


class _Lines(io.RawIOBase):
    """The content as a readable stream, without a copy of it and without its byte order mark."""

    def __init__(self, content: Content):
        self.content = content
        self.at = len(codecs.BOM_UTF8) if content[:3] == codecs.BOM_UTF8 else 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        piece = self.content[self.at : self.at + len(buffer)]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def _records(content: Content, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line at which it begins, values) of each record, the header first; for the few rows that messages speak of.

    This is Python's own parser; it splits records where Arrow's does, and knows lines. It ends at the first record with
    a value of over 131,072 characters, which it gives as empty.
    """
    text = io.TextIOWrapper(io.BufferedReader(_Lines(content)), encoding="utf-8", errors="replace", newline="")
    reader = csv.reader(text, delimiter=delimiter)
    begins = 1
    try:
        for record in reader:
            if record:
                yield begins, record
            begins = reader.line_num + 1
    except csv.Error:
        yield begins, []


def _header(content: Content, name: str, delimiter: str) -> tuple[list[str], bool]:
    """The column names, and whether any row follows them."""
    records = [record for _, record in itertools.islice(_records(content, delimiter), 2)]
    if records and not records[0]:
        raise KerasftError(f"{name} has a first line that is no header: it must name the columns, as in text,label.")
    if len(records) < 2 and not "".join(itertools.chain(*records)).strip():
        raise KerasftError(f"{name} is empty (only white space): it needs a header line and rows.")
    return records[0], len(records) == 2


def _sample(content: Content, delimiter: str, width: int) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(width)]
    for _, record in itertools.islice(_records(content, delimiter), 1, SAMPLE_ROWS + 1):
        for column, value in zip(columns, record, strict=False):
            if value:
                column.append(value)
    return columns


def _lines(content: Content, delimiter: str, numbers: Sequence[int]) -> Mapping[int, int]:
    left = set(numbers)
    lines = {}
    for number, (line, _) in enumerate(_records(content, delimiter)):
        if number in left:
            left.remove(number)
            lines[number] = line
            if not left:
                break
    return lines


def _parse(content: Content, name: str, delimiter: str, width: int, positions: Mapping[str, int]) -> Parsed:
    faults: list[Fault] = []

    def ragged(row: pa_csv.InvalidRow) -> str:
        faults.append(_ragged_fault(row, delimiter))
        return "skip"

    # Columns go by position, so that a name used twice in columns that we do not need is harmless. The last column
    # is read in any case: it shows a quote that never closes. Binary: a bad byte is then a fault of its row only.
    keys = [str(i) for i in range(width)]
    kept = sorted({*positions.values(), width - 1})
    for block in (BLOCK, max(BLOCK, min(len(content) + 1, 2**31 - 1))):
        faults.clear()
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(pa.py_buffer(content)),
                # Arrow knows the numbers of invalid rows only when it reads with one thread.
                read_options=pa_csv.ReadOptions(
                    use_threads=False, column_names=keys, skip_rows_after_names=1, block_size=block
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=ragged
                ),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=[keys[i] for i in kept], column_types={keys[i]: pa.large_binary() for i in kept}
                ),
            )
            break
        except pa.ArrowInvalid:
            if block > len(content):
                raise KerasftError(
                    f"{name} cannot be read as rows separated by {NAMES[delimiter]}: look for a quote that is opened "
                    "and never closed."
                ) from None
    number = _numbers(table.num_rows, [fault.number for fault in faults])
    good = np.ones(table.num_rows, dtype=bool)
    if table.num_rows and _never_closed(content, table.column(keys[-1])[-1].as_py()):
        good[-1] = False
        faults.append(_open_quote_fault(int(number[-1])))
    columns = {}
    for column, position in positions.items():
        columns[column], bad = _decode(table.column(keys[position]))
        faults += [_undecodable_fault(int(number[i]), column) for i in bad if good[i]]
        good[bad] = False
    if not good.all():
        columns = {column: values.filter(pa.array(good)) for column, values in columns.items()}
    return Parsed(columns, number[good], faults)


def _numbers(count: int, left_out: Sequence[int]) -> np.ndarray:
    """The numbers, from 1, of `count` rows among which those numbered `left_out` are missing."""
    number = np.arange(1, count + len(left_out) + 1, dtype=np.int64)
    return np.delete(number, np.asarray(left_out, dtype=np.int64) - 1)


def _decode(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[int]]:
    """Binary as text, and the positions of what is not UTF-8 (null in the text)."""
    try:
        return values.cast(pa.large_string()), []
    except pa.ArrowInvalid:
        bad, texts = [], []
        for i, value in enumerate(values.to_pylist()):
            try:
                texts.append(value.decode())
            except UnicodeDecodeError:
                bad.append(i)
                texts.append(None)
        return pa.chunked_array([pa.array(texts, pa.large_string())]), bad


def _never_closed(content: Content, last: bytes) -> bool:
    """Whether the file ends inside a quoted value, `last`: then that swallowed the line end that closes the file."""
    tail = bytes(content[-4096:])
    if tail.endswith((b"\n", b"\r")):
        return last.endswith((b"\n", b"\r")) and not re.search(rb'[\r\n]"[\r\n]*$', tail)
    return (b"\n" in last or b"\r" in last) and not tail.endswith(b'"')


def _open_quote_fault(number: int) -> Fault:
    return Fault(number, "a quote is opened and never closed", "Close it, or double each quote inside a quoted value.")


def _ragged_fault(row: pa_csv.InvalidRow, delimiter: str) -> Fault:
    number = row.number - 1  # Arrow counts the header
    if row.actual_columns < row.expected_columns and row.text.count('"') % 2:
        return _open_quote_fault(number)
    reason = f"expected {_columns(row.expected_columns)}, found {row.actual_columns}"
    if row.actual_columns > row.expected_columns:
        return Fault(number, reason, f'Put "quotes" around values that hold {NAMES[delimiter]}.')
    return Fault(number, reason, "Complete the row or remove it.")


def _columns(count: int) -> str:
    return f"{count} column{'s' if count != 1 else ''}"


def _undecodable_fault(number: int, column: str) -> Fault:
    return Fault(number, f"the {column} is not UTF-8", "Repair its encoding or remove the row.")
