"""Sends the requests: when they are due, or as many at a time as there are clients.

A closed loop hides what a slow server does to its users: while it stalls nobody asks, and one slow answer stands in the
record where hundreds of users would have waited (Gil Tene's "coordinated omission"). At a fixed rate each request has a
time at which it is due, it is sent then whatever has become of the others, and its latency counts from that time.
"""

import asyncio
import contextlib
import gc
import math
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from kerasft.serving.load.answers import LATE, Answer
from kerasft.serving.load.plan import Plan
from kerasft.serving.load.record import Record

# (place of the request among the payloads, from 0 without end; seconds that it may take) -> how it ended.
Ask = Callable[[int, float], Awaitable[Answer]]
# Descriptors that `select` can watch, less those that the process has open already.
MOST_SELECTED = 900
_AT_ONCE = 32


async def drive(ask: Ask, plan: Plan, record: Record) -> float:
    """Puts the load of a plan on a server.

    When it is cancelled, the requests under way are given up and counted as unfinished, and it returns.

    Args:
        ask: sends one request.
        plan: how much.
        record: is given every request that counts.

    Returns:
        Seconds from when counting began to the last answer, or to when it was cancelled.
    """
    loop = asyncio.get_running_loop()
    counting_from = loop.time() + plan.warm_up
    with _calm_collector(), contextlib.suppress(asyncio.CancelledError):
        if plan.rate is not None:
            await _at_rate(ask, plan, record, counting_from)
        else:
            await _with_clients(ask, plan, record, counting_from)
    return max(loop.time() - counting_from, 0.0)


def run_precisely(work: Callable[[], Coroutine], descriptors: int) -> Any:
    """Runs a coroutine in a loop that wakes up on time.

    asyncio's usual loop sleeps by `epoll`, whose unit is a millisecond, rounded up: requests would be sent that late,
    and their latency would show it. `select` knows microseconds; it is slow with many descriptors, and has no more than
    1,024.

    Args:
        work: makes the coroutine.
        descriptors: how many connections it may open.
    """
    precise = descriptors <= MOST_SELECTED
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector()) if precise else asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(work())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _at_rate(ask: Ask, plan: Plan, record: Record, counting_from: float) -> None:
    loop = asyncio.get_running_loop()
    begin = counting_from - plan.warm_up
    # The product can lie a hair above a whole number: 0.1 s of 30 a second is 3 requests, not 4.
    before = math.ceil(plan.warm_up * plan.rate - 1e-9)
    counted = math.ceil((plan.warm_up + plan.seconds) * plan.rate - 1e-9) - before
    if plan.requests is not None:
        counted = min(counted, plan.requests)

    async def one(number: int, due: float) -> None:
        sent = loop.time()
        left = due + plan.deadline - sent
        try:
            answer = await ask(number, left) if left > 0 else LATE
        except asyncio.CancelledError:
            record.unfinished += number >= before
            raise
        if number >= before:
            record.add(due - counting_from, loop.time() - due, sent - due, answer)

    async with _task_set() as start:
        for number in range(before + counted):
            due = begin + number / plan.rate
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            elif number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # behind its time, but answers must be read too
            start(one(number, due))


async def _with_clients(ask: Ask, plan: Plan, record: Record, counting_from: float) -> None:
    loop = asyncio.get_running_loop()
    until = counting_from + plan.seconds
    left = math.inf if plan.requests is None else plan.requests
    number = 0

    async def client() -> None:
        nonlocal left, number
        while (began := loop.time()) < until and left > 0:
            counts = began >= counting_from
            left -= counts
            number += 1
            try:
                answer = await ask(number - 1, plan.deadline)
            except asyncio.CancelledError:
                record.unfinished += counts
                raise
            if counts:
                record.add(began - counting_from, loop.time() - began, 0.0, answer)

    async with _task_set() as start:
        for _ in range(plan.concurrency):
            start(client())


@contextlib.asynccontextmanager
async def _task_set():
    """Gives a function that starts a task. At the end all are waited for; after an error, cancelled."""
    tasks: set[asyncio.Task] = set()
    failed: list[BaseException] = []

    def start(work: Coroutine) -> None:
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(finished)

    def finished(task: asyncio.Task) -> None:
        tasks.discard(task)
        if not task.cancelled() and task.exception():
            failed.append(task.exception())

    try:
        yield start
        while tasks:
            await asyncio.wait(tasks)
        if failed:
            raise failed[0]  # a mistake of ours: requests do not raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _calm_collector() -> Iterator[None]:
    """Leaves what exists already out of Python's garbage collection, whose long pauses would count as latency."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
