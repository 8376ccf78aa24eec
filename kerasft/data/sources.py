"""What the user passed as data, as a list of inputs: paths, folders, globs, standard input, Python objects."""

import difflib
import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from kerasft.data.bytes_check import STANDARD_INPUT
from kerasft.data.formats import FORMATS, file_format
from kerasft.errors import KerasftError

IN_MEMORY = "the data"


@dataclass(frozen=True)
class Input:
    """One file, standard input (`path` is `-`), or rows in memory (`rows` is a Table or a list of mappings)."""

    name: str
    path: str | None = None
    rows: pa.Table | list[Mapping] | None = None


def list_inputs(source: object, endings: tuple[str, ...] = ()) -> tuple[list[Input], list[str]]:
    """Lists what there is to read.

    Args:
        source: a path, a folder, a glob, `-`, a list of these; or a sequence of mappings, a pyarrow Table, or
            anything whose `to_dict("records")` gives mappings (a pandas DataFrame).
        endings: of files that are data too, beside the usual ones.

    Returns:
        The inputs, in the order given (the files of a folder or glob sorted by name), and notes.

    Raises:
        KerasftError: a file is not there, a folder or glob has no data in it, or files of an unknown kind.
    """
    if isinstance(source, pa.Table):
        return [Input(IN_MEMORY, rows=source)], []
    if hasattr(source, "to_dict") and not isinstance(source, Mapping):
        source = source.to_dict("records")
    if isinstance(source, str | os.PathLike):
        source = [source]
    if isinstance(source, Mapping) or not hasattr(source, "__iter__"):
        raise KerasftError(f"Expected a path or a list of rows as data, found {type(source).__name__}.")
    items = list(source)
    if items and all(isinstance(item, Mapping) for item in items):
        return [Input(IN_MEMORY, rows=items)], []
    if not items:
        raise KerasftError("The data is an empty list: pass at least one path or row.")
    if not all(isinstance(item, str | os.PathLike) for item in items):
        kinds = ", ".join(sorted({type(item).__name__ for item in items}))
        raise KerasftError(f"Expected a list of paths, or a list of rows such as {{'text': ...}}; found {kinds}.")
    return _list_files([os.fspath(item) for item in items], endings)


def _list_files(items: Sequence[str], endings: tuple[str, ...]) -> tuple[list[Input], list[str]]:
    paths, notes = [], []
    for item in items:
        found, more_notes = _expand(item, endings)
        notes += more_notes
        paths += found
    distinct = {("-" if path == "-" else os.path.realpath(path)): path for path in reversed(paths)}
    if len(distinct) < len(paths):
        notes.append(f"{len(paths) - len(distinct)} of the {len(paths)} files were named twice; each is read once.")
    paths = list(reversed(distinct.values()))
    short = [os.path.basename(path) for path in paths]
    names = [name if short.count(name) == 1 else path for name, path in zip(short, paths, strict=True)]
    return [
        Input(STANDARD_INPUT if path == "-" else name, path) for name, path in zip(names, paths, strict=True)
    ], notes


def _expand(item: str, endings: tuple[str, ...]) -> tuple[list[str], list[str]]:
    if item == "-":
        return ["-"], []
    path = Path(item).expanduser()
    if path.is_dir():
        return _folder_files(path, endings)
    if path.exists():
        return [str(path)], []
    if glob.has_magic(item):
        files = sorted(match for match in glob.glob(str(path), recursive=True) if os.path.isfile(match))
        if not files:
            raise KerasftError(f"No file matches {item}. Check the pattern and the folder {path.parent}.")
        _refuse_unknown(files, item, endings)
        return files, []
    raise KerasftError(_not_found_message(item, path))


def _folder_files(folder: Path, endings: tuple[str, ...]) -> tuple[list[str], list[str]]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise KerasftError(f"Cannot read the folder {folder}: {error.strerror}.") from None
    files = [str(entry) for entry in entries if not entry.is_dir()]
    folders = [entry.name for entry in entries if entry.is_dir()]
    if not files:
        mend = f"pass one of its folders: {', '.join(folders[:6])}" if folders else f"put {_endings()} files in it"
        raise KerasftError(f"The folder {folder} has no data files: {mend}.")
    _refuse_unknown(files, str(folder), endings)
    notes = [f"{folder}: the folders in it are not read ({', '.join(folders[:6])})."] if folders else []
    return files, notes


def _refuse_unknown(files: Sequence[str], where: str, endings: tuple[str, ...]) -> None:
    unknown = [os.path.basename(file) for file in files if file_format(file, endings) is None]
    if len(files) == len(unknown) == 1:
        return  # opening it says more
    if unknown:
        shown = ", ".join(unknown[:6]) + (f" and {len(unknown) - 6} more" if len(unknown) > 6 else "")
        raise KerasftError(
            f"{where} has files that are not data: {shown}. Move them away or pass a pattern such as "
            f"'{os.path.join(where if os.path.isdir(where) else '.', '*.csv')}'."
        )


def _endings() -> str:
    return ", ".join(FORMATS)


def _not_found_message(item: str, path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no file {item}: the folder {path.parent} does not exist."
    names = sorted(entry.name for entry in path.parent.iterdir() if not entry.name.startswith("."))
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    if near:
        return f'There is no file {item}. Did you mean "{path.parent / near[0]}"?'
    data = [name for name in names if file_format(name)]
    has = f"has {', '.join(data[:6])}" if data else "has no data files"
    return f"There is no file {item}; the folder {path.parent} {has}. Check the path."
