"""Parquet files and Arrow tables: typed columns, made plain strings."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kerasft.data.bytes_check import Content
from kerasft.data.opened import SAMPLE_ROWS, Opened, Parsed
from kerasft.data.plain import json_list, plain_string
from kerasft.data.rows import Origin
from kerasft.errors import KerasftError

MAGIC = b"PAR1"


def open_parquet(content: Content, name: str) -> Opened:
    """Opens a Parquet file; only the columns that the task needs are read.

    Raises:
        KerasftError: it is not Parquet, is damaged, or has no rows.
    """
    if content[:4] != MAGIC:
        raise KerasftError(f"{name} is not a Parquet file (it does not begin with PAR1): check its ending.")
    if content[-4:] != MAGIC:
        raise KerasftError(f"{name} is a Parquet file that was cut short: write or copy it again.")
    damaged = KerasftError(f"{name} is a damaged Parquet file: write or copy it again.")
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(content)))
        names, rows = file.schema_arrow.names, file.metadata.num_rows
    except (pa.ArrowException, OSError):
        raise damaged from None

    def read(key: str) -> pa.ChunkedArray:
        try:
            return file.read(columns=[key]).column(0)
        except (pa.ArrowException, OSError):
            raise damaged from None

    def head() -> pa.RecordBatch:
        try:
            return next(file.iter_batches(batch_size=SAMPLE_ROWS))
        except (pa.ArrowException, OSError):
            raise damaged from None

    return _open(read, head, names, rows, name)


def open_table(table: pa.Table, name: str) -> Opened:
    """Opens an Arrow table."""
    return _open(table.column, lambda: table.slice(0, SAMPLE_ROWS), table.column_names, table.num_rows, name)


def _open(read, head, names: list[str], rows: int, name: str) -> Opened:
    if not rows:
        raise KerasftError(f"{name} has no rows: add rows to it.")

    def sample() -> list[list[str]]:
        return [[str(value) for value in values.to_pylist() if value not in (None, "")] for values in head().columns]

    def parse(positions, lists=frozenset()) -> Parsed:
        columns = {
            column: _plain_column(read(names[position]), names[position], name, column in lists)
            for column, position in positions.items()
        }
        return Parsed(columns, np.arange(1, rows + 1, dtype=np.int64), [])

    return Opened(Origin(name), names, sample, parse)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _plain_column(values: pa.ChunkedArray, key: str, name: str, lists: bool) -> pa.ChunkedArray:
    kind = values.type
    if lists and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        texts = [None if value is None else json_list(value) for value in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.large_string())])
    if pa.types.is_nested(kind):
        raise KerasftError(f"{name} column '{key}' holds {kind}, expected one text per row: write it as strings.")
    if _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.large_string())
    try:
        texts = [plain_string(value) for value in values.to_pylist()]
    except UnicodeDecodeError:
        raise KerasftError(
            f"{name} column '{key}' holds bytes that are not UTF-8, expected text: write it as strings."
        ) from None
    return pa.chunked_array([pa.array(texts, pa.large_string())])
