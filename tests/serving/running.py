"""`kerasft serve` in a process of its own, as a user starts it."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A machine that is busy with other tests starts a process slowly.
PATIENCE = 120.0

# Every request on a model takes so long, that a test can do something meanwhile.
SLOW = """
import sys, time
from kerasft.serving.loaded import LoadedVersion

run = LoadedVersion.run

def slowly(self, *arguments, **named):
    time.sleep(float(sys.argv[1]))
    return run(self, *arguments, **named)

LoadedVersion.run = slowly
from kerasft.cli import main
main(["serve", *sys.argv[2:]])
"""


@dataclass
class Running:
    """A server's process.

    Attributes:
        process: it.
        port: of gRPC.
        rest_port: of REST.
        lines: what it has written so far.
        context: for TLS over REST.
    """

    process: subprocess.Popen
    port: int
    rest_port: int
    lines: list[str] = field(default_factory=list)
    context: ssl.SSLContext | None = None

    def rest(self, path: str, body=None, headers: dict | None = None) -> tuple[int, dict, bytes]:
        """Asks over REST; gives status, headers, body."""
        url = f"http{'s' if self.context else ''}://127.0.0.1:{self.rest_port}{path}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=self.context) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as reply:
            return reply.code, dict(reply.headers), reply.read()

    def log(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, words: str) -> None:
        """Waits until the server has written something."""
        until = time.monotonic() + PATIENCE
        while words not in self.log():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until, f"{words!r} is not in: {self.log()}"
            time.sleep(0.02)

    def ended(self) -> int:
        """Waits for the end; gives the exit status."""
        return self.process.wait(PATIENCE)


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on now."""
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@contextlib.contextmanager
def serving(*arguments, slow: float | None = None) -> Iterator[Running]:
    """Starts a server on ports of its own, and waits until it serves.

    Args:
        arguments: of the command.
        slow: seconds that each run of a model takes longer.
    """
    port, rest_port = free_ports()
    told = [*map(str, arguments), "--port", str(port), f"--rest_api_port={rest_port}"]
    start = ["-m", "kerasft", "serve"] if slow is None else ["-c", SLOW, str(slow)]
    process = started([*start, *told])
    server = Running(process, port, rest_port)
    reader = threading.Thread(target=lambda: server.lines.extend(line.rstrip("\n") for line in process.stderr))
    reader.start()
    try:
        server.wait_for("Production is TensorFlow Serving")
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stderr.close()


def started(arguments: Sequence[str]) -> subprocess.Popen:
    """Starts Python with arguments, its standard error for us to read."""
    # One thread each: the machine has other tests to run.
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
