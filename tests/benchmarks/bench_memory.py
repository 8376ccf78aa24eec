"""Peak memory and time per row of `kerasft fit` on little and on much data: neither should grow with the rows.

    python tests/benchmarks/bench_memory.py
    python tests/benchmarks/bench_memory.py --data train.csv --backbone minilm --rows 10000 100000

Repeats the rows of `--data` (toy rows when absent), each with its number behind the text so that no two are the same,
and trains the head for an epoch on a toy GPT-2 or on `--backbone`, every size in a process of its own. Peak memory is
the largest resident set of that process, as the system counts it.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PHASES = "phases=[{unfrozen: head, epochs: 1, learning_rate: 0.003}]"
TOY = "import sys, pathlib; from tests.toy_gpt2 import write_backbone; write_backbone(pathlib.Path(sys.argv[1]))"


def repeated(source: str | None, target: Path, rows: int) -> None:
    """Writes so many rows of a `text,label` CSV file, over and over; one at a time, to stay small."""
    sys.path.insert(0, str(ROOT))
    from tests.toy import toy_rows

    with open(target, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        written = 0
        while written < rows:
            with open(source or os.devnull, newline="", encoding="utf-8") as given:
                for row in itertools.islice(csv.DictReader(given) if source else toy_rows(1000), rows - written):
                    written += 1
                    writer.writerow({"text": f"{row['text']} {written}", "label": row["label"]})


def measure(command: list[str]) -> float:
    """Runs a command to its end; its peak resident set in MiB.

    The system counts this process's own size in, at the moment of the fork: nothing large may be imported here.
    """
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data")
    parser.add_argument("--backbone")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    print(f"{'rows':>8}  {'peak MiB':>8}  milliseconds a row: tokenise, cache, training; seconds in all")
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as folder:
        folder = Path(folder)
        if not arguments.backbone:
            subprocess.run([sys.executable, "-c", TOY, folder / "toy"], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
        for rows in arguments.rows:
            data, run = folder / f"{rows}.csv", folder / f"run-{rows}"
            repeated(arguments.data, data, rows)
            command = [sys.executable, "-m", "kerasft", "fit", "--task", "sentiment", "--no-export"]
            command += ["--data", str(data), "--backbone", arguments.backbone or str(folder / "toy")]
            command += ["--output", str(run), "--set", PHASES, "--set", "batch_size=32"]
            for assignment in arguments.set:
                command += ["--set", assignment]
            peak = measure(command)
            seconds = json.loads((run / "metrics.json").read_text())["seconds"]
            with open(run / "history.csv", newline="", encoding="utf-8") as file:
                training = 1000 / float(list(csv.DictReader(file))[-1]["rows_per_second"])
            parts = [1000 * seconds[name] / rows for name in ("tokenise", "cache")]
            print(
                f"{rows:8}  {peak:8.0f}  {', '.join(f'{part:.3f}' for part in (*parts, training))};"
                f" {seconds['total']:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
