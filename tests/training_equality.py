"""The same training in several places: one process a place, several runs in it, and how far two runs are apart.

    python -m tests.training_equality job.json

The job file has `folder` (of the runs), `common` (arguments of `kerasft.fit`) and `runs` (name -> further arguments;
`export` among them is where the run is exported to).
Each run leaves `folder/name` and, from the process that writes it, the figures of each update in `folder/name.json`.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.run_results import weights_of
from tests.toy import toy_rows, write_csv

ROOT = Path(__file__).parents[1]

# Every kind of phase that a backbone of 2 blocks can have; the last batch of each epoch of `uneven_rows` is ragged.
EVERY_PHASE = [
    {"unfrozen": "head", "epochs": 2, "learning_rate": 1e-2},
    {"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3},
    {"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3, "lora": 2},
    {"unfrozen": "all", "epochs": 2, "learning_rate": 5e-3},
]


def uneven_rows(path: Path) -> Path:
    """A CSV file of 80 rows, a quarter of them negative."""
    rows = [row for number, row in enumerate(toy_rows(120)) if number % 2 or number % 6 == 0]
    return write_csv(path, rows)


def start(folder: Path, place: str, common: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], environment):
    """Starts the runs of one place; gives its process, whose output comes together on `stdout`."""
    job = folder / f"{place}-job.json"
    job.write_text(json.dumps({"folder": str(folder), "common": common, "runs": runs}))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training_equality", str(job)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train_all(job: Mapping[str, Any]) -> None:
    """Trains each run of a job in turn."""
    import keras

    import kerasft

    class Figures(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.found = []

        def on_train_batch_end(self, batch, logs=None):
            self.found.append([logs["loss"], logs["gradient_norm"]])

    for name, given in job["runs"].items():
        settings = {**job["common"], **given}
        export_dir = settings.pop("export", None)
        figures, output = Figures(), Path(job["folder"]) / name
        run = kerasft.fit(output=output, callbacks=[figures], **settings)
        if run is not None:
            output.with_suffix(".json").write_text(json.dumps(figures.found))
            if export_dir is not None:
                run.export(export_dir=export_dir)


def figures_of(run: Path) -> np.ndarray:
    """float64[updates, 2]: loss and gradient norm of each update."""
    return np.array(json.loads(run.with_suffix(".json").read_text()))


def figures_apart(run: Path, other: Path) -> np.ndarray:
    """float64[2]: the most that the losses, and the gradient norms, of any one update differ by."""
    ours, theirs = figures_of(run), figures_of(other)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max(axis=0)


def weights_apart(run: Path, other: Path) -> float:
    """The most that any final weight differs by."""
    ours, theirs = weights_of(run), weights_of(other)
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


if __name__ == "__main__":
    train_all(json.loads(Path(sys.argv[1]).read_text()))
