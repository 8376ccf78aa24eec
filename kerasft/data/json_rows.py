"""JSON lines, or one JSON array: an object per row.

Arrow's JSON reader wants one type per column and does not say in which line it failed; labels mix types and users want
the line. Python's parser reads 100,000 short rows in about half a second.
"""

import codecs
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from kerasft.data.bytes_check import Content
from kerasft.data.opened import SAMPLE_ROWS, Fault, Native, Opened, Parsed
from kerasft.data.plain import is_list, json_list, plain_string, quoted
from kerasft.data.rows import Origin
from kerasft.errors import KerasftError

NAMING_ROWS = 1000  # rows whose keys together are the column names
BATCH = 16384  # rows held as Python objects at a time

Record = tuple[int, object]  # a row's number, and its object or the Fault that stands for it


def open_json(content: Content, name: str, native: Native | None = None) -> Opened:
    """Opens JSON lines or a JSON array of objects (UTF-8, with or without a byte order mark).

    Args:
        content: the file.
        name: as messages call it.
        native: adapts the objects.

    Raises:
        KerasftError: there is no object in it, or an array that is not JSON.
    """
    start = len(codecs.BOM_UTF8) if content[:3] == codecs.BOM_UTF8 else 0
    if bytes(content[start : start + 4096]).lstrip()[:1] == b"[":
        return open_mappings(_array(content, start, name), name, native)
    if native and (whole := _whole_object(content, start)) is not None:
        return open_mappings([whole], name, native)
    return _open_records(_adapted(lambda: _lines(content, start), native), Origin(name, "line"), native is None)


def _whole_object(content: Content, start: int) -> object:
    """The one object that a file is, over however many lines; None when it is not one."""
    try:
        return json.loads(bytes(content[start:]).decode())
    except (ValueError, RecursionError):
        return None


def open_mappings(mappings: Iterable[Mapping], name: str, native: Native | None = None) -> Opened:
    """Opens rows that are Python mappings already."""
    mappings = list(mappings)
    return _open_records(_adapted(lambda: enumerate(mappings, 1), native), Origin(name), native is None)


def open_native(content: Content, name: str, native: Native) -> Opened:
    """Opens a file in a field's own format (UTF-8, with or without a byte order mark).

    Raises:
        KerasftError: there is nothing in it but white space.
    """
    start = len(codecs.BOM_UTF8) if content[:3] == codecs.BOM_UTF8 else 0
    # Bytes that are not UTF-8 become halves of surrogate pairs, which are then a fault of their row.
    text = bytes(content[start:]).decode(errors="surrogateescape")
    if not text.strip():
        raise KerasftError(f"{name} has no rows: all of it is blank.")
    opened = _open_records(_adapted(lambda: native.records(text), native), Origin(name, "line"))
    return dataclasses.replace(opened, notes=tuple(f"{name}: {note}" for note in native.notes(text)))


def _adapted(records: Callable[[], Iterator[Record]], native: Native | None) -> Callable[[], Iterator[Record]]:
    return (lambda: native.adapt(records)) if native else records


def _lines(content: Content, start: int) -> Iterator[Record]:
    line = 0
    while start < len(content):
        line += 1
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        piece = bytes(content[start:end])
        start = end + 1
        if not piece.strip():
            continue
        try:
            yield line, json.loads(piece.decode())
        except UnicodeDecodeError:
            yield line, Fault(line, "the line is not UTF-8", "Repair its encoding or remove the line.")
        except json.JSONDecodeError as error:
            yield line, Fault(line, f"not JSON: {_found(piece, error)}", "Each line must be one whole JSON object.")
        except RecursionError:
            yield line, Fault(line, "not readable: nested too deeply", "Write one flat JSON object.")


def _found(piece: bytes, error: json.JSONDecodeError) -> str:
    text = piece.decode().rstrip("\r")
    if error.pos >= len(text):
        return f"it breaks off at column {error.pos + 1}"
    return f"unexpected {text[error.pos : error.pos + 12]!r} at column {error.pos + 1}"


def _array(content: Content, start: int, name: str) -> list:
    try:
        return json.loads(bytes(content[start:]).decode())
    except UnicodeDecodeError as error:
        raise KerasftError(f"{name} is not UTF-8 at offset {start + error.start}: repair its encoding.") from None
    except RecursionError:
        raise KerasftError(f"{name} is nested too deeply: write one flat JSON object per line.") from None
    except json.JSONDecodeError as error:
        raise KerasftError(
            f"{name} line {error.lineno}, column {error.colno}: not JSON, though the file begins as a JSON array. "
            "Repair it, or write one JSON object per line."
        ) from None


def _open_records(records, origin: Origin, flat: bool = False) -> Opened:
    """Opens records; where a task takes `flat` ones alone, one object with others in it is told as what it is."""
    names, samples = _first_rows(records(), origin, flat)
    return Opened(
        origin,
        names,
        sample=lambda: samples,
        parse=lambda positions, lists=frozenset(): _parse(
            records(), {column: names[i] for column, i in positions.items()}, lists
        ),
    )


def _first_rows(records: Iterator[Record], origin: Origin, flat: bool) -> tuple[list[str], list[list[str]]]:
    columns: dict[str, list[str]] = {}
    first_fault = None
    record, count = None, 0
    for number, record in itertools.islice(records, NAMING_ROWS):
        count += 1
        if not isinstance(record, Mapping):
            first_fault = first_fault or _not_an_object(number, record)
            continue
        for key, value in record.items():
            values = columns.setdefault(str(key), [])
            if len(values) < SAMPLE_ROWS and isinstance(value, str | int | float) and value != "":
                values.append(str(value))
    if flat and count == 1 and columns and any(_holds_rows(value) for value in record.values()):
        raise KerasftError(
            f"{origin.name} is one JSON object with {quoted(list(columns))}; expected a list of objects, "
            "or one object per line: write a row for each text."
        )
    if not columns and first_fault:
        raise KerasftError(f"{origin.place(first_fault.number)}: {first_fault.reason}. {first_fault.mend}")
    if not columns:
        raise KerasftError(f'{origin.name} has no rows: it needs one object per row, such as {{"text": "..."}}.')
    return list(columns), list(columns.values())


def _holds_rows(value: object) -> bool:
    return isinstance(value, Mapping) or (is_list(value) and any(isinstance(item, Mapping) for item in value))


def _not_an_object(number: int, record: object) -> Fault:
    if isinstance(record, Fault):
        return record
    kinds = {list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    found = kinds.get(type(record), "null" if record is None else type(record).__name__)
    return Fault(number, f"expected an object, found {found}", 'Write each row as {"text": "...", "label": "..."}.')


def _parse(records: Iterator[Record], keys: Mapping[str, str], lists: frozenset[str]) -> Parsed:
    faults: list[Fault] = []
    numbers: list[int] = []
    batch: dict[str, list[str | None]] = {column: [] for column in keys}
    chunks: dict[str, list[pa.Array]] = {column: [] for column in keys}

    def flush() -> None:
        for column, values in batch.items():
            chunks[column].append(pa.array(values, pa.large_string()))
            values.clear()

    for number, record in records:
        row = _row(number, record, keys, lists)
        if isinstance(row, Fault):
            faults.append(row)
            continue
        numbers.append(number)
        for values, value in zip(batch.values(), row, strict=True):
            values.append(value)
        if len(numbers) % BATCH == 0:
            flush()
    flush()
    columns = {column: pa.chunked_array(arrays, pa.large_string()) for column, arrays in chunks.items()}
    return Parsed(columns, np.asarray(numbers, dtype=np.int64), faults)


def _row(number: int, record: object, keys: Mapping[str, str], lists: frozenset[str]) -> list[str | None] | Fault:
    if not isinstance(record, Mapping):
        return _not_an_object(number, record)
    row = []
    for column, key in keys.items():
        try:
            value = record.get(key)
            row.append(json_list(value) if column in lists and is_list(value) else plain_string(value))
        except TypeError as error:
            return Fault(number, f"the {column} is {error}, expected one text", "Write it as one string.")
        except ValueError as error:
            return Fault(number, f"the {column} has {error}", "Repair the text or remove the row.")
    return row
