"""Settings as users write them: a YAML file, or `key=value` on the command line."""

from pathlib import Path
from typing import Any

import yaml

from kerasft.errors import KerasftError

_COLUMN = "_column"
_TEXTS = ("template", "stop")


def read_settings(path: str | Path) -> dict[str, Any]:
    """Reads the settings in a YAML file.

    Raises:
        KerasftError: no such file, not YAML, or not a table of keys.
    """
    path = Path(path)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise KerasftError(f"Recipe {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        at = "" if line is None else f" at line {line + 1}"
        raise KerasftError(f"Recipe {path} is not valid YAML{at}.") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise KerasftError(f"Recipe {path}: expected 'key: value' lines, found {type(found).__name__}.")
    return found


def parse_assignments(assignments: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Reads `key=value` pairs; a value is YAML, so that lists and phases can be given too. A template or a stop text is
    as it would be in YAML's double quotes, where `\\n` is a line end.

    Raises:
        KerasftError: a pair without `=`, or a value that is not YAML.
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise KerasftError(f"--set expects key=value, found {assignment!r}.")
        try:
            # Labels and columns are names: `labels=yes,no` and `text_column=1` must not turn into something else.
            named = (key.strip() == "labels" and not value.startswith("[")) or key.strip().endswith(_COLUMN)
            settings[key.strip()] = value if named else yaml.safe_load(_spelt(key.strip(), value))
        except yaml.YAMLError:
            raise KerasftError(f"--set {key.strip()}: {value!r} is not a YAML value.") from None
    return settings


def _spelt(key: str, value: str) -> str:
    """A value as YAML has it: `{source}` would be a mapping there."""
    is_yaml = value.startswith(('"', "'")) or (key == "stop" and value.startswith("["))
    if key not in _TEXTS or is_yaml:
        return value
    return '"' + value.replace('"', '\\"') + '"'


def parse_columns(assignments: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Reads `text_column=review` pairs where nothing but columns can be set.

    Returns:
        Task column -> the file's column.

    Raises:
        KerasftError: a pair that names no column.
    """
    settings = parse_assignments(assignments)
    for key in settings:
        if not key.endswith(_COLUMN):
            raise KerasftError(f"--set {key}: only columns can be set here, as text_column=review.")
    return {key.removesuffix(_COLUMN): value for key, value in settings.items()}
