"""Plain text files: a text a line."""

from collections.abc import Iterator

from kerasft.data.opened import Fault, Native

Record = tuple[int, object]


def text_lines(text: str) -> Iterator[Record]:
    """Reads a file.

    Args:
        text: of the whole file. LF and CRLF end a line, and nothing else that Unicode takes for a line's end.

    Yields:
        The number of each line that is not blank, from 1, and `{"text": line}` or the line's `Fault`.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            line.encode()
        except UnicodeEncodeError:
            yield number, Fault(number, "the line is not UTF-8", "Repair its encoding or remove the line.")
            continue
        yield number, {"text": line.removesuffix("\r")}


def blank_lines(text: str) -> tuple[str, ...]:
    """Says how many lines are blank; nothing when none is. What ends the last line begins no other."""
    count = sum(not line.strip() for line in text.removesuffix("\n").split("\n"))
    return (f"{count:,} blank line{'s are' if count > 1 else ' is'} left out.",) if count else ()


NATIVE = Native(endings=(".txt",), records=text_lines, adapt=lambda records: records(), notes=blank_lines)
