"""Runs that were never stopped, for others to be compared with."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.run_results import recorder, write_bert
from tests.toy import toy_rows, write_csv

PHASES = [
    {"unfrozen": "head", "epochs": 2, "learning_rate": 1e-2},
    {"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3},
    {"unfrozen": "all", "epochs": 2, "learning_rate": 5e-3},
]


@dataclass(frozen=True)
class Small:
    """What a small run is made of.

    Attributes:
        backbone: a preset folder, 2 blocks with dropout.
        data: a CSV file of 60 rows; 50 or so are trained on, 7 updates of 8 rows an epoch, the last one ragged.
        settings: recipe keys.
    """

    backbone: Path
    data: Path
    settings: dict

    def fit(self, output: Path, **more):
        """Trains it."""
        import kerasft

        settings = {**self.settings, **more}
        where = {"data": str(self.data), "backbone": str(self.backbone), "output": output}
        return kerasft.fit(task="sentiment", **{"report": lambda line: None, **where, **settings})


@dataclass(frozen=True)
class Recorded:
    """A run that was never stopped.

    Attributes:
        folder: as it was left.
        killed: has a folder `N` for some N: what the run's was after N updates, as `kill -9` would have left it.
    """

    folder: Path
    killed: Path


def record(small: Small, parent: Path, after: set[int], **settings) -> Recorded:
    """Trains, and keeps copies of the run folder as it was after some updates."""
    folder, killed = parent / "whole", parent / "killed"
    small.fit(folder, callbacks=[recorder(folder, killed, after)], **settings)
    return Recorded(folder, killed)


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Small:
    """A run of a second or two an epoch, dropout on."""
    folder = tmp_path_factory.mktemp("small")
    settings = {"batch_size": 8, "save_steps": 4, "precision": "float32", "phases": PHASES}
    return Small(write_bert(folder / "bert"), write_csv(folder / "rows.csv", toy_rows(60)), settings)


@pytest.fixture(scope="session")
def whole(small, tmp_path_factory) -> Recorded:
    """The small run, never stopped, with what `kill -9` would have left in each phase."""
    return record(small, tmp_path_factory.mktemp("plain"), {15, 18, 28, 29, 34})
