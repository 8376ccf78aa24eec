"""`kerasft check --tf-serving 2.12..2.21`: which releases of TensorFlow Serving load an export."""

import re

from kerasft.errors import KerasftError

# `ops/newer.txt` was read from the registries of these; between two of them, when an op came is not known.
READ = (12, 16, 20, 21)


def minor_releases(text: str) -> range:
    """Reads "2.16" or "2.12..2.21".

    Returns:
        The minor numbers: 12 to 21 of the second.

    Raises:
        KerasftError: not of this form, backwards, or beyond the releases that the tables know.
    """
    found = re.fullmatch(r"2\.(\d{1,3})(?:\.\.2\.(\d{1,3}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not READ[0] <= first <= last <= READ[-1]:
        raise KerasftError(
            f"Expected a TensorFlow Serving release from 2.{READ[0]} to 2.{READ[-1]}, such as 2.16, or a range such as "
            f"2.{READ[0]}..2.{READ[-1]}; found '{text}'."
        )
    return range(first, last + 1)


def loads_in(lowest: str, releases: range) -> dict[str, str]:
    """Answers for each release whether it has what an export uses.

    Args:
        lowest: the first of the releases `READ` that has all of it, such as "2.16".
        releases: minor numbers.

    Returns:
        Release -> "yes", "no", or "unknown" for one between the last of `READ` that lacks something and `lowest`.
    """
    first = int(lowest.partition(".")[2])
    lacking = max((one for one in READ if one < first), default=0)
    return {f"2.{one}": "yes" if one >= first else "no" if one <= lacking else "unknown" for one in releases}
