"""Reads and writes TFRecord files without TensorFlow (tsl/lib/io/record_reader.cc, record_writer.cc, crc32c.h).

A record: its length in 8 bytes, the length's checksum in 4, its bytes, their checksum in 4; little-endian.
"""

import functools
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from kerasft.serving.status import DATA_LOSS, ServingError

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_MASK = 0xA282EAD8
_LONGEST = 2**31


@functools.cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (_POLYNOMIAL if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


def masked_crc(data: bytes) -> int:
    """Gives the checksum of a TFRecord: CRC-32C, rotated and shifted, for a CRC of data with CRCs in it is weak."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def framed(record: bytes) -> bytes:
    """Gives a record as the file has it."""
    length = struct.pack("<Q", len(record))
    crcs = (struct.pack("<I", masked_crc(part)) for part in (length, record))
    return length + next(crcs) + record + next(crcs)


def write_records(path: str | Path, records: Iterable[bytes]) -> None:
    """Writes records to a file, over what is in it."""
    Path(path).write_bytes(b"".join(map(framed, records)))


def read_records(path: str | Path) -> Iterator[bytes]:
    """Yields the records of a file, each when it is asked for.

    Raises:
        ServingError: DATA_LOSS, in the words of record_reader.cc.
    """
    with open(path, "rb") as file:
        at = 0
        while True:
            header = _checked(file, at, 8)
            if header is None:
                return
            (length,) = struct.unpack("<Q", header)
            record = _checked(file, at + 12, length)
            if record is None:
                raise ServingError(DATA_LOSS, f"truncated record at {at}' failed with eof")
            yield record
            at += 16 + length


def _checked(file: BinaryIO, at: int, size: int) -> bytes | None:
    """Reads bytes and their checksum; None at the end of the file."""
    hint = "" if at else " (Is this even a TFRecord file?)"
    if size > _LONGEST:
        raise ServingError(DATA_LOSS, f"record size too large{hint}")
    found = file.read(size + 4)
    if not found:
        return None
    if len(found) < size + 4:
        raise ServingError(DATA_LOSS, f"truncated record at {at}{hint}")
    data = found[:size]
    if masked_crc(data) != struct.unpack("<I", found[size:])[0]:
        raise ServingError(DATA_LOSS, f"corrupted record at {at}{hint}")
    return data
