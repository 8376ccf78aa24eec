"""Plain text files as documents: what stands between blank lines is one, with its own line ends."""

from collections.abc import Iterator

from kerasft.data.opened import Fault, Native

Record = tuple[int, object]


def documents(text: str) -> Iterator[Record]:
    """Reads a file.

    Args:
        text: of the whole file. LF and CRLF end a line, and nothing else that Unicode takes for a line's end.

    Yields:
        The number of each document's first line, from 1, and `{"text": its lines}` or its `Fault`.
    """
    lines: list[str] = []
    first = 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            first = first if lines else number
            lines.append(line.removesuffix("\r"))
        elif lines:
            yield first, _record(first, "\n".join(lines))
            lines = []


def _record(number: int, document: str) -> object:
    try:
        document.encode()
    except UnicodeEncodeError:
        return Fault(number, "the document is not UTF-8", "Repair its encoding or remove it.")
    return {"text": document}


NATIVE = Native(endings=(".txt",), records=documents, adapt=lambda records: records())
"""Plain text files."""
