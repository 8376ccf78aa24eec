"""From an address to figures: ask the server what it takes, make the requests, send them, sum up."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from kerasft.errors import KerasftError
from kerasft.serving.load.answers import Link
from kerasft.serving.load.drive import drive, run_precisely
from kerasft.serving.load.endpoint import GRPC, REST, Asked, Endpoint, parse_endpoint
from kerasft.serving.load.figures import Figures, figures
from kerasft.serving.load.payloads import COLUMNAR, ROW, grpc_payloads, rest_payloads
from kerasft.serving.load.plan import Plan
from kerasft.serving.load.record import Record
from kerasft.serving.load.rows import built_in_rows, grouped, rows_of_file
from kerasft.serving.load.signature import Input, Served

# A first request may find a server that has just begun.
_FIRST_SECONDS = 30.0
# With these the first request says that no other will do better.
_HOPELESS = frozenset(
    ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "PERMISSION_DENIED", "UNAUTHENTICATED")
) | frozenset(("400", "401", "403", "404", "405", "501"))


@dataclass(frozen=True)
class Load:
    """What is to be measured.

    Attributes:
        address: of the server; see `endpoint.parse_endpoint`.
        asked: the model.
        plan: how much load.
        data: a file with a column for each input; None for built-in sentences.
        columns: input -> the file's column, where the names differ.
        rows: texts of one request.
        body: of REST: `row` or `columnar`.
        connections: over REST, at most so many.
        authority: certificates in PEM that the server's is checked with.
    """

    address: str
    asked: Asked
    plan: Plan
    data: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: int = 1
    body: str = ROW
    connections: int = 256
    authority: bytes | None = None


@dataclass(frozen=True)
class Measured:
    """What came of it.

    Attributes:
        load: as it was asked for, with what the address names.
        kind: `gRPC` or `REST`.
        version: of the model that the server named before the load began.
        texts: how many different rows were sent in turn.
        stopped: by Ctrl-C or SIGTERM before its time.
        figures: see there.
        record: each request.
    """

    load: Load
    kind: str
    version: int
    texts: int
    stopped: bool
    figures: Figures
    record: Record

    def as_dict(self) -> dict:
        """For JSON; without the single requests."""
        plan = self.load.plan
        return {
            "address": self.load.address,
            "api": self.kind,
            **asdict(self.load.asked),
            "version": self.version,
            "loop": "closed" if plan.rate is None else "open",
            "plan": asdict(plan),
            "data": self.load.data,
            "texts": self.texts,
            "rows_per_request": self.load.rows,
            "stopped": self.stopped,
            **self.figures.as_dict(),
        }


def measure(load: Load, report: Callable[[str], None]) -> Measured:
    """Puts load on a server. Ctrl-C or SIGTERM ends it early, with the figures so far.

    Args:
        load: see there.
        report: is given notes, line by line.

    Raises:
        KerasftError: no such server, model or signature, or data that do not fit it.
    """
    if load.body not in (ROW, COLUMNAR):
        raise KerasftError(f"--body must be {ROW} or {COLUMNAR}, not {load.body}.")
    endpoint, asked = parse_endpoint(load.address, load.asked)
    load = Load(**{**vars(load), "asked": asked})
    needed = 1 if endpoint.kind == GRPC else load.plan.concurrency or load.connections
    return run_precisely(lambda: _measure(load, endpoint, needed, report), needed)


async def _measure(load: Load, endpoint: Endpoint, connections: int, report: Callable[[str], None]) -> Measured:
    link = open_link(endpoint, load.asked, connections, load.authority)
    try:
        first = max(load.plan.deadline, _FIRST_SECONDS)
        served = await link.describe(first)
        rows, payloads = _payloads(load, endpoint, served.inputs, report)
        answer = await link.ask(payloads[0], first)
        if answer.code in _HOPELESS:
            raise KerasftError(f"{load.address} refuses what would be sent: {answer.code}: {answer.words}")
        report(what_is_sent(load, endpoint, served))
        record = Record()
        spent, stopped = await _drive(link, payloads, load.plan, record)
        found = figures(record, load.plan, spent)
        return Measured(load, endpoint.kind, served.version, rows, stopped, found, record)
    finally:
        await link.close()


def open_link(endpoint: Endpoint, asked: Asked, connections: int, authority: bytes | None = None) -> Link:
    """Makes the way to a server; nothing is sent yet.

    Raises:
        KerasftError: a package is missing, or the certificates are none.
    """
    try:
        if endpoint.kind == GRPC:
            from kerasft.serving.load.grpc_link import GrpcLink

            return GrpcLink(endpoint, asked, authority)
        from kerasft.serving.load.rest_link import RestLink
    except ModuleNotFoundError as error:
        words = f"Load over {endpoint.kind} needs the package {error.name}, not installed."
        raise KerasftError(f"{words} Run: pip install 'kerasft[serve]'") from None
    return RestLink(endpoint, asked, connections, authority)


def what_is_sent(load: Load, endpoint: Endpoint, served: Served) -> str:
    """Says in a line what goes where."""
    plan = load.plan
    asked = load.asked
    how = (
        f"{plan.rate:g} requests a second, each when it is due,"
        if plan.rate is not None
        else f"{plan.concurrency} client{'s' if plan.concurrency > 1 else ''}, each waiting for its answer,"
    )
    most = f", {plan.requests:,} requests at most" if plan.requests is not None else ""
    name = asked.model if asked.signature == "serving_default" else f"{asked.model}, signature {asked.signature}"
    return (
        f"{name}, version {served.version}, over {endpoint.kind}: {how} for {plan.seconds:g} s{most}; "
        f"{plan.warm_up:g} s before them do not count."
    )


def _payloads(load: Load, endpoint: Endpoint, inputs: Sequence[Input], report: Callable) -> tuple[int, list[bytes]]:
    """How many different rows there are, and the requests made of them."""
    if load.data is None:
        rows, notes = built_in_rows(inputs), ()
    else:
        rows, notes = rows_of_file(load.data, inputs, load.asked.model, load.columns)
    for note in notes:
        report(note)
    requests = grouped(rows, load.rows)
    if endpoint.kind == REST:
        return len(rows), rest_payloads(requests, inputs, load.asked, load.body)
    return len(rows), grpc_payloads(requests, inputs, load.asked)


async def _drive(link: Link, payloads: Sequence[bytes], plan: Plan, record: Record) -> tuple[float, bool]:
    def ask(number: int, timeout: float):
        return link.ask(payloads[number % len(payloads)], timeout)

    driving = asyncio.ensure_future(drive(ask, plan, record))
    with _stopping(driving) as stopped:
        return await driving, bool(stopped)


@contextlib.contextmanager
def _stopping(task: asyncio.Task) -> Iterator[list]:
    """Cancels a task at the first signal; the second does what it always does. Gives a list, empty without a signal."""
    loop, told = asyncio.get_running_loop(), []
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        told.append(True)
        task.cancel()
        restore()

    def restore() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    # Signals come to the main thread only; elsewhere (a test) there are none to catch.
    with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
        for number in numbers:
            loop.add_signal_handler(number, stop)
    try:
        yield told
    finally:
        restore()
