"""Servers as processes of their own, and loads on them: what bench_serve.py measures with."""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasft.serving.load.answers import Link
from kerasft.serving.load.drive import drive, run_precisely
from kerasft.serving.load.endpoint import Asked, parse_endpoint
from kerasft.serving.load.figures import Figures, figures
from kerasft.serving.load.measure import open_link
from kerasft.serving.load.payloads import ROW, grpc_payloads, rest_payloads
from kerasft.serving.load.plan import Plan
from kerasft.serving.load.record import Record
from kerasft.serving.load.signature import STRING, Input

PEER = Path(__file__).with_name("peer_service.py")
INPUTS = (Input("text", STRING),)
_PATIENCE = 180.0


@dataclass(frozen=True)
class Server:
    """A process that serves.

    Attributes:
        process: it.
        asked: the model; of the peer an empty name.
        grpc: its gRPC address, "" where there is none.
        rest: its URL.
        seconds: from its start to its first answer.
    """

    process: subprocess.Popen
    asked: Asked
    grpc: str
    rest: str
    seconds: float

    def memory_mb(self) -> dict[str, float]:
        """Resident memory now and at its peak."""
        with open(f"/proc/{self.process.pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return {name: int(fields[key].split()[0]) / 1024 for name, key in (("now", "VmRSS"), ("peak", "VmHWM"))}


@contextlib.contextmanager
def kerasft_server(export: str, name: str, *flags: str) -> Iterator[Server]:
    """`kerasft serve` on free ports, once it has given its first answer over gRPC."""
    import grpc

    port, rest_port = free_port(), free_port()
    command = [sys.executable, "-m", "kerasft", "serve", export, "--port", str(port), "--rest-api-port", str(rest_port)]
    asked = Asked(name)
    [payload] = grpc_payloads([[{"text": "ready?"}]], INPUTS, asked)

    def first_answer() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(
                payload, timeout=_PATIENCE, wait_for_ready=True
            )

    with _running([*command, *flags], port, first_answer) as (process, seconds):
        yield Server(process, asked, f"127.0.0.1:{port}", f"http://127.0.0.1:{rest_port}", seconds)


@contextlib.contextmanager
def peer_server(python: str, folder: str, handler: str) -> Iterator[Server]:
    """peer_service.py in the peer's environment, once it has given its first answer."""
    port = free_port()
    command = [python, str(PEER), "--model", folder, "--port", str(port), "--handler", handler]

    def first_answer() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        connection.request("POST", "/predict", json.dumps({"text": "ready?"}), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()

    with _running(command, port, first_answer) as (process, seconds):
        yield Server(process, Asked(""), "", f"http://127.0.0.1:{port}", seconds)


def put(server: Server, kind: str, texts: Sequence[str], plan: Plan) -> Figures:
    """Puts load on a server, a text a request.

    Args:
        server: ours or the peer's.
        kind: `gRPC`, `REST`, or `peer` for its own API.
        texts: sent in turn.
        plan: how much.

    Raises:
        SystemExit: a request failed: what is to be compared are answers.
    """
    rows = [[{"text": text}] for text in texts]
    asked = server.asked if kind != "peer" else Asked("peer")
    endpoint, _ = parse_endpoint(server.grpc if kind == "gRPC" else server.rest, asked)
    if kind == "gRPC":
        payloads = grpc_payloads(rows, INPUTS, asked)
    elif kind == "REST":
        payloads = rest_payloads(rows, INPUTS, asked, ROW)
    else:
        payloads = [json.dumps({"text": text}).encode() for text in texts]

    def link() -> Link:
        if kind == "peer":
            from kerasft.serving.load.rest_link import RestLink

            return RestLink(endpoint, asked, plan.concurrency, path="/predict")
        return open_link(endpoint, asked, plan.concurrency)

    found = run_precisely(lambda: _driven(link, payloads, plan), plan.concurrency)
    if found.errors:
        sys.exit(f"{kind}: {found.errors} {found.words}")
    return found


async def _driven(make: Callable[[], Link], payloads: Sequence[bytes], plan: Plan) -> Figures:
    link, record = make(), Record()
    try:
        spent = await drive(lambda number, left: link.ask(payloads[number % len(payloads)], left), plan, record)
        return figures(record, plan, spent)
    finally:
        await link.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def _running(command: list[str], port: int, first_answer: Callable[[], None]) -> Iterator[tuple]:
    """Starts a process, and waits until its port is open and it has answered once."""
    with tempfile.TemporaryFile("w+") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not _is_open(port):
                if process.poll() is not None or time.monotonic() - began > _PATIENCE:
                    log.seek(0)
                    sys.exit(f"{' '.join(command)}\ndid not serve:\n{log.read()[-2000:]}")
                time.sleep(0.02)
            first_answer()
            yield process, time.monotonic() - began
        finally:
            process.kill()
            process.wait()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
