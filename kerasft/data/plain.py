"""Plain strings: typed values as a person would write them, and names as one line of a message can show them."""

import decimal
import json
import math
import re
from collections.abc import Sequence

# Above this a float no longer tells neighbouring integers apart, so "whole" says nothing.
LARGEST_EXACT = 2**53
LARGEST_FLOAT32 = (2 - 2**-23) * 2.0**127

LONGEST_SHOWN = 40  # characters of a name in a message
MOST_SHOWN = 12  # names in a message
# With zeros behind a point: so a column of whole numbers is written once it has a gap.
_WHOLE = re.compile(r"([-+]?)0*([0-9]{1,10})(?:\.0*)?")


def plain_string(value: object) -> str | None:
    """`"1"` for 1 and for 1.0, `"true"` for True, the text itself for text, None for a missing value.

    Args:
        value: a Python, NumPy or pandas scalar.

    Returns:
        The string, or None for None, NaN, NaT and pandas' NA.

    Raises:
        TypeError: the value is a list, a mapping or anything else that is not one value; the message says
            what it is, in JSON's words.
        ValueError: the text has half of a surrogate pair, which no UTF-8 file can hold.
    """
    if isinstance(value, str):
        if not value.isascii():
            _refuse_surrogates(value)
        return str(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a NumPy scalar
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | decimal.Decimal):
        if math.isnan(value):
            return None
        if math.isfinite(value) and abs(value) < LARGEST_EXACT and value == int(value):
            return str(int(value))
        return str(value)
    if isinstance(value, str | bytes):
        return plain_string(value.decode() if isinstance(value, bytes) else str(value))
    if isinstance(value, dict):
        raise TypeError("an object")
    if isinstance(value, list | tuple | set) or hasattr(value, "__len__"):
        raise TypeError("a list")
    return str(value)


def whole_number(value: str) -> int | None:
    """The number from -2^31 to 2^31 - 1 that a text stands for, as `12` or `12.0` does; None when it is none."""
    found = _WHOLE.fullmatch(value)
    number = int(found[1] + found[2]) if found else 2**31
    return number if -(2**31) <= number < 2**31 else None


def is_list(value: object) -> bool:
    """Whether a value is a list, as JSON, Parquet, NumPy and pandas have them."""
    return isinstance(value, list | tuple | set | frozenset) or getattr(value, "ndim", 0) == 1


def json_list(values: object) -> str:
    """A list as JSON text."""
    plain = [
        value.tolist()
        if getattr(value, "ndim", 0)
        else value
        if isinstance(value, list | tuple | dict)
        else plain_string(value)
        for value in values
    ]
    text = json.dumps(sorted(plain) if isinstance(values, set | frozenset) else plain, ensure_ascii=False)
    _refuse_surrogates(text)
    return text


def json_of(text: str) -> object:
    """What a value holds that is written as JSON.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has half of a surrogate pair.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\u" in text:
        _refuse_surrogates(json.dumps(found, ensure_ascii=False))
    return found


def finite_number(value: str) -> float | None:
    """The number that a text stands for, as a float32 can hold it; None when it is none."""
    try:
        # Python's own way to write 1_500 is nobody's in a file.
        found = math.inf if "_" in value else float(value)
    except ValueError:
        return None
    return found if abs(found) <= LARGEST_FLOAT32 else None


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair (\\ud800 to \\udfff)") from None


def one_line(message: str) -> str:
    """`message` with everything that is not printable (line ends, control characters) as an escape such as `\\n`."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def shortened(name: str) -> str:
    """`name` on one line, or its beginning with dots when it is long."""
    name = one_line(name)
    return name if len(name) <= LONGEST_SHOWN else name[: LONGEST_SHOWN - 3] + "..."


def quoted(names: Sequence[str], joint: str = ", ") -> str:
    """`'text', 'label' and 3 more`: the first names, each shortened."""
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return joint.join(f"'{shortened(name)}'" for name in names[:MOST_SHOWN]) + more
