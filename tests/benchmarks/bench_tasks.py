"""kerasft against a Hugging Face script on several tasks: figures and seconds on the same rows and the same weights.

    python tests/benchmarks/bench_tasks.py --peer-python peer/bin/python --model MINILM_FOLDER --data-root FOLDER \
        --tasks trec rte stsb --seeds 0 1 2

Each run is a process of its own, timed from start to end; the two sides take turns, and the one that goes first changes
with each task and seed. kerasft runs its default plan, the peer 3 epochs of everything at 5e-5 (peer_tasks.py); with
`--same-epochs` kerasft trains as the peer does. Where there is no dev file, 15 % of the rows are held out by a hash of
their text, once for all seeds (task_rows.py).

Both sides are judged on the held-out rows. kerasft keeps its best epoch on these, so the table has the peer's best
epoch, and its last one beside it. After each run all runs and the table are written (JSON, and Markdown beside it). A
run that fails is noted, and the rest goes on. A new task is one entry in ENTRIES, and one in KINDS of peer_tasks.py if
the peer knows nothing like it.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench_training import half_width_of_gap, timed
from task_rows import cut, read_rows, split, write_rows

PEER = Path(__file__).with_name("peer_tasks.py")
SIDES = ("kerasft", "peer")
# What a run that fails, or leaves something unexpected, raises.
FAILURES = (SystemExit, OSError, ValueError, KeyError)


@dataclass(frozen=True)
class Files:
    """What both sides are given, and the number of rows in each."""

    train: Path
    held_out: Path
    rows: int
    held_out_rows: int


def f1_at_half(run: Path, files: Files, found: dict) -> dict[str, float]:
    """What kerasft does not say of itself: F1 with one half as the threshold of every label, from its answers."""
    path = run.with_name("answers.jsonl")
    timed([sys.executable, "-m", "kerasft", "predict", str(run), "--data", str(files.held_out), "--output", str(path)])
    names = list(found["per_label"])  # in the order of the probabilities
    true, given, both = Counter(), Counter(), Counter()
    for row, answer in zip(read_rows(files.held_out), read_rows(path), strict=True):
        chosen = {name for name, share in zip(names, answer["probabilities"], strict=True) if share >= 0.5}
        true.update(set(row["labels"]))
        given.update(chosen)
        both.update(chosen.intersection(row["labels"]))
    return {
        "micro_f1_at_half": 2 * both.total() / max(true.total() + given.total(), 1),
        "macro_f1_at_half": statistics.mean(2 * both[name] / max(true[name] + given[name], 1) for name in names),
    }


@dataclass(frozen=True)
class Entry:
    """A benchmark task.

    Attributes:
        task: kerasft's name of it, and the peer's.
        data: the training rows, under --data-root; a file `dev` of the same sort beside it has the held-out ones.
        figures: of the table, as both sides call them; the peer's best epoch is the best by the first.
        max_length: tokens a row, of both.
        more: (kerasft's run folder, files, its figures) -> figures that are not in metrics.json; not timed.
    """

    task: str
    data: str
    figures: tuple[str, ...]
    max_length: int = 128
    more: Callable[[Path, Files, dict], dict[str, float]] | None = None


ENTRIES = {
    "trec": Entry("text-classification", "topic/trec/train.csv", ("accuracy", "macro_f1")),
    "sms": Entry("text-classification", "spam/sms/train.csv", ("macro_f1", "accuracy")),
    "ag_news": Entry("text-classification", "topic/ag_news/train.csv", ("accuracy", "macro_f1")),
    "rte": Entry("text-pair", "pair/rte/train.csv", ("accuracy", "macro_f1")),
    "stsb": Entry("regression", "regression/stsb/train.csv", ("pearson", "spearman")),
    # Thresholds tuned for each label on the held-out rows, by both sides; then one half for every label.
    "goemotions": Entry(
        "multi-label",
        "multilabel/goemotions/train.jsonl",
        ("micro_f1", "macro_f1", "micro_f1_at_half", "macro_f1_at_half", "map"),
        more=f1_at_half,
    ),
}


def make_files(entry: Entry, folder: Path, options: argparse.Namespace) -> Files:
    """Writes the training and the held-out rows of a task into a folder."""
    source = Path(options.data_root) / entry.data
    if not source.is_file():
        sys.exit(f"{source} is not there: --data-root is the folder that holds {entry.data}.")
    dev = source.with_stem("dev")
    train, held_out = (read_rows(source), read_rows(dev)) if dev.is_file() else split(read_rows(source))
    if options.limit:
        train, held_out = cut(train, held_out, options.limit)
    folder.mkdir()
    files = Files(folder / f"train{source.suffix}", folder / f"dev{source.suffix}", len(train), len(held_out))
    write_rows(files.train, train)
    write_rows(files.held_out, held_out)
    return files


def run_kerasft(entry: Entry, files: Files, seed: int, options: argparse.Namespace) -> dict:
    """One run without export, in a folder that is then removed."""
    settings = [f"max_length={entry.max_length}"]
    if options.precision:
        settings.append(f"precision={options.precision}")
    if options.same_epochs:
        settings += ["plan=full", f"epochs={options.epochs}", "learning_rate=5.0e-5", "batch_size=32"]
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "kerasft", "fit", "--task", entry.task, "--no-export", "--seed", str(seed)]
        command += ["--data", str(files.train), "--eval-data", str(files.held_out), "--output", str(run)]
        for assignment in [*settings, *options.kerasft_set]:
            command += ["--set", assignment]
        _, seconds, peak = timed(command)
        written = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        found = written["metrics"]
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
    command += ["--max-length", str(entry.max_length), "--precision", options.precision or "float32"]
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
    parser.add_argument("--data-root", required=True, help="folder with topic/, spam/, pair/ and the others")
    parser.add_argument("--tasks", nargs="+", choices=list(ENTRIES), default=list(ENTRIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--peer-python", help="interpreter of the peer's environment")
    parser.add_argument("--model", help="Hugging Face folder of MiniLM, for the peer")
    parser.add_argument("--epochs", type=int, default=3, help="of the peer; of kerasft too with --same-epochs")
    parser.add_argument("--same-epochs", action="store_true", help="kerasft: plan=full, with the peer's settings")
    parser.add_argument("--precision", choices=["float32", "bf16"], help="of both; kerasft's own default when absent")
    parser.add_argument("--limit", type=int, help="rows of each file at most, for a quick trial")
    parser.add_argument("--kerasft-set", action="append", default=[], metavar="K=V")
    parser.add_argument("--peer-option", action="append", default=[], help="as --peer-option=--group-by-length")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--kerasft-only", action="store_true")
    only.add_argument("--peer-only", action="store_true")
    parser.add_argument("--results", default="tasks.json", help="the table is written beside it, as .md")
    options = parser.parse_args()
    if not options.kerasft_only and not (options.peer_python and options.model):
        parser.error("the peer needs --peer-python and --model (or pass --kerasft-only)")
    return options


def in_turn(options: argparse.Namespace) -> Iterable[tuple[int, str, str]]:
    """(seed, task, side) of every run. Seeds outside: should the time run out, each task has been run at least once."""
    wanted = [side for side in SIDES if not (options.peer_only if side == "kerasft" else options.kerasft_only)]
    for round_number, seed in enumerate(options.seeds):
        for number, name in enumerate(options.tasks):
            for side in wanted[:: 1 if (round_number + number) % 2 else -1]:
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
