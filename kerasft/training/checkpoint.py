"""Checkpoints: all that a run needs to go on as if it had never stopped, to the last bit.

    checkpoints/00000120/    state.json  weights.npz  optimizer.npz
    checkpoints/best-00000100.npz

A folder appears by renaming, whole or not at all; so after `kill -9` the newest one is good.
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.atomic import new_folder, publish
from kerasft.weights import SavedArrays, save_variables

_BEST = "best-"


@dataclass
class State:
    """How far a run has come. Mutable: the training loop moves it.

    Attributes:
        phase: 1-based number of the phase that runs or is next.
        epoch: epochs of this phase that are complete.
        step: updates done of the epoch after those.
        updates: over the whole run.
        loss: sum of the losses of this epoch's updates, each times its rows.
        rows: rows of this epoch's updates.
        bad_epochs: since the headline figure was last better, in this phase.
        cached: whether the phases that can train on the prefix cache do; None before that is decided.
        best_rank: (headline figure, minus loss) of the best weights; empty before any.
        best_phase: 1-based number of the phase that they come from; 0 for none.
        best_file: their file.
        history: one line an epoch.
        phases: the record of each phase that is done.
        seconds: spent on training so far, by part.
    """

    phase: int = 1
    epoch: int = 0
    step: int = 0
    updates: int = 0
    loss: float = 0.0
    rows: int = 0
    bad_epochs: int = 0
    cached: bool | None = None
    best_rank: list[float] = field(default_factory=list)
    best_phase: int = 0
    best_file: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, Any] = field(default_factory=lambda: {"cache": 0.0})


def save_checkpoint(
    folder: Path, state: State, weights: Mapping[str, Any], optimizer: Mapping[str, Any], keep: int
) -> Path:
    """Writes one checkpoint and deletes all but the newest `keep`.

    Args:
        folder: the run's `checkpoints` folder.
        state: how far the run has come.
        weights: variables of the network and its random generators, by name.
        optimizer: its variables, by name; empty between two phases.
        keep: checkpoints left after this one is written.

    Returns:
        The checkpoint's folder.
    """
    final = folder / _name(state)
    if final.exists():
        return final
    with new_folder(folder, "checkpoint") as beside:
        save_variables(beside / "weights.npz", weights)
        if optimizer:
            save_variables(beside / "optimizer.npz", optimizer)
        (beside / "state.json").write_text(json.dumps(dataclasses.asdict(state), indent=1), encoding="utf-8")
        publish(beside, final)
    for old in _checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    _drop_old_bests(folder)
    return final


def load_checkpoint(folder: Path) -> tuple[State, Mapping[str, np.ndarray]] | None:
    """The newest checkpoint of a run.

    Returns:
        The state, and all arrays by the names that `save_checkpoint` was given, or None when there is none.
    """
    found = _checkpoints(folder)
    if not found:
        return None
    newest = found[-1]
    state = State(**json.loads((newest / "state.json").read_text(encoding="utf-8")))
    optimizer = newest / "optimizer.npz"
    # Read now: the checkpoint is removed as soon as there is a newer one.
    arrays = dict(SavedArrays(newest / "weights.npz"))
    return state, {**arrays, **(SavedArrays(optimizer) if optimizer.is_file() else {})}


def save_best(folder: Path, state: State, weights: Mapping[str, Any]) -> None:
    """Keeps the best weights so far; earlier ones go once no checkpoint names them."""
    state.best_file = f"{_BEST}{state.updates:08d}-{state.phase}.npz"
    save_variables(folder / state.best_file, weights)
    _drop_old_bests(folder, state.best_file)


def load_best(folder: Path, state: State) -> Mapping[str, np.ndarray]:
    """The best weights so far."""
    return SavedArrays(folder / state.best_file)


def _name(state: State) -> str:
    return f"{state.updates:08d}-{state.phase}-{state.epoch}"


def _checkpoints(folder: Path) -> Sequence[Path]:
    """Oldest first: by updates, then phase, then epoch."""

    def place(path: Path) -> tuple[int, ...]:
        return tuple(int(part) for part in path.name.split("-"))

    return sorted((path for path in folder.glob("[0-9]*-*-*") if path.is_dir()), key=place)


def _drop_old_bests(folder: Path, *keep: str) -> None:
    named = {
        json.loads((path / "state.json").read_text(encoding="utf-8"))["best_file"] for path in _checkpoints(folder)
    }
    for path in folder.glob(f"{_BEST}*"):
        if path.name not in named and path.name not in keep:
            path.unlink()
