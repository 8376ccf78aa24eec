"""Requests go out when they are due, whatever the server does; what counts and what does not."""

import asyncio
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.errors import KerasftError
from kerasft.serving.load.answers import GOOD, LATE, Answer
from kerasft.serving.load.drive import drive
from kerasft.serving.load.figures import figures
from kerasft.serving.load.plan import Plan
from kerasft.serving.load.record import Record
from tests.serving.virtual_time import run_in_no_time


def driven(plan: Plan, ask, cancel_after: float | None = None) -> tuple[Record, float]:
    """The record of a plan, and the seconds it took, in virtual time."""
    record = Record()

    async def work():
        task = asyncio.ensure_future(drive(ask, plan, record))
        if cancel_after is not None:
            asyncio.get_running_loop().call_later(cancel_after, task.cancel)
        return await task

    return record, run_in_no_time(work)


def one_at_a_time(service):
    """A server that takes requests in order, one at a time, `service(number)` seconds each."""
    free = 0.0

    async def ask(number: int, timeout: float) -> Answer:
        nonlocal free
        now = asyncio.get_running_loop().time()
        free = max(now, free) + service(number)
        await asyncio.sleep(free - now)
        return GOOD

    return ask


def waits_of_a_queue(due, service) -> list[float]:
    """Latencies of a queue with one server, by Lindley's recursion."""
    free, latencies = 0.0, []
    for moment, seconds in zip(due, service, strict=True):
        free = max(free, moment) + seconds
        latencies.append(free - moment)
    return latencies


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(5, 500),
    services=st.lists(st.floats(0.0001, 0.05), min_size=1, max_size=40),
    stalled=st.integers(0, 200),
    stall=st.floats(0, 3),
)
def test_latencies_at_a_rate_are_those_of_a_queue(rate, services, stalled, stall):
    """No coordinated omission: each request's latency is what one who comes when it is due would wait."""
    count = 200

    def service(number):
        return services[number % len(services)] + (stall if number == stalled else 0.0)

    plan = Plan(rate=rate, seconds=1e6, requests=count, warm_up=0, deadline=1e6)
    record, _ = driven(plan, one_at_a_time(service))
    due, latency, late, _ = record.arrays()
    assert due == pytest.approx(np.arange(count) / rate, abs=1e-6)
    expected = waits_of_a_queue([number / rate for number in range(count)], [service(n) for n in range(count)])
    assert latency == pytest.approx(expected, abs=1e-5)
    assert late.max() < 1e-6


def test_a_stall_shows_at_a_rate_and_hides_in_a_closed_loop():
    def service(number):
        return 1.0 if number == 300 else 0.002

    at_rate = Plan(rate=100, seconds=10, warm_up=0)
    found = figures(*with_plan(at_rate, service))
    # 125 requests wait: 100 were due while the server stood still, the others before it had caught up.
    assert found.requests == 1000
    assert found.latency["p90"] == pytest.approx(200)
    assert found.latency["p99"] == pytest.approx(920)
    closed = Plan(concurrency=1, seconds=10, warm_up=0)
    hidden = figures(*with_plan(closed, service))
    assert hidden.latency["p99"] == pytest.approx(2)
    assert hidden.latency["max"] == pytest.approx(1000)


def with_plan(plan: Plan, service) -> tuple[Record, Plan, float]:
    record, spent = driven(plan, one_at_a_time(service))
    return record, plan, spent


def test_warm_up_does_not_count():
    plan = Plan(rate=10, seconds=2, warm_up=1)
    record, spent = driven(plan, one_at_a_time(lambda number: 5.0 if number == 0 else 0.001))
    assert len(record) == 20
    assert min(record.due) == pytest.approx(0)
    # The first request, 5 s long, is not among them, but those behind it have waited for it.
    assert max(record.latency) < 4.1
    assert spent > 1.9


def test_whole_numbers_of_requests():
    # 0.1 * 30 is a hair above 3 in binary.
    record, _ = driven(Plan(rate=30, seconds=0.1, warm_up=0.1), one_at_a_time(lambda number: 0.001))
    assert len(record) == 3
    record, _ = driven(Plan(rate=0.5, seconds=1, warm_up=0), one_at_a_time(lambda number: 0.001))
    assert len(record) == 1


def test_a_closed_loop_has_so_many_under_way_and_no_more():
    under_way, most = 0, 0

    async def ask(number, timeout):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.1)
        under_way -= 1
        return GOOD

    plan = Plan(concurrency=7, seconds=1.1, warm_up=0.45)
    record, spent = driven(plan, ask)
    assert most == 7
    assert len(record) == 7 * 11
    found = figures(record, plan, spent)
    assert found.throughput == pytest.approx(77 / 1.15)
    assert found.sent_late == {}


def test_at_most_so_many_requests():
    for plan in (Plan(rate=50, requests=12), Plan(concurrency=5, requests=12)):
        asked = []

        async def ask(number, timeout, asked=asked):
            asked.append(number)
            await asyncio.sleep(0.2)
            return GOOD

        record, _ = driven(plan, ask)
        assert len(record) == 12
        assert asked == list(range(len(asked)))  # each payload in its turn, the warm-up's too


def test_what_waits_for_its_deadline_is_a_timeout_and_the_deadline_runs_from_when_it_was_due():
    given_to = []

    async def ask(number, timeout):
        given_to.append(timeout)
        await asyncio.sleep(min(timeout, 9.0))
        return LATE if timeout < 9 else GOOD

    plan = Plan(rate=4, seconds=1, warm_up=0, deadline=2)
    record, spent = driven(plan, ask)
    assert given_to == pytest.approx([2.0] * 4)
    assert list(record.latency) == pytest.approx([2.0] * 4)
    found = figures(record, plan, spent)
    assert (found.requests, found.answered, found.timeouts) == (4, 0, 4)
    assert found.errors == {"DEADLINE_EXCEEDED": 4}
    assert found.throughput == 0
    assert found.latency["p50"] == pytest.approx(2000)


def test_whoever_makes_the_load_is_late_and_says_so():
    async def ask(number, timeout):
        # The loop itself is busy, so nobody can send: the clock goes on.
        asyncio.get_running_loop()._jumping.now += 0.05
        return GOOD if timeout > 0 else LATE

    plan = Plan(rate=100, seconds=1, warm_up=0, deadline=1.0)
    record, spent = driven(plan, ask)
    found = figures(record, plan, spent)
    assert found.load_was_late
    assert found.sent_late["max"] > 900
    # What could not even be sent in time was not sent, and is a timeout.
    assert found.timeouts > 50


def test_stopped_early():
    async def ask(number, timeout):
        await asyncio.sleep(0.5)
        return GOOD

    for plan, finished, under_way in ((Plan(rate=10), 15, 5), (Plan(concurrency=3), 9, 3)):
        record, spent = driven(plan, ask, cancel_after=1 + 1.95 if plan.rate else 1 + 1.75)
        assert len(record) == finished
        assert record.unfinished == under_way
        found = figures(record, plan, spent)
        assert found.unfinished == under_way
        assert found.seconds < 2.3


def test_a_mistake_of_ours_is_not_lost():
    async def ask(number, timeout):
        if number == 3:
            raise ZeroDivisionError
        return GOOD

    for plan in (Plan(rate=100, seconds=0.1, warm_up=0), Plan(concurrency=1, requests=9, warm_up=0)):
        with pytest.raises(ZeroDivisionError):
            driven(plan, ask)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({}, "Expected --rate"),
        ({"rate": 1, "concurrency": 1}, "Leave out one"),
        ({"rate": 0}, "--rate must be a number above 0, not 0"),
        ({"rate": float("nan")}, "--rate must be"),
        ({"concurrency": -3}, "--concurrency must be a number above 0, not -3"),
        ({"rate": 1, "seconds": float("inf")}, "--seconds"),
        ({"rate": 1, "warm_up": -1}, "--warm-up must be a number from 0 on"),
    ],
)
def test_plans_that_make_no_sense(numbers, words):
    with pytest.raises(KerasftError, match=words):
        Plan(**numbers)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=300), st.floats(0, 1))
def test_percentiles_are_latencies_that_were_measured(latencies, share_of_refused):
    record = Record()
    refused = int(len(latencies) * share_of_refused)
    for number, latency in enumerate(latencies):
        record.add(number, latency, 0.0, GOOD)
    for _ in range(refused):
        record.add(0.0, 1e-9, 0.0, Answer("UNAVAILABLE", "full"))
    found = figures(record, Plan(concurrency=1), 10.0)
    ordered = sorted(latencies)
    for percent in (50, 90, 95, 99, 99.9):
        place = next(n for n in itertools.count(1) if n >= percent / 100 * len(ordered) - 1e-9)
        assert found.latency[f"p{percent:g}"] == pytest.approx(ordered[place - 1] * 1000, abs=1e-4)
    assert found.latency["max"] == pytest.approx(ordered[-1] * 1000, abs=1e-4)
    assert found.errors == ({"UNAVAILABLE": refused} if refused else {})
    assert (found.requests, found.answered) == (len(latencies) + refused, len(latencies))


def test_nothing_was_answered():
    found = figures(Record(), Plan(concurrency=1), 0.0)
    assert (found.requests, found.latency, found.throughput) == (0, {}, 0.0)
    assert not found.load_was_late
