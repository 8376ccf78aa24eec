"""Opens one input by its ending, or by its first bytes where it has none (standard input, a pipe)."""

import codecs
import gzip
import mmap
import os
import stat
import sys
import zlib

import pyarrow as pa

from kerasft.data.arrow_rows import MAGIC, open_parquet, open_table
from kerasft.data.bytes_check import Content, check_magic, check_text
from kerasft.data.delimited import open_delimited
from kerasft.data.json_rows import open_json, open_mappings, open_native
from kerasft.data.opened import Native, Opened
from kerasft.errors import KerasftError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
}
GZIP = b"\x1f\x8b"


def file_format(path: str, endings: tuple[str, ...] = ()) -> str | None:
    """`csv`, `tsv`, `json` or `parquet`, by the file's ending (one more `.gz` aside), or `native` for one of `endings`;
    None for an unknown ending.
    """
    if endings and path.lower().removesuffix(".gz").endswith(endings):
        return "native"
    stem, ending = os.path.splitext(path.lower())
    packed = ending == ".gz"
    kind = FORMATS.get(os.path.splitext(stem)[1] if packed else ending)
    return None if packed and kind == "parquet" else kind


def open_path(path: str, name: str, allow_bad_bytes: bool, native: Native | None = None) -> Opened:
    """Opens a file, a pipe, or standard input (`-`).

    Args:
        path: the file, or `-`.
        name: as messages call it.
        native: the task's own formats.
        allow_bad_bytes: makes bytes that are not UTF-8 a fault of their row, not of the file.

    Raises:
        KerasftError: it cannot be read, is empty, has an unknown ending, or is not what its ending says.
    """
    try:
        content, is_stream = _content(path)
    except OSError as error:
        raise KerasftError(f"Cannot read {name}: {error.strerror}.") from None
    kind = None if is_stream else file_format(path, native.endings if native else ())
    if not len(content):
        needed = "rows" if kind == "native" else "a header line and rows"
        raise KerasftError(f"{name} is empty (0 bytes): it needs {needed}.")
    if kind is None and not is_stream:
        check_magic(bytes(content[:4096]), name)
        endings = ", ".join([*FORMATS, *(native.endings if native else ())])
        raise KerasftError(
            f"{name} has an unknown ending, expected {endings} (all but .parquet also with .gz): rename it."
        )
    if path.lower().endswith(".gz") or (is_stream and content[:2] == GZIP):
        content = _unpacked(content, name)
    if kind is None:
        kind = _sniffed(content)
    if kind == "parquet":
        return open_parquet(content, name)
    check_text(content, name, allow_bad_bytes)
    if kind == "json":
        return open_json(content, name, native)
    if kind == "native":
        return open_native(content, name, native)
    return open_delimited(content, name, "\t" if kind == "tsv" else None)


def open_rows(rows: pa.Table | list, name: str, native: Native | None = None) -> Opened:
    """Opens rows in memory: an Arrow table or a list of mappings."""
    return open_table(rows, name) if isinstance(rows, pa.Table) else open_mappings(rows, name, native)


def _content(path: str) -> tuple[Content, bool]:
    """The bytes, mapped where they are a file's, and whether they come from a stream."""
    if path == "-":
        return sys.stdin.buffer.read(), True
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return file.read(), True
        return (mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if status.st_size else b""), False


def _unpacked(content: Content, name: str) -> bytes:
    if content[:2] != GZIP:
        raise KerasftError(f"{name} is not compressed with gzip, though its ending is .gz: rename it.")
    try:
        unpacked = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        raise KerasftError(f"{name} is a gzip file that is damaged or cut short: copy it again.") from None
    if not unpacked:
        raise KerasftError(f"{name} holds nothing (0 bytes): it needs a header line and rows.")
    return unpacked


def _sniffed(content: Content) -> str:
    head = bytes(content[:4096])
    if head.startswith(MAGIC):
        return "parquet"
    return "json" if head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"[") else "csv"
