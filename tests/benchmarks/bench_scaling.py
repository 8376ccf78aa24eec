"""The same run on 1 device, 2 devices in step and 2 workers: equal losses, equal weights, and what it costs.

    python tests/benchmarks/bench_scaling.py

Dropout is off in the head; a backbone with dropout of its own draws other masks on each replica, so that equal losses
need one without: by default a toy is made. The last batch of every epoch is ragged.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PHASES = [
    {"unfrozen": "head", "epochs": 2, "learning_rate": 1e-2},
    {"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3},
    {"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3, "lora": 2},
    {"unfrozen": "all", "epochs": 2, "learning_rate": 5e-3},
]
CASES = {
    "1 device": {},
    "1 device, 3 micro-batches": {"accumulate": 3},
    "2 devices": {"devices": 2},
    "2 devices, 2 micro-batches": {"devices": 2, "accumulate": 2},
    "2 workers": {"workers": 2},
    "2 workers, 2 micro-batches": {"workers": 2, "accumulate": 2},
}


def make_toy(folder: Path) -> tuple[Path, Path]:
    """A backbone without dropout and rows for it; every case starts from these same files."""
    from tests.run_results import write_bert
    from tests.toy import toy_rows, write_csv

    backbone = write_bert(folder / "bert", blocks=4, dropout=0.0, positions=64)
    return backbone, write_csv(folder / "toy.csv", toy_rows(120))


def train(arguments: dict) -> None:
    """One worker's part of one case; writes the loss of each update beside the run."""
    import keras

    import kerasft

    class Losses(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.found: list[float] = []

        def on_train_batch_end(self, batch, logs=None):
            self.found.append(float(logs["loss"]))

    losses = Losses()
    output = arguments["output"]
    run = kerasft.fit(**arguments, callbacks=[losses])
    if run is not None:
        seconds = run.metrics["seconds"]["phases"]
        Path(output + ".json").write_text(json.dumps({"losses": losses.found, "seconds": seconds}))


def run_case(name: str, settings: dict, common: dict, folder: Path) -> tuple[dict, list[np.ndarray]]:
    """Runs a case in processes of its own; gives its losses and seconds, and its final weights."""
    from kerasft.training.launch import free_ports, worker_environment

    settings = dict(settings)
    workers = settings.pop("workers", 1)
    output = folder / name.replace(" ", "-").replace(",", "")
    command = [sys.executable, __file__, "--train", json.dumps({**common, **settings, "output": str(output)})]
    ports = free_ports(workers)
    processes = []
    for index in range(workers):
        more = worker_environment(ports, index) if workers > 1 else {}
        environment = {**os.environ, **more, "PYTHONPATH": str(ROOT)}
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    ends = [process.communicate() for process in processes]
    for process, (_, errors) in zip(processes, ends, strict=True):
        if process.returncode:
            sys.exit(f"{name}: {errors[-2000:]}")
    import h5py

    weights: list[np.ndarray] = []
    with h5py.File(output / "model.weights.h5") as file:
        file.visititems(lambda _, item: weights.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return json.loads(Path(f"{output}.json").read_text()), weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", help=argparse.SUPPRESS)
    parser.add_argument("--backbone", help="default: a toy without dropout")
    parser.add_argument("--data", help="CSV with text,label; default: a toy's")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if arguments.train:
        train(json.loads(arguments.train))
        return
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as place:
        folder = Path(place)
        backbone, data = make_toy(folder) if not arguments.data else (arguments.backbone, arguments.data)
        common = {
            "task": "sentiment",
            "data": str(data),
            "backbone": str(backbone),
            "precision": "float32",
            "batch_size": 8,
            "dropout": 0.0,
            "class_weights": "balanced",
            "phases": PHASES,
        }
        first = None
        print(
            "| case | updates | largest difference of a loss | of a weight | seconds by phase |\n|---|---|---|---|---|"
        )
        for name, settings in CASES.items():
            found, weights = run_case(name, settings, common, folder)
            first = first or (found, weights)
            losses = np.abs(np.subtract(found["losses"], first[0]["losses"])).max()
            apart = max(np.abs(one - other).max() for one, other in zip(weights, first[1], strict=True))
            print(f"| {name} | {len(found['losses'])} | {losses:.1e} | {apart:.1e} | {found['seconds']} |", flush=True)


if __name__ == "__main__":
    main()
