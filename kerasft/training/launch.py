"""Starts the workers of one run on this machine, forwards their lines and signals, and ends them together."""

import contextlib
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from kerasft.errors import KerasftError

TRAINS = ("fit",)
"""The commands that can run as several workers."""
GRACE_SECONDS = 60
"""For the others to notice a dead worker by themselves: twice the heartbeat."""
_KILL_SECONDS = 10
_PORTS = range(20_000, 32_000)
_PROGRAM = (sys.executable, "-m", "kerasft")
_COLOURS = (36, 33, 35, 32, 34, 31)


def launch(
    arguments: Sequence[str], workers: int, grace: float = GRACE_SECONDS, program: Sequence[str] = _PROGRAM
) -> int:
    """Runs one command as several local worker processes and waits for all of them.

    Each has `TF_CONFIG` with free ports of the loopback device and the same arguments. Their lines come out as they
    are finished, with `[0] ` and so on before them. SIGINT, SIGTERM and SIGHUP go to every worker. Nothing is set about
    threads: every worker takes as many as the machine has cores (`OMP_NUM_THREADS`, `TF_NUM_INTRAOP_THREADS` to limit
    them). GPUs are dealt out; where there are fewer than workers, all train on the CPU.

    Args:
        arguments: of `kerasft`, the command first: "fit", "--task", …
        workers: how many.
        grace: seconds that the others get to end by themselves once one has failed; then SIGTERM, then SIGKILL.
        program: what takes the arguments.

    Returns:
        The exit status: that of the worker that failed first (128 + the signal where one killed it), else 0.

    Raises:
        KerasftError: the arguments are not a command that trains.
    """
    check_command(arguments)
    running: dict[int, subprocess.Popen] = {}
    ended: queue.Queue[tuple[int, int]] = queue.Queue()
    forwarders: list[threading.Thread] = []
    lock = threading.Lock()
    gpus = deal_gpus(workers, os.environ)
    if gpus and not gpus[0]:
        print(f"Fewer GPUs than workers: all {workers} train on the CPU.", file=sys.stderr)
    ports = free_ports(workers)
    with _forwarded_signals(running):
        try:
            for index in range(workers):
                worker = subprocess.Popen(
                    [*program, *arguments],
                    env={**os.environ, **worker_environment(ports, index), **(gpus[index] if gpus else {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    # Ctrl-C of a terminal would reach it twice: from the terminal and from here.
                    start_new_session=True,
                )
                running[index] = worker
                for source, target in ((worker.stdout, sys.stdout), (worker.stderr, sys.stderr)):
                    forwarders.append(_start(_forward, source, target, index, lock))
                _start(lambda index=index, worker=worker: ended.put((index, worker.wait())))
            status = _wait(running, ended, grace)
        finally:
            for worker in running.values():
                worker.kill()
    for forwarder in forwarders:
        # A grandchild may still hold the pipe: what the workers themselves said is out by then.
        forwarder.join(timeout=5)
    return status


def check_command(arguments: Sequence[str]) -> None:
    """Refuses what cannot be launched.

    Raises:
        KerasftError: no command, or one that does not train.
    """
    if not arguments:
        raise KerasftError(
            "Nothing to launch: expected a command after --, as in `kerasft launch -n 2 -- fit --task T`."
        )
    if arguments[0] in TRAINS:
        return
    if arguments[0].startswith("-"):
        raise KerasftError(
            f"launch has no option {arguments[0]}: name the command first, as in "
            f"`kerasft launch -n 2 -- {TRAINS[0]} {' '.join(arguments)}`."
        )
    raise KerasftError(
        f"launch runs commands that train: expected {' or '.join(TRAINS)} after --, found '{arguments[0]}'."
    )


def worker_environment(ports: Sequence[int], index: int) -> dict[str, str]:
    """The variables that tell a worker its place: TF_CONFIG, and lines that leave it as they are printed."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        "PYTHONUNBUFFERED": "1",
    }


def deal_gpus(workers: int, environment: Mapping[str, str], folder: str = "/proc/driver/nvidia/gpus") -> list[dict]:
    """Shares out the GPUs: two workers on one cannot work, for each takes its whole memory.

    Args:
        workers: how many.
        environment: whose `CUDA_VISIBLE_DEVICES` limits them.
        folder: where the driver lists the GPUs.

    Returns:
        One `CUDA_VISIBLE_DEVICES` for each worker, "" (the CPU) for all where the GPUs do not go round; [] where there
        is nothing to share.
    """
    if "CUDA_VISIBLE_DEVICES" in environment:
        gpus = [name for name in environment["CUDA_VISIBLE_DEVICES"].split(",") if name.strip() not in ("", "-1")]
    else:
        gpus = [str(number) for number in range(len(os.listdir(folder)))] if os.path.isdir(folder) else []
    if not gpus or workers == 1:
        return []
    shares = [gpus[index::workers] if len(gpus) >= workers else [] for index in range(workers)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that a system hands out by itself: so nobody is given one meanwhile.

    TensorFlow's server does not share its port: it cannot be held for the worker until then.

    Raises:
        KerasftError: there are not so many.
    """
    found: list[int] = []
    for port in random.Random().sample(_PORTS, len(_PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
        if len(found) == count:
            return found
    raise KerasftError(f"Expected {count} free ports among {_PORTS.start} to {_PORTS.stop - 1}, found {len(found)}.")


@contextlib.contextmanager
def _forwarded_signals(running: Mapping[int, subprocess.Popen]) -> Iterator[None]:
    """Passes signals on to the workers; the third one kills them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = []

    def forward(number, frame):
        seen.append(number)
        _send(running, number if len(seen) < 3 else signal.SIGKILL)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(running: dict[int, subprocess.Popen], ended: queue.Queue, grace: float) -> int:
    """Waits for the workers; after the first failure it makes the others end."""
    status, deadline, last = 0, None, signal.SIGTERM
    while running:
        try:
            index, code = ended.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            _send(running, last)
            deadline, last = time.monotonic() + _KILL_SECONDS, signal.SIGKILL
            continue
        del running[index]
        if code and not status:
            status = 128 - code if code < 0 else code
            if running:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
                print(f"Worker {index} {how}; the others get {grace:g} s to end.", file=sys.stderr, flush=True)
                deadline = time.monotonic() + grace
    return status


def _send(running: Mapping[int, subprocess.Popen], number: int) -> None:
    for worker in list(running.values()):
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(number)


def _forward(source, target: TextIO, index: int, lock: threading.Lock) -> None:
    """Copies lines until the worker closes its end; goes on when nobody reads us, lest the worker should wait."""
    prefix = f"[{index}] "
    if target.isatty() and not os.environ.get("NO_COLOR"):
        prefix = f"\x1b[{_COLOURS[index % len(_COLOURS)]}m[{index}]\x1b[0m "
    with source:
        for line in source:
            text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            with lock, contextlib.suppress(OSError, ValueError):
                target.write(f"{prefix}{text}\n")
                target.flush()


def _start(function, *arguments) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread
