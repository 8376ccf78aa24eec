"""kerasft against Hugging Face Trainer: accuracy, seconds and memory on the same rows and the same weights.

    python tests/benchmarks/bench_training.py --peer-python peer/bin/python --model MINILM_FOLDER \
        --data train.csv --eval-data dev.csv --seeds 0 1 2

Each run is a process of its own, timed from start to end; the two take turns, and the one that goes first changes with
each seed, so that a slow hour of the machine falls on both. kerasft runs its default recipe, the peer 3 epochs of full
fine-tuning at 5e-5 (peer_trainer.py). Both are judged on the eval rows, which kerasft also uses to keep its best epoch;
`--peer-best` gives the peer its best epoch too. Prints a line a run and a table, and writes results.json.
"""

import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = Path(__file__).with_name("peer_trainer.py")


def timed(command: list[str]) -> tuple[str, float, float]:
    """Runs a command to its end.

    Returns:
        Its standard output, its seconds, and the peak of its resident memory in MB.

    Raises:
        SystemExit: it failed; its standard error has been shown.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=err)
        # wait4 gives the usage of this one child; RUSAGE_CHILDREN would give the largest of all so far.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            err.seek(0)
            sys.exit(f"{' '.join(command)}\n{err.read()[-2000:]}\nended with {process.returncode}")
        out.seek(0)
        return out.read(), seconds, usage.ru_maxrss / 1024


def run_kerasft(seed: int, folder: Path, options: argparse.Namespace) -> dict:
    """One run of the default recipe, without export."""
    run = folder / str(seed)
    command = [sys.executable, "-m", "kerasft", "fit", "--task", "sentiment", "--no-export", "--seed", str(seed)]
    command += ["--data", options.data, "--eval-data", options.eval_data, "--output", str(run)]
    if options.precision:
        command += ["--set", f"precision={options.precision}"]
    for assignment in options.kerasft_set:
        command += ["--set", assignment]
    _, seconds, peak = timed(command)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {
        "accuracy": metrics["metrics"]["accuracy"],
        "wall_seconds": round(seconds, 1),
        "peak_rss_mb": round(peak),
        "parts": metrics["seconds"],
    }


def run_peer(seed: int, options: argparse.Namespace) -> dict:
    """One run of peer_trainer.py in the peer's environment."""
    command = [options.peer_python, str(PEER), "--model", options.model, "--seed", str(seed)]
    command += ["--data", options.data, "--eval-data", options.eval_data]
    command += ["--precision", options.precision or "float32", *options.peer_option]
    printed, seconds, peak = timed(command)
    found = json.loads(printed.strip().splitlines()[-1])
    epochs = found["epoch_accuracy"]
    return {
        "accuracy": max(epochs) if options.peer_best else epochs[-1],
        "epoch_accuracy": epochs,
        "wall_seconds": round(seconds, 1),
        "peak_rss_mb": round(peak),
        "parts": {"train": found["train_seconds"], "examples_per_second": found["examples_per_second"]},
    }


def half_width(accuracies: list[float], rows: int) -> float:
    """Half of a 95 % interval for a mean accuracy.

    Two sources, added as variances: which rows the eval set happens to hold (binomial, not divided by the seeds, for
    every seed sees the same rows), and the seed (the spread of the runs, divided by their number).
    """
    mean = statistics.mean(accuracies)
    spread = statistics.variance(accuracies) / len(accuracies) if len(accuracies) > 1 else 0.0
    return 1.96 * math.sqrt(mean * (1 - mean) / rows + spread)


def half_width_of_gap(gaps: list[float]) -> float:
    """Half of a 95 % interval (Student's t) for the mean gap between the two, seed by seed; the rows are the same."""
    if len(gaps) < 2:
        return float("nan")
    student = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}.get(len(gaps), 2.26)
    return student * statistics.stdev(gaps) / math.sqrt(len(gaps))


def summary(runs: dict[str, list[dict]], rows: int) -> dict:
    """Means, intervals and ratios (kerasft / peer) of all runs."""
    accuracies = {name: [run["accuracy"] for run in of] for name, of in runs.items()}
    gaps = [ours - theirs for ours, theirs in zip(accuracies["kerasft"], accuracies["peer"], strict=True)]

    def ratio(key: str) -> float:
        return statistics.mean(run[key] for run in runs["kerasft"]) / statistics.mean(run[key] for run in runs["peer"])

    return {
        "accuracy": {name: statistics.mean(values) for name, values in accuracies.items()},
        "half_width_95": {name: half_width(values, rows) for name, values in accuracies.items()},
        "gap": statistics.mean(gaps),
        "gap_half_width_95_over_seeds": half_width_of_gap(gaps),
        "wall_ratio": ratio("wall_seconds"),
        "wall_ratio_by_seed": [
            ours["wall_seconds"] / theirs["wall_seconds"]
            for ours, theirs in zip(runs["kerasft"], runs["peer"], strict=True)
        ],
        "peak_rss_ratio": ratio("peak_rss_mb"),
    }


def show(runs: dict[str, list[dict]], found: dict, rows: int) -> None:
    """Prints the table."""
    print(f"\n{'':10}{'accuracy':>18}{'wall s':>10}{'peak MB':>10}")
    for name, of in runs.items():
        accuracy = f"{found['accuracy'][name]:.4f} ± {found['half_width_95'][name]:.4f}"
        wall, peak = (statistics.mean(run[key] for run in of) for key in ("wall_seconds", "peak_rss_mb"))
        print(f"{name:10}{accuracy:>18}{wall:>10.1f}{peak:>10.0f}")
    print(f"{'ratio':10}{'':18}{found['wall_ratio']:>10.3f}{found['peak_rss_ratio']:>10.3f}")
    print(f"accuracy gap {found['gap']:+.4f} ± {found['gap_half_width_95_over_seeds']:.4f} over the seeds alone")
    print(f"± is a 95 % interval: {rows} eval rows (binomial) and the spread of {len(runs['peer'])} seeds")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="interpreter of the peer's environment")
    parser.add_argument("--model", required=True, help="Hugging Face folder of MiniLM, for the peer")
    parser.add_argument("--data", required=True)
    parser.add_argument("--eval-data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", choices=["float32", "bf16"], help="of both; kerasft's own default when absent")
    parser.add_argument("--kerasft-set", action="append", default=[], metavar="K=V")
    parser.add_argument("--peer-option", action="append", default=[], help="as --peer-option=--group-by-length")
    parser.add_argument("--peer-best", action="store_true", help="the peer's best epoch, not its last")
    parser.add_argument("--results", default="results.json")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    with open(options.eval_data, newline="", encoding="utf-8") as file:
        rows = sum(1 for _ in csv.DictReader(file))
    runs: dict[str, list[dict]] = {"kerasft": [], "peer": []}
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as folder:
        turns = {
            "peer": lambda seed: run_peer(seed, options),
            "kerasft": lambda seed: run_kerasft(seed, Path(folder), options),
        }
        for number, seed in enumerate(options.seeds):
            for name in list(turns)[:: 1 if number % 2 == 0 else -1]:
                run = {"seed": seed, **turns[name](seed)}
                runs[name].append(run)
                print(name, json.dumps(run), flush=True)
                found = summary(runs, rows) if len(runs["peer"]) == len(runs["kerasft"]) else None
                record = {"options": vars(options), "eval_rows": rows, "runs": runs, "summary": found}
                # After each run: an hour's work is not lost to the last one's failure.
                Path(options.results).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    show(runs, found, rows)


if __name__ == "__main__":
    main()
