"""JSON as TensorFlow Serving reads it: the standard library's parser where both agree, RapidJSON's rules elsewhere.

The package python-rapidjson wraps the parser itself, and the tests compare with it. It does not take its place: it
refuses strings that are not UTF-8 and more than 1,000 levels, both of which TensorFlow Serving takes, and it follows a
later RapidJSON. What it would win is time on requests of very many numbers.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from .rest_scan import ScanError, scan
from .status import INVALID_ARGUMENT, ServingError

# Every digit becomes 0: so many of them may pass 64 bits, and so many or such an exponent may pass a double.
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_INTEGER = b"0" * 19
_TOO_BIG = (b"0" * 300, b"e000", b"e+000")
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Members(dict):
    """An object that names a key twice: as in RapidJSON a look-up finds the first, a walk meets every one.

    Attributes:
        pairs: the names and values in the order of the text.
    """

    def __init__(self, pairs: Iterable[tuple[str, Any]]):
        super().__init__()
        self.pairs = list(pairs)
        for name, value in self.pairs:
            self.setdefault(name, value)


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes an object of its names and values."""
    plain = dict(pairs)
    return plain if len(plain) == len(pairs) else Members(pairs)


def pairs_of(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """Gives an object's names and values, those named twice too, in the order of the text."""
    return value.pairs if isinstance(value, Members) else list(value.items())


def _integer(digits: str) -> int | float:
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else float(value)


_DECODER = json.JSONDecoder(object_pairs_hook=members)
_LONG_DECODER = json.JSONDecoder(object_pairs_hook=members, parse_int=_integer)


def parse(body: bytes) -> Any:
    """Reads one JSON document (util/json_tensor.cc, ParseJson, on RapidJSON 1.1.0 with kParseNanAndInfFlag).

    Args:
        body: the text. Strings may hold bytes that are not UTF-8.

    Returns:
        dict (`Members` where a key stands twice), list, str (bytes outside UTF-8 as surrogate escapes), bool, None,
        int within 64 bits (signed or unsigned), or float; a larger integer is a float.

    Raises:
        ServingError: INVALID_ARGUMENT "JSON Parse error: …" with RapidJSON's own words and byte offset.
    """
    if not body:
        raise ServingError(INVALID_ARGUMENT, "JSON Parse error: The document is empty")
    try:
        decoder = fast_decoder(body)
        if decoder is not None:
            return decoder.decode(body.decode())
    # A text that one of the two refuses; RecursionError: deep nesting.
    except (ValueError, RecursionError):
        pass
    try:
        return scan(body, members)
    except ScanError as error:
        raise ServingError(INVALID_ARGUMENT, f"JSON Parse error: {error.text} at offset: {error.offset}") from None


def fast_decoder(body: bytes) -> json.JSONDecoder | None:
    """Gives a decoder of the standard library that reads a text, if it takes it, as RapidJSON does; or None."""
    shape = body.translate(_DIGITS)
    if any(number in shape for number in _TOO_BIG):
        return None
    # A lone surrogate: an error for RapidJSON, or three bytes that are not UTF-8.
    if b"\\u" in body and _SURROGATE.search(_PAIR.sub("", body.decode())):
        return None
    return _LONG_DECODER if _LONG_INTEGER in shape else _DECODER
