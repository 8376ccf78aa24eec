"""Is this content text in UTF-8? If not, what is it, and how does the user mend that?"""

import codecs
import mmap
import shlex

from kerasft.errors import KerasftError

Content = bytes | mmap.mmap

STANDARD_INPUT = "standard input"
CHUNK = 1 << 20

# First bytes -> what the file is, what to do. The order matters only for prefixes of one another (there are none).
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Office file", "save it as CSV"),
    (b"PAR1", "a Parquet file", "give it the ending .parquet"),
    (b"ARROW1", "an Arrow file", "write it as Parquet"),
    (b"\x1f\x8b", "compressed with gzip", "give its name the ending .gz"),
    (b"BZh", "compressed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it with unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"\x89PNG", "a PNG image", "pass a file of texts"),
    (b"\xff\xd8\xff", "a JPEG image", "pass a file of texts"),
    (b"GIF8", "a GIF image", "pass a file of texts"),
    (b"%PDF-", "a PDF document", "pass a file of texts"),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (b"\x89HDF", "an HDF5 file", "write it as Parquet or CSV"),
    (b"\x93NUMPY", "a NumPy array", "write it as Parquet or CSV"),
    (b"\x7fELF", "a program", "pass a file of texts"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"\x80\x02", "a Python pickle", "write it as Parquet or CSV"),
    (b"\x80\x03", "a Python pickle", "write it as Parquet or CSV"),
    (b"\x80\x04", "a Python pickle", "write it as Parquet or CSV"),
    (b"\x80\x05", "a Python pickle", "write it as Parquet or CSV"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data itself", "run git lfs pull"),
)

# UTF-32 first: its little-endian mark begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def check_text(content: Content, name: str, allow_bad_bytes: bool = False) -> None:
    """Passes UTF-8 text, with or without a byte order mark; everything else is an error that says what it is.

    Args:
        content: a whole file.
        name: the file's name, for messages.
        allow_bad_bytes: lets bytes that are not UTF-8 pass; the caller then leaves out the rows they are in.

    Raises:
        KerasftError: a known binary format, another encoding, a NUL byte, or bytes that are not UTF-8.
    """
    head = bytes(content[:4096])
    check_magic(head, name)
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            raise KerasftError(f"{name} is text in {encoding}, expected UTF-8: {_iconv(encoding, name)}")
    offset = content.find(b"\0")
    if offset >= 0:
        raise KerasftError(_nul_message(content, head, offset, name))
    if not allow_bad_bytes:
        offset = first_bad_byte(content)
        if offset is not None:
            raise KerasftError(_bad_byte_message(content, offset, name))


def check_magic(head: bytes, name: str) -> None:
    """Raises `KerasftError` when the first bytes of a file are those of a known format that is not text."""
    if head.startswith(b"PK\x03\x04"):
        if name.lower().endswith((".xlsx", ".xlsm")) or b"xl/" in head or b"[Content_Types].xml" in head:
            raise KerasftError(f"{name} is an Excel workbook: save it as CSV (UTF-8) and pass that.")
        raise KerasftError(f"{name} is a zip archive: unpack it and pass the files.")
    for magic, what, mend in MAGIC:
        if head.startswith(magic):
            raise KerasftError(f"{name} is {what}: {mend}.")
    if head.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise KerasftError(f"{name} is a web page (HTML), as failed downloads leave it: fetch the data again.")


def first_bad_byte(content: Content) -> int | None:
    """The offset of the first byte at which `content` stops being UTF-8, or None."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(content), CHUNK):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(content[start : start + CHUNK], final=start + CHUNK >= len(content))
        except UnicodeDecodeError as error:
            return start - pending + error.start
    return None


def _line(content: Content, offset: int) -> int:
    return bytes(content[:offset]).count(b"\n") + 1


def _iconv(encoding: str, name: str) -> str:
    return f"convert it: iconv -f {encoding} -t UTF-8{_files(name, 'utf8')}"


def _files(name: str, prefix: str) -> str:
    """The end of a command line that reads the file and writes another; nothing for standard input."""
    if name == STANDARD_INPUT:
        return ""
    return f" < {shlex.quote(name)} > {shlex.quote(prefix + '-' + name.split('/')[-1])}"


def _nul_message(content: Content, head: bytes, offset: int, name: str) -> str:
    # UTF-16 without a mark: in mostly Western text every second byte is zero.
    for first, encoding in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if len(head) >= 4 and head[first::2].count(0) > 0.4 * len(head) / 2 > 10 * head[1 - first :: 2].count(0):
            return f"{name} looks like text in {encoding}, expected UTF-8: {_iconv(encoding, name)}"
    if head.count(0) > 0.01 * len(head):
        return f"{name} is a binary file (NUL at byte {offset}), expected text: pass CSV, TSV, JSONL or Parquet."
    return (
        f"{name} line {_line(content, offset)} has a NUL character (byte {offset}), which text files do not have. "
        f"Remove it: tr -d '\\000'{_files(name, 'clean')}"
    )


def _bad_byte_message(content: Content, offset: int, name: str) -> str:
    found = f"{name} is not UTF-8: byte 0x{content[offset]:02x} at offset {offset} (line {_line(content, offset)})."
    # Non-ASCII characters that did decode say that the file is UTF-8 and one row is damaged.
    if not bytes(content[:offset]).removeprefix(codecs.BOM_UTF8).isascii():
        return f"{found} The text before it is UTF-8: repair that line, or leave it out with --on-bad-row skip."
    return f"{found} If it is Western European text, {_iconv('WINDOWS-1252', name)}"
