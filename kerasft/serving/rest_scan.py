"""RapidJSON's grammar, errors and byte offsets, without recursion: for the texts that the fast parser cannot take.

Behaviour from RapidJSON 1.1.0's reader.h (ParseStream with kParseNanAndInfFlag) and error/en.h.
"""

import re
from collections.abc import Callable
from typing import Any

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(rb"[0-9]*")
_OPENINGS = re.compile(rb"\[(?:[ \t\n\r]*\[)*")
_CLOSINGS = re.compile(rb"\]*")
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {0x22: b'"', 0x5C: b"\\", 0x2F: b"/", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t"}
_WORDS = {0x6E: (b"null", None), 0x74: (b"true", True), 0x66: (b"false", False)}
_ROOT = "The document root must not be followed by other values."
_SURROGATE = "The surrogate pair in string is invalid."


class ScanError(Exception):
    """RapidJSON's words for a wrong text.

    Attributes:
        text: the words.
        offset: the byte where it stopped.
    """

    def __init__(self, text: str, offset: int):
        super().__init__(f"{text} at offset: {offset}")
        self.text = text
        self.offset = offset


def scan(body: bytes, members: Callable[[list[tuple[str, Any]]], dict]) -> Any:
    """Reads one document.

    Args:
        body: the text; a byte order mark is passed over, and a NUL byte ends it, as for RapidJSON.
        members: makes an object of its names and values.

    Returns:
        The value, in the types of `rest_json.parse`.

    Raises:
        ScanError: a text that RapidJSON refuses.
    """
    body = body.partition(b"\0")[0]
    at = _space(body, 3 if body.startswith(b"\xef\xbb\xbf") else 0)
    if at == len(body):
        raise ScanError("The document is empty.", at)
    # What is open, outermost first: the items, whether it is an object, and how many lists are open here one directly
    # inside another (half a million brackets are one entry); beside it the names that wait for their value.
    open_ones: list[tuple[list, bool, int]] = []
    names: list[str] = []
    while True:
        head = body[at : at + 1]
        if head == b"[":
            run = _OPENINGS.match(body, at)
            levels = run.group().count(b"[")
            at = _space(body, run.end())
            if body[at : at + 1] != b"]":
                open_ones.append(([], False, levels))
                continue
            value, at = _closed([], levels, at + 1, body, open_ones)
        elif head == b"{":
            at = _space(body, at + 1)
            if body[at : at + 1] != b"}":
                open_ones.append(([], True, 1))
                at = _name(body, at, names)
                continue
            value, at = members([]), at + 1
        else:
            value, at = _scalar(body, at)
        # The value is whole: put it into what is open, and close what ends after it.
        while True:
            at = _space(body, at)
            if not open_ones:
                if at < len(body):
                    raise ScanError(_ROOT, at)
                return value
            items, is_object, levels = open_ones[-1]
            items.append((names.pop(), value) if is_object else value)
            mark = body[at : at + 1]
            if mark == b",":
                at = _space(body, at + 1)
                if is_object:
                    at = _name(body, at, names)
                break
            if mark != (b"}" if is_object else b"]"):
                what = "} after an object member" if is_object else "] after an array element"
                raise ScanError(f"Missing a comma or {what}.", at)
            open_ones.pop()
            if is_object:
                value, at = members(items), at + 1
            else:
                value, at = _closed(items, levels, at + 1, body, open_ones)


def _closed(items: list, levels: int, at: int, body: bytes, open_ones: list) -> tuple[list, int]:
    """Closes a list, and at once those around it that have no other item and whose brackets follow."""
    more = min(_CLOSINGS.match(body, at, at + levels - 1).end() - at, levels - 1)
    for _ in range(more):
        items = [items]
    if more < levels - 1:
        open_ones.append(([], False, levels - 1 - more))
    return items, at + more


def _space(body: bytes, at: int) -> int:
    return _SPACE.match(body, at).end()


def _name(body: bytes, at: int, names: list[str]) -> int:
    if body[at : at + 1] != b'"':
        raise ScanError("Missing a name for object member.", at)
    name, at = _string(body, at)
    at = _space(body, at)
    if body[at : at + 1] != b":":
        raise ScanError("Missing a colon after a name of object member.", at)
    names.append(name)
    return _space(body, at + 1)


def _scalar(body: bytes, at: int) -> tuple[Any, int]:
    if body[at : at + 1] == b'"':
        return _string(body, at)
    if at < len(body) and body[at] in _WORDS:
        word, value = _WORDS[body[at]]
        return value, _word(body, at, word)
    return _number(body, at)


def _word(body: bytes, at: int, word: bytes) -> int:
    """Takes a word letter by letter: the offset of an error is the first letter that differs."""
    for letter in word:
        if body[at : at + 1] != bytes((letter,)):
            raise ScanError("Invalid value.", at)
        at += 1
    return at


def _string(body: bytes, at: int) -> tuple[str, int]:
    """Reads a string whose quote stands at `at`; bytes that are not UTF-8 come as surrogate escapes."""
    at += 1
    parts = []
    while True:
        plain = _PLAIN.match(body, at)
        parts.append(plain.group())
        at = plain.end()
        if at == len(body):
            raise ScanError("Missing a closing quotation mark in string.", at)
        if body[at] == 0x22:
            return b"".join(parts).decode("utf-8", "surrogateescape"), at + 1
        if body[at] != 0x5C:
            raise ScanError("Invalid escape character in string.", at)
        part, at = _escape(body, at)
        parts.append(part)


def _escape(body: bytes, at: int) -> tuple[bytes, int]:
    kind = body[at + 1] if at + 1 < len(body) else 0
    if kind in _ESCAPES:
        return _ESCAPES[kind], at + 2
    if kind != 0x75:
        raise ScanError("Invalid escape character in string.", at)
    code = _hex(body, at + 2, at)
    end = at + 6
    if 0xD800 <= code <= 0xDBFF:
        if body[end : end + 2] != b"\\u":
            raise ScanError(_SURROGATE, at)
        low = _hex(body, end + 2, at)
        if not 0xDC00 <= low <= 0xDFFF:
            raise ScanError(_SURROGATE, at)
        code = ((code - 0xD800) << 10 | (low - 0xDC00)) + 0x10000
        end += 6
    # RapidJSON 1.1.0 lets a low surrogate alone pass, as three bytes.
    return chr(code).encode("utf-8", "surrogatepass"), end


def _hex(body: bytes, at: int, escape: int) -> int:
    digits = _HEX4.match(body, at)
    if digits is None:
        raise ScanError("Incorrect hex digit after \\u escape in string.", escape)
    return int(digits.group(), 16)


def _number(body: bytes, start: int) -> tuple[int | float, int]:
    at = start + 1 if body[start : start + 1] == b"-" else start
    head = body[at : at + 1]
    if head == b"0":
        at += 1
    elif head.isdigit():
        at = _DIGITS.match(body, at).end()
    elif head == b"N":
        return float("nan"), _word(body, at, b"NaN")
    elif head == b"I":
        at = _word(body, at, b"Inf")
        if body[at : at + 1] == b"i":
            at = _word(body, at, b"inity")
        return float("-inf" if body[start] == 0x2D else "inf"), at
    else:
        raise ScanError("Invalid value.", at)
    whole = at
    decimals = 0
    if body[at : at + 1] == b".":
        end = _DIGITS.match(body, at + 1).end()
        decimals = end - at - 1
        if not decimals:
            raise ScanError("Miss fraction part in number.", end)
        at = end
    if body[at : at + 1] in (b"e", b"E"):
        sign = body[at + 1 : at + 2]
        first = at + 2 if sign in (b"+", b"-") else at + 1
        at = _DIGITS.match(body, first).end()
        if at == first:
            raise ScanError("Miss exponent in number.", at)
        exponent = body[first:at].lstrip(b"0")
        # Also for 0e999: RapidJSON looks at the exponent alone.
        if sign != b"-" and (len(exponent) > 9 or int(exponent or b"0") > 308 + decimals):
            raise ScanError("Number too big to be stored in double.", start)
    text = body[start:at]
    # More digits than any 64-bit integer has are a double at once: int() refuses very long texts.
    if at == whole and at - start <= 20 and -(2**63) <= int(text) < 2**64:
        return int(text), at
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ScanError("Number too big to be stored in double.", start)
    return value, at
