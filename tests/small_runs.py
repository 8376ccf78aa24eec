"""Runs of a second or two an epoch, stopped on purpose."""

import shutil
from dataclasses import dataclass
from pathlib import Path

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


def recorder(run: Path, to: Path, after: set[int]):
    """A Keras callback that copies the run folder after some updates: just what `kill -9` would leave there."""
    import keras

    class Recorder(keras.callbacks.Callback):
        updates = 0

        def on_train_batch_end(self, batch, logs=None):
            self.updates += 1
            if self.updates in after:
                shutil.copytree(run, to / str(self.updates))

    return Recorder()


def breaker(after: int, error: BaseException):
    """A Keras callback that raises after some updates."""
    import keras

    class Breaker(keras.callbacks.Callback):
        updates = 0

        def on_train_batch_end(self, batch, logs=None):
            self.updates += 1
            if self.updates == after:
                raise error

    return Breaker()
