"""Values as JSON text, as RapidJSON's PrettyWriter and TensorFlow Serving's WriteDecimal write them."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .rest_json import pairs_of

INDENT = "    "
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LARGEST_FLOAT = 3.4028234e38
# An error names the value that is wrong: a whole request would make it as long as the request, and its indentation
# grows with the square of the depth.
_LONGEST_VALUE = 4096


def quoted(text: str) -> str:
    """Writes a string: only quotes, backslashes and control characters are escaped, all else stands as it is."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match) -> str:
    return _SHORT.get(match.group()) or f"\\u{ord(match.group()):04X}"


def decimals(values: Sequence[float], dtype: type[np.floating]) -> list[str]:
    """Writes floating-point numbers (util/json_tensor.cc, WriteDecimal).

    Args:
        values: the numbers.
        dtype: `np.float32` or `np.float64`: the precision in which a text must read back.

    Returns:
        The texts: six digits where they suffice, else all; whole numbers with ".0" unless in scientific notation;
        NaN, Infinity and -Infinity bare.
    """
    texts = [f"{value:g}" for value in values]
    with np.errstate(over="ignore"):
        same = np.asarray([float(text) for text in texts], dtype) == np.asarray(values, dtype)
    all_digits = ".9g" if dtype is np.float32 else ".17g"
    for at in np.flatnonzero(~same).tolist():
        texts[at] = format(values[at], all_digits)
    return [_with_point(text) for text in texts]


def _with_point(text: str) -> str:
    if "." in text or "e" in text:
        return text
    # The only letters that are left.
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text) or f"{text}.0"


def value_text(value: Any) -> str:
    """Writes a value of a request for an error message (JsonValueToString).

    Args:
        value: what `rest_json.parse` gives.

    Returns:
        The text, several lines for a list or an object, cut after 4,096 characters.
    """
    if type(value) is float:
        # IsFloat(): by its size, not by its type.
        is_single = abs(value) <= _LARGEST_FLOAT
        return decimals([value], np.float32 if is_single else np.float64)[0]
    text = "".join(_pieces(value))
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def _pieces(value: Any) -> list[str]:
    """Writes a nested value without recursion, until it is long enough or RapidJSON would stop, at a NaN."""
    pieces: list[str] = []
    length = 0
    # What is to be written: a ready text, or a value with its depth.
    waiting: list[tuple[str | None, Any, int]] = [(None, value, 0)]
    while waiting and length <= _LONGEST_VALUE:
        text, value, depth = waiting.pop()
        if text is None:
            text = _leaf(value) if not isinstance(value, list | dict) else _opened(value, depth, waiting)
        if text is None:
            break
        pieces.append(text)
        length += len(text)
    return pieces


def _opened(value: list | dict, depth: int, waiting: list) -> str:
    is_list = isinstance(value, list)
    if not value:
        return "[]" if is_list else "{}"
    waiting.append((f"\n{INDENT * depth}{']' if is_list else '}'}", None, 0))
    inner = f"\n{INDENT * (depth + 1)}"
    # No more of them than can be written.
    items = [(None, item) for item in value] if is_list else pairs_of(value)
    for at in range(min(len(items), _LONGEST_VALUE) - 1, -1, -1):
        name, item = items[at]
        waiting.append((None, item, depth + 1))
        start = "," + inner if at else inner
        waiting.append((start if name is None else f"{start}{quoted(name)}: ", None, 0))
    return "[" if is_list else "{"


def _leaf(value: Any) -> str | None:
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    return _shortest(value) if math.isfinite(value) else None


def _shortest(value: float) -> str:
    """Writes a double in the fewest digits that read back, in RapidJSON's notation (internal/dtoa.h, Prettify)."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if not value:
        return f"{sign}0.0"
    mantissa, _, exponent = f"{float(abs(value))!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # Where the point stands after the first digit: value = 0.digits * 10 ** point.
    point = len(whole.lstrip("0")) if whole.strip("0") else len(fraction.lstrip("0")) - len(fraction)
    point += int(exponent or 0)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1}"
