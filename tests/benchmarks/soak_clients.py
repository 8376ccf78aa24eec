"""The soak's clients: honest ones, who must be answered right each time, and some who hang up in the middle."""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import grpc

from tests.benchmarks.soak_questions import Question
from tests.benchmarks.soak_versions import Spans

PATIENCE = 30.0
# So many on one connection, then a new one.
A_CONNECTION = 500
EXAMPLES = 10
# Each way of hanging up once for so many honest requests; there are five.
A_RUDE_ONE = 40


@dataclass
class Record:
    """What became of the requests.

    Attributes:
        answered: honest requests with the right answer.
        seconds: how long each of these took.
        wrong: answers that are not those of a version that could answer then.
        lost: honest requests without an answer.
        rude: requests whose client hung up, by the way it did.
        examples: the first of what is wrong or lost, in words.
    """

    answered: int = 0
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    lost: int = 0
    rude: Counter = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, kind: str, question: Question, words: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < EXAMPLES:
            what = question.path or question.data.partition(b"\r\n")[0].decode()
            self.examples.append(f"{kind}: {what} of {question.model}: {words}")


@dataclass(frozen=True)
class Address:
    """Where the server listens."""

    grpc_port: int
    rest_port: int

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"


class GrpcLink:
    """One connection; bytes in, bytes out."""

    def __init__(self, address: Address):
        # Its own connection, and no help with failures: what is lost must be seen.
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        self._channel = grpc.aio.insecure_channel(address.target, options=options)
        self._calls: dict[str, grpc.aio.UnaryUnaryMultiCallable] = {}

    def call(self, question: Question, seconds: float = PATIENCE):
        found = self._calls.get(question.path)
        if found is None:
            found = self._calls[question.path] = self._channel.unary_unary(question.path)
        return found(question.data, timeout=seconds)

    async def ask(self, question: Question) -> bytes:
        return await self.call(question)

    async def close(self) -> None:
        await self._channel.close()


class RestLink:
    """One connection that is kept; requests are HTTP as it is sent."""

    def __init__(self, address: Address):
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        self._reader, self.writer = await asyncio.open_connection("127.0.0.1", self._address.rest_port)

    async def ask(self, question: Question) -> bytes:
        if self.writer is None:
            await self.open()
        self.writer.write(question.data)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"http/1.1 200 "):
            raise ConnectionError(f"{head[9:12].decode()} {body[:300].decode('utf-8', 'replace')}")
        return body

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()

    def reset(self) -> None:
        """Ends the connection as a machine does that is switched off: a reset, with no goodbye."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


async def honest(
    make_link: Callable, questions: Sequence[Question], turns: Iterator[int], record: Record, spans: Spans
) -> None:
    """Asks one question after the other, as long as there are turns, and judges each answer.

    Args:
        make_link: gives a new connection.
        questions: asked in their order, again and again.
        turns: shared by all clients: one for each request of the whole soak.
        record: is told what became of each.
        spans: which version may answer when.
    """
    link, asked = make_link(), 0
    for turn in turns:
        question = questions[turn % len(questions)]
        if asked == A_CONNECTION:
            await link.close()
            link, asked = make_link(), 0
        asked += 1
        begin = time.monotonic()
        try:
            if isinstance(link, GrpcLink):  # which has its own deadline
                answer = await link.ask(question)
            else:
                answer = await asyncio.wait_for(link.ask(question), PATIENCE)
        except Exception as error:
            words = (
                f"{error.code().name}: {error.details()}" if isinstance(error, grpc.aio.AioRpcError) else repr(error)
            )
            record.note("lost", question, words)
            await link.close()
            link, asked = make_link(), 0
            continue
        end = time.monotonic()
        if judged(question, answer, begin, end, record, spans):
            record.answered += 1
            record.seconds.append(end - begin)
    await link.close()


def judged(question: Question, answer: bytes, begin: float, end: float, record: Record, spans: Spans) -> bool:
    """Whether an answer is right; notes it when not."""
    try:
        version = question.judge(answer)
    except Exception as error:  # also an answer that cannot be read at all
        record.note("wrong", question, repr(error))
        return False
    if version is None or spans.allow(question.model, version, begin, end):
        return True
    record.note("wrong", question, f"version {version} could not answer then")
    return False


async def cancels(address: Address, question: Question, draw: random.Random) -> None:
    """A gRPC call that is cancelled soon after it was sent."""
    link = GrpcLink(address)
    call = link.call(question)
    await asyncio.sleep(draw.uniform(0, 0.008))
    call.cancel()
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        await call
    await link.close()


async def has_no_time(address: Address, question: Question, draw: random.Random) -> None:
    """A gRPC call whose deadline is too short."""
    link = GrpcLink(address)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await link.call(question, draw.uniform(0.0002, 0.006))
    await link.close()


async def resets_in_the_body(address: Address, question: Question, draw: random.Random) -> None:
    """A REST request that ends within its body."""
    link = RestLink(address)
    await link.open()
    link.writer.write(question.data[: -draw.randint(1, 8)])
    await asyncio.sleep(draw.uniform(0, 0.004))
    link.reset()


async def resets_before_the_answer(address: Address, question: Question, draw: random.Random) -> None:
    """A whole REST request, and nobody there for its answer."""
    link = RestLink(address)
    await link.open()
    link.writer.write(question.data)
    await asyncio.sleep(draw.uniform(0, 0.008))
    link.reset()


async def resets_http2(address: Address, question: Question, draw: random.Random) -> None:
    """HTTP/2's preface and settings and the head of a frame that never comes."""
    link = RestLink(Address(address.rest_port, address.grpc_port))
    await link.open()
    link.writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) + b"\x00\x10\x00\x01")
    await asyncio.sleep(draw.uniform(0, 0.004))
    link.reset()


RUDE = ((cancels, True), (has_no_time, True), (resets_in_the_body, False), (resets_before_the_answer, False))
RUDE += ((resets_http2, True),)


async def rude(
    way: Callable, address: Address, questions: Sequence[Question], seed: int, record: Record, stop: asyncio.Event
) -> None:
    """Hangs up in the same way again and again, once for each `A_RUDE_ONE` requests that end otherwise."""
    draw, due = random.Random(seed), 0
    while not stop.is_set():
        if record.answered + record.wrong + record.lost < due:
            await asyncio.sleep(0.01)
            continue
        due += A_RUDE_ONE
        with contextlib.suppress(OSError):
            await way(address, draw.choice(questions), draw)
            record.rude[way.__name__] += 1
