"""`kill -9` at random moments of a run: the resumed one must end with the same weights, to the last bit.

    python tests/benchmarks/bench_kill.py [--points 20] [--seed 0]

Each point starts `kerasft fit` on a toy (dropout on, a checkpoint every 4 updates, export included), kills it after a
random time of the run's whole life, kills the resumed command too with probability 0.3 (again and again), lets the
last one finish, and compares weights, history and export with a run that was left alone. Exit status 1 on any
difference.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from kerasft.start import start_tensorflow  # noqa: E402
from tests.run_results import differences, write_bert  # noqa: E402
from tests.toy import TOY_PHASES, toy_rows, write_csv  # noqa: E402

AGAIN = 0.3


def command(run: Path, work: Path, resumed: bool) -> list[str]:
    """`kerasft fit` for a new run, or to go on with one."""
    start = [sys.executable, "-m", "kerasft", "fit"]
    if resumed:
        return [*start, "--resume", str(run)]
    settings = ["batch_size=8", "save_steps=4", "precision=float32", f"phases={TOY_PHASES}"]
    named = {"task": "sentiment", "data": work / "rows.csv", "backbone": work / "bert", "output": run}
    named |= {"export-dir": served(run), "name": "toy"}
    options = [word for name, value in named.items() for word in (f"--{name}", str(value))]
    return [*start, *options, *(word for setting in settings for word in ("--set", setting))]


def served(run: Path) -> Path:
    """Where a run's export goes."""
    return run.with_name(f"{run.name}-served")


def execute(run: Path, work: Path, seconds: float | None) -> tuple[int, str]:
    """Runs one session of a run: to its end, or until it is killed after some seconds.

    Returns:
        The exit status, and what it said.
    """
    # Killed before its first moment, there is no run to go on with: the same command again.
    resumed = (run / "run.json").is_file()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command(run, work, resumed), stdout=said, stderr=said, env=environment)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        said.seek(0)
        return process.returncode, said.read()


def reached(run: Path, said: str) -> str:
    """How far a killed session came, in a few words."""
    if not (run / "run.json").is_file():
        return "before the run folder"
    if (run / "metrics.json").is_file():
        return "in the export"
    phases = [line.split(":")[0] for line in said.splitlines() if line.startswith("Phase ")]
    last = sorted(path.name for path in (run / "checkpoints").glob("[0-9]*"))
    where = phases[-1].lower() if phases else "at its start or in the cache pass"
    return f"{where}{f', checkpoint {last[-1]}' if last else ''}"


def faults(run: Path, whole: Path) -> list[str]:
    """What a run differs in from the one that was left alone."""
    if not (run / "metrics.json").is_file():
        return ["not finished"]
    found = differences(run, whole)
    versions = sorted(path.name for path in (served(run) / "toy").glob("[0-9]*"))
    if versions != ["1"]:
        found.append(f"exports {versions}")
    return found


def main() -> None:
    """Prints a line a point and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    draw = random.Random(chosen.seed)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    start_tensorflow()
    with tempfile.TemporaryDirectory(prefix="kerasft-kill-") as folder:
        work = Path(folder)
        write_bert(work / "bert", blocks=4)
        write_csv(work / "rows.csv", toy_rows(120))
        began = time.monotonic()
        status, said = execute(work / "whole", work, None)
        whole_seconds = time.monotonic() - began
        if status:
            sys.exit(f"The run that was left alone failed:\n{said}")
        print(f"Left alone: {whole_seconds:.1f} s. Kills are uniform over that, from the start of the process.")
        wrong = kills = 0
        for number in range(1, chosen.points + 1):
            run, deaths = work / f"run-{number}", []
            seconds = draw.uniform(0, whole_seconds)
            while True:
                status, said = execute(run, work, seconds)
                if status != -signal.SIGKILL:
                    break
                deaths.append(f"{seconds:.1f} s {reached(run, said)}")
                seconds = draw.uniform(0, whole_seconds) if draw.random() < AGAIN else None
            kills += len(deaths)
            found = faults(run, work / "whole") if status == 0 else [f"exit status {status}", *said.splitlines()[-1:]]
            wrong += bool(found)
            killed = "; then ".join(deaths) or "not killed: it had finished"
            print(f"{number:>3}  {'DIFFERENT: ' + ', '.join(found) if found else 'same'}  [{killed}]", flush=True)
    print(f"{chosen.points - wrong} of {chosen.points} runs the same to the last bit, {kills} kills.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
