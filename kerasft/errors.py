"""The one exception a user sees, and the nearest name to a mistyped one."""

import difflib
from collections.abc import Iterable


class KerasftError(Exception):
    """A mistake that the user can mend.

    The message is one line: what was expected, what was found, and the mend. The command line prints it
    and exits with status 2; the library lets it rise.
    """


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Ends an "unknown name" message.

    Args:
        name: what the user wrote.
        names: what would have been accepted.

    Returns:
        `' Did you mean "x"?'` when one of `names` is near, else the list of them (`" Known: a, b, c."`).
    """
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f' Did you mean "{near[0]}"?'
    return f" Known: {', '.join(known)}."
