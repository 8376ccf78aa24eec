"""kerasft against a Hugging Face script on several tasks: figures and seconds on the same rows and the same weights.

    python tests/benchmarks/bench_tasks.py --peer-python peer/bin/python --model MINILM_FOLDER --data-root FOLDER \
        --tasks trec rte stsb --seeds 0 1 2

Each run is a process of its own, timed from start to end; the two sides take turns, and the one that goes first changes
with each task and seed. kerasft runs its default plan, the peer 3 epochs of everything at 5e-5 (peer_tasks.py); with
`--same-epochs` kerasft trains as the peer does. Where there is no dev file, 15 % of the rows are held out by a hash of
their text, once for all seeds (task_rows.py).

Both sides are judged on the held-out rows. kerasft keeps its best epoch on these, so the table has the peer's best
epoch, and its last one beside it. After each run all runs and the table are written (JSON, and Markdown beside it). A
run that fails is noted, and the rest goes on. The tasks are in task_entries.py.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench_training import half_width_of_gap, timed
from task_entries import ENTRIES, Entry, Files, make_files

PEER = Path(__file__).with_name("peer_tasks.py")
SIDES = ("kerasft", "peer")
# What a run that fails, or leaves something unexpected, raises.
FAILURES = (SystemExit, OSError, ValueError, KeyError)


def run_kerasft(entry: Entry, files: Files, seed: int, options: argparse.Namespace) -> dict:
    """One run without export, in a folder that is then removed."""
    settings = [f"max_length={entry.max_length}"]
    if options.precision:
        settings.append(f"precision={options.precision}")
    if options.same_epochs:
        settings += ["plan=full", f"epochs={options.epochs}", "learning_rate=5.0e-5", f"batch_size={entry.batch_size}"]
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "kerasft", "fit", "--task", entry.task, "--no-export", "--seed", str(seed)]
        command += ["--data", str(files.train), "--eval-data", str(files.held_out), "--output", str(run)]
        for assignment in [*settings, *options.kerasft_set]:
            command += ["--set", assignment]
        _, seconds, peak = timed(command)
        written = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        found = written["metrics"]
        if found["rows"] != files.held_out_rows:
            raise ValueError(f"{found['rows']} rows were measured, {files.held_out_rows} were held out")
        figures = {name: value for name, value in found.items() if isinstance(value, int | float)}
        if entry.more:
            try:
                figures |= entry.more(run, files, found)
            except FAILURES as failure:
                print(f"{entry.task}: {failure!r}", file=sys.stderr)  # the training is not thrown away for it
    return {
        "figures": figures,
        "wall_seconds": round(seconds, 1),
        "peak_rss_mb": round(peak),
        "parts": written["seconds"],
    }


def run_peer(entry: Entry, files: Files, seed: int, options: argparse.Namespace) -> dict:
    """One run of peer_tasks.py in the peer's environment."""
    command = [options.peer_python, str(PEER), "--task", entry.task, "--model", options.model, "--seed", str(seed)]
    command += ["--data", str(files.train), "--eval-data", str(files.held_out), "--epochs", str(options.epochs)]
    command += ["--max-length", str(entry.max_length), "--batch-size", str(entry.batch_size)]
    command += ["--precision", options.precision or "float32"]
    printed, seconds, peak = timed([*command, *options.peer_option])
    found = json.loads(printed.strip().splitlines()[-1])
    return {
        "figures": max(found["epochs"], key=lambda figures: figures[entry.figures[0]]),
        "last": found["epochs"][-1],
        "epochs": found["epochs"],
        "wall_seconds": round(seconds, 1),
        "peak_rss_mb": round(peak),
        "parts": {"train": found["train_seconds"], "examples_per_second": found["examples_per_second"]},
    }


def mean(values: Iterable[float]) -> float | None:
    """The mean; None of nothing."""
    values = list(values)
    return statistics.mean(values) if values else None


def table_of(runs: list[dict], files: dict[str, Files]) -> list[dict]:
    """One entry a task and figure: means over the seeds, seconds, and the difference over the seeds that both ran.

    `points` is 100 times (kerasft - the peer's best epoch), `half_width_95` half of its interval over the seeds alone.
    """
    table = []
    for name, of_task in files.items():
        done = [run for run in runs if run["task"] == name and "figures" in run]
        sides = {side: [run for run in done if run["side"] == side] for side in SIDES}
        for figure in ENTRIES[name].figures if done else ():
            values = {
                side: {run["seed"]: run["figures"][figure] for run in of if figure in run["figures"]}
                for side, of in sides.items()
            }
            seeds = [seed for seed in values["kerasft"] if seed in values["peer"]]
            gaps = [100 * (values["kerasft"][seed] - values["peer"][seed]) for seed in seeds]
            half_width = half_width_of_gap(gaps)
            table.append(
                {
                    "task": name,
                    "rows": of_task.rows,
                    "held_out_rows": of_task.held_out_rows,
                    "figure": figure,
                    **{side: mean(by_seed.values()) for side, by_seed in values.items()},
                    "peer_last_epoch": mean(run["last"][figure] for run in sides["peer"]),
                    "seeds": len(seeds),
                    "points": mean(gaps),
                    "half_width_95": None if math.isnan(half_width) else half_width,
                    "seconds": {side: mean(run["wall_seconds"] for run in of) for side, of in sides.items()},
                }
            )
    return table


def markdown(table: list[dict]) -> str:
    """The table as the README shows it."""

    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    columns = ["task (rows, held out)", "figure", "kerasft", "peer, best epoch", "its last epoch"]
    columns += ["difference, points", "seeds", "kerasft, s", "peer, s", "ratio"]
    lines = [columns, ["---"] * len(columns)]
    for one in table:
        ours, theirs = (one["seconds"][side] for side in SIDES)
        half_width = "" if one["half_width_95"] is None else f" ± {one['half_width_95']:.2f}"
        lines.append(
            [
                f"{one['task']} ({one['rows']:,}, {one['held_out_rows']:,})",
                one["figure"],
                *(shown(one[key], ".4f") for key in (*SIDES, "peer_last_epoch")),
                shown(one["points"], "+.2f") + half_width,
                str(one["seeds"]),
                *(shown(seconds, ".0f") for seconds in (ours, theirs)),
                shown(ours / theirs if ours and theirs else None, ".2f"),
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", required=True, help="folder with topic/, spam/, token/ and the others")
    parser.add_argument("--tasks", nargs="+", choices=list(ENTRIES), default=list(ENTRIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--peer-python", help="interpreter of the peer's environment")
    parser.add_argument("--model", help="Hugging Face folder of MiniLM, for the peer")
    parser.add_argument("--epochs", type=int, default=3, help="of the peer; of kerasft too with --same-epochs")
    parser.add_argument("--same-epochs", action="store_true", help="kerasft: plan=full, with the peer's settings")
    parser.add_argument("--precision", choices=["float32", "bf16"], help="of both; kerasft's own default when absent")
    parser.add_argument("--limit", type=int, help="rows of each file at most (default: all; squad 2,000 and 500)")
    parser.add_argument("--kerasft-set", action="append", default=[], metavar="K=V")
    parser.add_argument("--peer-option", action="append", default=[], help="as --peer-option=--group-by-length")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--kerasft-only", action="store_true")
    only.add_argument("--peer-only", action="store_true")
    parser.add_argument("--results", default="tasks.json", help="the table is written beside it, as .md")
    options = parser.parse_args()
    peer = not options.kerasft_only and any(ENTRIES[name].peer for name in options.tasks)
    if peer and not (options.peer_python and options.model):
        parser.error("the peer needs --peer-python and --model (or pass --kerasft-only)")
    return options


def in_turn(options: argparse.Namespace) -> Iterable[tuple[int, str, str]]:
    """(seed, task, side) of every run. Seeds outside: should the time run out, each task has been run at least once."""
    wanted = [side for side in SIDES if not (options.peer_only if side == "kerasft" else options.kerasft_only)]
    for round_number, seed in enumerate(options.seeds):
        for number, name in enumerate(options.tasks):
            for side in wanted[:: 1 if (round_number + number) % 2 else -1]:
                if side == "kerasft" or ENTRIES[name].peer:
                    yield seed, name, side


def main() -> None:
    options = arguments()
    results = Path(options.results)
    results.parent.mkdir(parents=True, exist_ok=True)
    sides = {"kerasft": run_kerasft, "peer": run_peer}
    runs: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as folder:
        files = {name: make_files(ENTRIES[name], Path(folder) / name, options) for name in options.tasks}
        for seed, name, side in in_turn(options):
            try:
                run = sides[side](ENTRIES[name], files[name], seed, options)
            except FAILURES as failure:
                run = {"error": str(failure) if isinstance(failure, SystemExit) else repr(failure)}
            runs.append({"task": name, "side": side, "seed": seed, **run})
            print(json.dumps(runs[-1]), flush=True)
            table = table_of(runs, files)
            # After each run: an hour's work is not lost to the last one's failure.
            record = {"options": vars(options), "table": table, "runs": runs}
            results.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            results.with_suffix(".md").write_text(markdown(table), encoding="utf-8")
    print(f"\n{markdown(table)}± is a 95 % interval over the seeds alone; all are judged on the same held-out rows.")
    if failed := [f"{run['task']} {run['side']} seed {run['seed']}" for run in runs if "error" in run]:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
