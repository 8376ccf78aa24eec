"""`kerasft fit --find-lr`."""

from collections.abc import Mapping
from typing import Any

from kerasft.errors import KerasftError

_UNUSED = ("test_data", "resume", "keep_cache", "export_dir", "name", "no_export")


def show_suggestion(settings: Mapping[str, Any], on_bad_row: str, arguments: Mapping[str, Any]) -> None:
    """Runs the range test and prints what it found.

    Args:
        settings: of `--set`.
        on_bad_row: `error` or `skip`.
        arguments: the other options of `kerasft fit`, by name.
    """
    from kerasft.training.range_test import search_rate

    for option in _UNUSED:
        if arguments[option]:
            raise KerasftError(f"--find-lr trains nothing: leave --{option.replace('_', '-')} away.")
    named = {key: value for key, value in arguments.items() if key not in _UNUSED}
    found, table, picture = search_rate(**named, on_bad_row=on_bad_row, **settings)
    if found.suggestion is None:
        print("No suggestion: the loss fell by no more than its noise.")
    else:
        print(f"Suggested: --set learning_rate={found.suggestion:.1e}")
    if found.diverged_at is not None:
        print(f"The loss blew up at {found.diverged_at:.1e}.")
    print(f"Table: {table}")
    if picture:
        print(f"Plot: {picture}")
