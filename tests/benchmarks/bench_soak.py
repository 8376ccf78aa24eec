"""`kerasft serve` for a long time: no answer wrong, no request lost, no memory, file or thread that stays behind.

    python tests/benchmarks/bench_soak.py [--requests 200000] [--export saved_models/sentiment/1] [--results soak.json]

16 honest clients (8 over gRPC, 8 over REST, each on a connection of its own that it renews every 500 requests) ask two
models, one of them by its label, while versions come by copy and rename, come half copied or broken, are rolled back,
and the label moves, and while other clients hang up: a call cancelled, a deadline too short, a connection reset in the
body, before the answer, or within HTTP/2's opening. Half of the requests with batching, on a server of its own.

The tiny model's version v answers x / 2 + v, so that each number tells its version; it must be the one that the answer
names, and one that could answer between question and answer. The export's answers are those of a session in this
process, to 1e-5. Exit status 1 on a wrong or lost answer, on a version whose status was not told, and when the server
does not end well.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.soak_clients import (  # noqa: E402
    RUDE,
    Address,
    GrpcLink,
    Record,
    RestLink,
    honest,
    rude,
)
from tests.benchmarks.soak_questions import Question, export_questions, tiny_questions, write_tiny  # noqa: E402
from tests.benchmarks.soak_versions import Versions  # noqa: E402
from tests.serving.running import Running, serving  # noqa: E402

HONEST = 16
BATCHING = """max_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 1000 }
allowed_batch_sizes: 4
allowed_batch_sizes: 16
allowed_batch_sizes: 32
"""
# Of the resident set, in the second half of a phase. At 250 MB and 50,000 requests it is 100 bytes a request: less than
# any object that a request could leave behind, and more than the allocator's own drift.
FLAT = 0.02


@dataclass(frozen=True)
class Phase:
    """One server's life."""

    name: str
    questions: Sequence[Question]
    write: Callable[[int, Path], None]
    requests: int
    batching: bool


@dataclass
class Process:
    """What the system tells of a server. Memory in MB, once a second: seconds, resident, and its anonymous part."""

    pid: int
    samples: list[tuple[float, float, float]]

    def status(self) -> dict[str, int]:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return {name: int(found[name].split()[0]) for name in ("VmRSS", "RssAnon", "Threads")}

    def held(self) -> tuple[int, int]:
        """Open files and threads."""
        return len(os.listdir(f"/proc/{self.pid}/fd")), self.status()["Threads"]

    async def sample(self) -> None:
        begin = time.monotonic()
        while True:
            found = self.status()
            self.samples.append((time.monotonic() - begin, found["VmRSS"] / 1024, found["RssAnon"] / 1024))
            await asyncio.sleep(1)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs of points: the peaks while two versions are loaded do not tilt it."""
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for at, a in enumerate(points) for b in points[at + 1 :]]
    return statistics.median(pairs) if pairs else 0.0


async def ask(phase: Phase, address: Address, versions: Versions, count: int, seconds: float, seed: int) -> Record:
    """Lets all clients ask `count` requests while versions change; gives what became of them."""
    record, stop, turns = Record(), asyncio.Event(), iter(range(count))
    of = {over: [question for question in phase.questions if bool(question.path) == over] for over in (True, False)}
    changing = asyncio.ensure_future(versions.keep_changing(address.target, seconds, stop))
    behind = [
        asyncio.ensure_future(rude(way, address, of[over], seed + number, record, stop))
        for number, (way, over) in enumerate(RUDE)
    ]
    kinds = [(GrpcLink, RestLink)[number % 2] for number in range(HONEST)]
    await asyncio.gather(
        *(honest(lambda k=kind: k(address), of[kind is GrpcLink], turns, record, versions.spans) for kind in kinds)
    )
    stop.set()
    await asyncio.gather(changing, *behind)
    return record


async def run(phase: Phase, server: Running, versions: Versions, seconds: float, seed: int) -> dict:
    """One phase on a server that is up; gives its figures."""
    address, process = Address(server.port, server.rest_port), Process(server.process.pid, [])
    # A first round, so that threads and pools are there when the counting begins; it is judged like the rest.
    first = await ask(phase, address, versions, max(phase.requests // 20, HONEST), seconds, seed)
    await asyncio.sleep(2)
    files, threads = process.held()
    sampling = asyncio.ensure_future(process.sample())
    begin = time.monotonic()
    record = await ask(phase, address, versions, phase.requests, seconds, seed + 1000)
    took = time.monotonic() - begin
    sampling.cancel()
    await asyncio.sleep(2)
    files_after, threads_after = process.held()
    half = process.samples[len(process.samples) // 2 :]
    a_second = slope([(at, resident) for at, resident, _ in half])
    grown = a_second * (half[-1][0] - half[0][0])
    ordered = sorted(record.seconds) or [float("nan")]
    return {
        "phase": phase.name,
        "requests": phase.requests + max(phase.requests // 20, HONEST),
        "right": first.answered + record.answered,
        "wrong": first.wrong + record.wrong,
        "lost": first.lost + record.lost,
        "examples": first.examples + record.examples,
        "hung up": dict(first.rude + record.rude),
        "changes": dict(versions.counts),
        "faults": versions.faults,
        "seconds": took,
        "a second": len(record.seconds) / took,
        "p50 ms": 1000 * statistics.median(ordered),
        "p99 ms": 1000 * ordered[len(ordered) * 99 // 100],
        "max ms": 1000 * ordered[-1],
        "resident MB": [in_quarter(process.samples, 0), in_quarter(process.samples, 2), in_quarter(process.samples, 3)],
        "slope MB a minute": 60 * a_second,
        "grown MB": grown,
        "flat": grown <= FLAT * half[0][1],
        "files": [files, files_after],
        "threads": [threads, threads_after],
        "samples": process.samples,
    }


def in_quarter(samples: Sequence[tuple[float, float, float]], quarter: int) -> float:
    """The median of the resident set in a quarter of the time."""
    size = max(len(samples) // 4, 1)
    return statistics.median(resident for _, resident, _ in samples[quarter * size :][:size] or samples[-1:])


def live(phase: Phase, work: Path, seconds: float, seed: int) -> dict:
    """Starts a server, runs a phase on it, and ends it as a machine's service manager would."""
    versions = Versions(work / phase.name.replace(" ", "-"), phase.write, seed)
    options = [f"--model_config_file={versions.config_file}", "--model_config_file_poll_wait_seconds=1"]
    options += ["--file_system_poll_wait_seconds=0.3", "--allow_version_labels_for_unavailable_models"]
    if phase.batching:
        (work / "batching").write_text(BATCHING)
        options += ["--enable_batching", f"--batching_parameters_file={work / 'batching'}"]
    with serving(*options) as server:
        figures = asyncio.run(run(phase, server, versions, seconds, seed))
        server.process.send_signal(signal.SIGTERM)
        figures["exit status"] = server.ended()
        figures["log"] = [line for line in server.lines if "Traceback" in line or "Error" in line][:20]
    shutil.rmtree(versions.root)
    return figures


def linked(export: Path) -> Callable[[int, Path], None]:
    """Writes versions that share an export's files, where the system can."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    return lambda version, folder: shutil.copytree(export, folder, copy_function=link)


def table(found: Sequence[dict]) -> str:
    """The figures as Markdown, a phase a column."""

    def joined(counts: dict) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(counts.items()))

    def listed(one: dict, *names: str) -> str:
        return ", ".join(f"{one[name]:.1f}" for name in names)

    rows = {
        "": lambda one: one["phase"],
        "honest requests": lambda one: f"{one['requests']:,}",
        "**wrong answers**": lambda one: f"**{one['wrong']}**",
        "**lost requests**": lambda one: f"**{one['lost']}**",
        "clients that hung up": lambda one: joined(one["hung up"]),
        "changes of versions": lambda one: joined(one["changes"]),
        "states not told": lambda one: len(one["faults"]),
        "requests a second": lambda one: f"{one['a second']:.0f}",
        "median, 99th percentile, largest, ms": lambda one: listed(one, "p50 ms", "p99 ms", "max ms"),
        "resident MB, first, third, last quarter": lambda one: ", ".join(f"{each:.1f}" for each in one["resident MB"]),
        "slope over the second half, MB a minute": lambda one: f"{one['slope MB a minute']:+.2f}",
        f"grown there, MB (flat: at most {FLAT:.0%})": lambda one: f"{one['grown MB']:+.1f} {verdict(one)}",
        "open files, before and after": lambda one: " → ".join(map(str, one["files"])),
        "threads, before and after": lambda one: " → ".join(map(str, one["threads"])),
        "seconds": lambda one: f"{one['seconds']:.0f}",
        "exit status after SIGTERM": lambda one: one["exit status"],
    }
    lines = [" | ".join([f"| {name}", *(str(write(one)) for one in found)]) + " |" for name, write in rows.items()]
    return "\n".join([lines[0], "|---" * (len(found) + 1) + "|", *lines[1:]])


def verdict(one: dict) -> str:
    return "flat" if one["flat"] else "GROWS"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000, help="to the tiny model")
    parser.add_argument("--export", type=Path, help="a version folder with a signature from texts to answers")
    parser.add_argument("--export-requests", type=int, default=5_000)
    parser.add_argument("--swap-seconds", type=float, default=2.0, help="between two changes of versions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    chosen = parser.parse_args()
    phases = [(f"tiny{on}", chosen.requests // 2, tiny_questions(chosen.seed), write_tiny) for on in ("", " batched")]
    if chosen.export:
        starter = ROOT / "kerasft" / "starter" / "sentiment.csv"
        questions, _ = export_questions(chosen.export, starter, chosen.seed)
        name, size = chosen.export.resolve().parent.name, chosen.export_requests // 2
        phases += [(f"{name}{on}", size, questions, linked(chosen.export)) for on in ("", " batched")]
    found = []
    with tempfile.TemporaryDirectory(prefix="kerasft-soak-") as work:
        for name, requests, questions, write in phases:
            phase = Phase(name, questions, write, requests, name.endswith(" batched"))
            found.append(live(phase, Path(work), chosen.swap_seconds, chosen.seed))
            last = found[-1]
            for line in (*last["examples"], *last["faults"], *last["log"]):
                print(f"{name}: {line}", file=sys.stderr, flush=True)
    print(table(found))
    if chosen.results:
        chosen.results.write_text(json.dumps(found, indent=1) + "\n")
    bad = ("wrong", "lost", "faults", "exit status")
    sys.exit(1 if any(one[name] for one in found for name in bad) else 0)


if __name__ == "__main__":
    main()
