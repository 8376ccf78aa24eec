"""pass@1 of generated Python (Chen et al. 2021): the share of programs that pass their tests, each run by itself.

What a model writes is nobody's program: it may delete files or never end. So nothing runs unless it is asked for, and
then in a process under limits (`confined.py`), in an empty folder that goes afterwards. That is a fence against
accidents, not a prison: it can still read what the user can read. Run programs of unknown models in a container.
"""

import math
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from kerasft.errors import KerasftError
from kerasft.evaluation.classification import bootstrap_interval

ALONE = "confined: no network"
"""What `confined.py` says first where it was given a world of its own."""

_LAUNCHER = Path(__file__).with_name("confined.py")
_SAID_BYTES = 400
_PATIENCE = 4
_EARLY = "it ended before its last test"
# By processor time; as the first process of a world of its own a program is told so by SIGKILL alone.
_ENDED_BY_LIMIT = (128 + 9, 128 + 24)
Verdict = Literal["passed", "failed", "timed out"]


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Attributes:
        verdict: `failed` for an exception, another exit status, too much memory, or an end before the last test.
        reason: the last line of its standard error; "" when it passed.
        is_alone: whether it had no network and saw no other process; else the system did not allow that.
    """

    verdict: Verdict
    reason: str
    is_alone: bool


def run_program(program: str, tests: str, seconds: float = 5.0, megabytes: int = 512) -> Outcome:
    """Runs a program with its tests behind it.

    Args:
        program: Python source.
        tests: Python source, such as lines of `assert`.
        seconds: of processor time, rounded up: whether a program passes must not depend on what else the machine does.
            By the clock it may take four times as long, waiting included.
        megabytes: of memory.

    Returns:
        How it ended.

    Raises:
        KerasftError: this system has no limits for processes (Windows).
    """
    if not hasattr(os, "fork"):
        raise KerasftError("pass@1 needs limits for processes, which this system has not: use Linux or macOS.")
    with tempfile.TemporaryDirectory(prefix="kerasft-program-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        file, err, done = folder / "program.py", folder / ".err", folder / ".done"
        # A program that ends before its tests, by sys.exit(0), has not passed: the last line must be reached.
        last = f"import os as _os\n_os.mkdir({str(done)!r})\n"
        file.write_text(f"{program}\n\n{tests}\n\n{last}", encoding="utf-8", errors="replace")
        command = [sys.executable, "-I", str(_LAUNCHER), str(file), str(math.ceil(seconds)), str(megabytes)]
        # To a file, whose size is limited: a pipe would have to be read while it runs, however much comes.
        with open(err, "wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={"PATH": os.defpath, "HOME": name, "TMPDIR": name, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        is_late = False
        try:
            process.wait(_PATIENCE * seconds)
        except subprocess.TimeoutExpired:
            is_late = True
        finally:
            _end(process)
        is_alone = _part(err, first=True).startswith(ALONE)
        if is_late or process.returncode in _ENDED_BY_LIMIT:
            return Outcome("timed out", f"over {seconds:g} s", is_alone)
        if process.returncode == 0:
            passed = done.is_dir()
            return Outcome("passed" if passed else "failed", "" if passed else _EARLY, is_alone)
        return Outcome("failed", _part(err).strip().splitlines()[-1].strip(), is_alone)


def _end(process: subprocess.Popen) -> None:
    """Ends a process and all that it has started in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def _part(file: Path, first: bool = False) -> str:
    """The first or the last bytes of a file."""
    with open(file, "rb") as stream:
        stream.seek(0 if first else max(file.stat().st_size - _SAID_BYTES, 0))
        return stream.read(_SAID_BYTES).decode(errors="replace")


def pass_figures(
    programs: Sequence[str], tests: Sequence[str], seconds: float = 5.0, megabytes: int = 512, workers: int = 1
) -> dict:
    """pass@1: one program for each problem.

    Args:
        programs: N of them, at least one.
        tests: of each program.
        seconds: of processor time, for each.
        megabytes: for each.
        workers: programs that run at once.

    Returns:
        `pass_at_1`, the share that passed, with its interval `pass_at_1_95`; `timed_out`, `failed`, how many;
        `confined`, whether all ran without a network; `rows`.

    Raises:
        KerasftError: as for `run_program`.
    """
    if len(programs) != len(tests):
        raise ValueError(f"Expected tests for each program; found {len(programs)} programs and {len(tests)} tests.")
    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(
            pool.map(lambda pair: run_program(*pair, seconds, megabytes), zip(programs, tests, strict=True))
        )
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    passed = np.array([outcome.verdict == "passed" for outcome in outcomes], float)
    return {
        "pass_at_1": float(passed.mean()),
        "pass_at_1_95": bootstrap_interval(passed),
        "timed_out": verdicts["timed out"],
        "failed": verdicts["failed"],
        "confined": all(outcome.is_alone for outcome in outcomes),
        "rows": len(outcomes),
    }
