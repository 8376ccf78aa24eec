"""The prefix cache: the frozen part is run once, and its hidden states wait on the disk for the phases that need them.

The hidden states that enter a block stay valid as long as the blocks below it do: until a later phase unfreezes them.
Every boundary that some phase needs is filled in one pass, in half precision, without padding. A file's name carries
the key of all that its states depend on, and a small JSON beside it, written last, says that it is whole: nothing stale
and nothing half written is ever read, whatever ended the process that wrote it.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from kerasft.atomic import new_file
from kerasft.backbones.lock import only_one
from kerasft.data.pipeline import Encoded, padding_mask
from kerasft.data.row_file import RowFile, reserve, write_at
from kerasft.network import Network
from kerasft.training.cache_key import cache_keys
from kerasft.training.prefix_pass import prefix_pass

_SPARE_BYTES = 2**30
_STATES = np.dtype(np.float16)


@dataclass(frozen=True)
class Cache:
    """Hidden states of N rows at some boundaries.

    Attributes:
        hidden: boundary (the block that the states enter) -> float16[sum of lengths, H] in a file. Where only some rows
            are wanted, the others are holes in it, which take no room.
        starts: int64[N + 1], where each row begins.
    """

    hidden: Mapping[int, RowFile]
    starts: np.ndarray

    def batch(self, boundary: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        """`hidden` float16[B, T, H] and `padding_mask` int32[B, T] of some rows; the model casts to what it computes
        in.

        Raises:
            OSError: the file is gone or was cut short.
        """
        return {"hidden": self.hidden[boundary].padded(rows, 0), "padding_mask": padding_mask(self.starts, rows)}


@dataclass(frozen=True)
class Search:
    """What a run wants of the cache, and what is there already.

    Attributes:
        keys: boundary -> the key of its states.
        found: boundary -> a complete file of them.
        bytes_each: size of one boundary's file.
        some: boundary -> int64, the rows that are wanted there, where not all are.
        bytes_of_some: boundary -> what those take.
    """

    keys: Mapping[int, str]
    found: Mapping[int, Path]
    bytes_each: int
    some: Mapping[int, np.ndarray]
    bytes_of_some: Mapping[int, int]

    @property
    def missing(self) -> tuple[int, ...]:
        """The boundaries that a pass has to fill."""
        return tuple(boundary for boundary in self.keys if boundary not in self.found)

    @property
    def needed_bytes(self) -> int:
        """What filling them takes on the disk."""
        return sum(self.bytes_of_some.get(boundary, self.bytes_each) for boundary in self.missing)


def search_cache(
    network: Network,
    encoded: Encoded,
    boundaries: Sequence[int],
    folders: Sequence[Path] = (),
    some: Mapping[int, np.ndarray] = MappingProxyType({}),
) -> Search:
    """Looks for hidden states that an earlier run has left. Changes nothing.

    Args:
        network: as it is before training.
        encoded: the rows.
        boundaries: blocks whose entering hidden states are wanted.
        folders: the run's own cache folder, then those of other runs; they need not exist.
        some: boundary -> int64, the rows that are wanted there, where not all are.

    Returns:
        What was found, and what is missing.
    """
    keys = cache_keys(network, encoded, boundaries, some)
    size = cache_bytes([encoded], [0], network.backbone.hidden_size)
    token_bytes = network.backbone.hidden_size * _STATES.itemsize
    parts = {boundary: int(encoded.lengths[rows].sum()) * token_bytes for boundary, rows in some.items()}
    return Search(keys, _find(keys, folders, size), size, some, parts)


def cache_bytes(rows: Sequence[Encoded], boundaries: Sequence[int], hidden_size: int) -> int:
    """What the caches of some rows take on the disk, in bytes."""
    return sum(int(encoded.starts[-1]) for encoded in rows) * len(boundaries) * hidden_size * _STATES.itemsize


def decline_reason(folder: Path, needed_bytes: int, cache_gb: float | None = None) -> str | None:
    """Why the cache should not be made, for the report; None when it may be.

    Args:
        folder: where it would be; need not exist.
        needed_bytes: of all its files together, less those that are there already.
        cache_gb: the most that it may take, in units of 10^9 bytes; None: what the disk has.
    """
    need = f"The prefix cache would take {needed_bytes / 1e9:.2f} GB"
    instead = "frozen blocks are run each epoch instead."
    if cache_gb is not None and needed_bytes > cache_gb * 1e9:
        return f"{need} and cache_gb allows {cache_gb:g}: {instead}"
    free = shutil.disk_usage(_existing(folder)).free
    if needed_bytes and needed_bytes > free - _SPARE_BYTES:
        return f"{need} and the disk has {free / 1e9:.2f} GB, of which 1 stays free: {instead}"
    return None


def fill_cache(
    network: Network,
    encoded: Encoded,
    boundaries: Sequence[int],
    folder: Path,
    tick: Callable[[int], None] = lambda rows: None,
    others: Sequence[Path] = (),
    search: Search | None = None,
) -> Cache:
    """Gives the hidden states at some boundaries: those that are there, and the rest by one pass over the rows.

    Files of other runs are linked into `folder`, so that they stay when the other run is removed; where the file system
    cannot, they are read where they are. Processes that share `folder` wait for each other: one runs the pass, the
    others use it. What an interrupted pass left in `folder` is removed.

    Args:
        network: its blocks below the highest boundary are run as in inference, in the layers' own precision.
        encoded: the rows.
        boundaries: blocks whose entering hidden states are wanted.
        folder: is made; holds two files a boundary.
        tick: told of the rows done after each batch.
        others: cache folders of other runs.
        search: of the same rows and boundaries, when it was made already: hashing takes a moment. It may want but some
            rows at a boundary; the cache has no others there.

    Returns:
        The cache. float16 keeps three digits of states of order 1 (and all of bfloat16's); values beyond its range are
        clipped to it.

    Raises:
        OSError: the disk is full; nothing is left then.
    """
    search = search or search_cache(network, encoded, boundaries)
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / ".lock", waiting=lambda: None):
        _tidy(folder)
        found = _find(search.keys, (folder, *others), search.bytes_each)
        adopted = {boundary: _adopt(path, folder, search.keys[boundary]) for boundary, path in found.items()}
        paths = {boundary: path for boundary, path in adopted.items() if path}
        missing = {b: folder / _name(b, key) for b, key in search.keys.items() if b not in paths}
        if missing:
            _fill(network, encoded, missing, search, tick)
        else:
            tick(len(encoded))
    shape = (network.backbone.hidden_size,)
    return Cache(
        {b: RowFile(path, encoded.starts, _STATES, shape) for b, path in sorted({**paths, **missing}.items())},
        encoded.starts,
    )


def _fill(
    network: Network, encoded: Encoded, paths: Mapping[int, Path], search: Search, tick: Callable[[int], None]
) -> None:
    """Runs the pass and publishes its files, the states first, then the notes that say they are whole."""
    token_bytes = network.backbone.hidden_size * _STATES.itemsize
    lengths = encoded.lengths
    with contextlib.ExitStack() as stack:
        files = {}
        for boundary, path in paths.items():
            beside = stack.enter_context(new_file(path))
            files[boundary] = stack.enter_context(open(beside, "r+b", buffering=0)).fileno()
            if boundary in search.some:
                os.truncate(beside, search.bytes_each)
            else:
                reserve(files[boundary], search.bytes_each)
        for boundaries, part in _parts(len(lengths), paths, search.some):
            for rows, states in prefix_pass(network, encoded, boundaries, part):
                ends = np.cumsum(lengths[rows]).tolist()
                for boundary in boundaries:
                    flat = states[boundary]
                    for row, first, last in zip(rows, [0, *ends], ends, strict=False):
                        write_at(files[boundary], flat[first:last], int(encoded.starts[row]) * token_bytes)
                tick(len(rows))
    for boundary, path in paths.items():
        _note(path, search.keys[boundary])


def _parts(
    count: int, boundaries: Iterable[int], some: Mapping[int, np.ndarray]
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Rows that are wanted at the same boundaries, together: boundaries and int64 rows; those wanted at most, first."""
    ordered = sorted(boundaries)
    wanted = np.ones((count, len(ordered)), bool)
    for column, boundary in enumerate(ordered):
        if boundary in some:
            wanted[:, column] = False
            wanted[some[boundary], column] = True
    for pattern in np.unique(wanted, axis=0)[::-1]:
        chosen = [boundary for boundary, is_wanted in zip(ordered, pattern, strict=True) if is_wanted]
        if chosen:
            yield chosen, np.flatnonzero((wanted == pattern).all(axis=1))


def _note(path: Path, key: str) -> None:
    """The JSON that makes a file of states complete."""
    with new_file(path.with_suffix(".json")) as beside:
        beside.write_text(json.dumps({"key": key, "bytes": path.stat().st_size}) + "\n", encoding="utf-8")


def _name(boundary: int, key: str) -> str:
    return f"{boundary}-{key[:32]}.f16"


def _find(keys: Mapping[int, str], folders: Iterable[Path], size: int) -> dict[int, Path]:
    """Complete files of the wanted states; the first folder that has one wins."""
    found: dict[int, Path] = {}
    for folder in folders:
        for boundary, key in keys.items():
            path = Path(folder) / _name(boundary, key)
            if boundary not in found and _complete(path) == (key, size):
                found[boundary] = path
    return found


def _complete(path: Path) -> tuple[str, int] | None:
    """Key and size of a file of states, or None when its note is missing or says otherwise."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        size = path.stat().st_size
        return (note["key"], size) if note["bytes"] == size and path.name.endswith(f"-{note['key'][:32]}.f16") else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _adopt(path: Path, folder: Path, key: str) -> Path | None:
    """Links another run's file into `folder`; the path to read it by, or None when it has just been removed."""
    if path.parent == folder:
        return path
    own = folder / path.name
    try:
        os.link(path, own)
    except FileNotFoundError:
        return None
    except OSError:  # another disk, or one without links
        return path
    _note(own, key)
    return own


def _tidy(folder: Path) -> None:
    """Removes what is not complete. Only the holder of the lock may: another's file in the making looks just so."""
    for path in folder.iterdir():
        states = path.with_suffix(".f16")
        if path.name != ".lock" and (path.name.startswith(".") or _complete(states) is None):
            path.unlink()


def _existing(folder: Path) -> Path:
    folder = Path(folder).absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
