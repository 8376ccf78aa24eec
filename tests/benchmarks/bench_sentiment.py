"""Accuracy and seconds of `kerasft fit` over several seeds, the default recipe, every run in a process of its own.

    python tests/benchmarks/bench_sentiment.py --data train.csv --eval-data dev.csv --seeds 0 1 2
    python tests/benchmarks/bench_sentiment.py --seeds 0 1 2 --judge dev.csv

The second trains on the starter data. Prints a line a seed and the mean; `--judge` measures the finished run on rows
that it has not seen, not even to stop early.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def one_run(seed: int, folder: Path, arguments: argparse.Namespace) -> tuple[float, dict]:
    """Trains once; gives the accuracy asked for and the seconds of `metrics.json`."""
    run = folder / str(seed)
    command = [sys.executable, "-m", "kerasft", "fit", "--task", "sentiment", "--no-export", "--seed", str(seed)]
    command += ["--output", str(run)]
    for option in ("data", "eval_data"):
        if value := getattr(arguments, option):
            command += [f"--{option.replace('_', '-')}", value]
    for assignment in arguments.set:
        command += ["--set", assignment]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    metrics = json.loads((run / "metrics.json").read_text())
    if not arguments.judge:
        return metrics["metrics"]["accuracy"], metrics["seconds"]
    judge = [sys.executable, "-m", "kerasft", "evaluate", str(run), "--data", arguments.judge, "--json"]
    found = json.loads(subprocess.run(judge, check=True, capture_output=True, text=True).stdout)
    return found["metrics"]["accuracy"], metrics["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--eval-data")
    parser.add_argument("--judge")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    accuracies = []
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as folder:
        for seed in arguments.seeds:
            accuracy, seconds = one_run(seed, Path(folder), arguments)
            accuracies.append(accuracy)
            print(f"seed {seed}  accuracy {accuracy:.4f}  seconds {json.dumps(seconds)}", flush=True)
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    print(f"mean {statistics.mean(accuracies):.4f}  standard deviation {spread:.4f}")


if __name__ == "__main__":
    main()
