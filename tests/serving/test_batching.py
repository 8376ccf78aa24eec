import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.errors import KerasftError
from kerasft.serving.arrays import to_proto
from kerasft.serving.batching import Batcher, BatchingParameters
from kerasft.serving.status import INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE, ServingError
from tests.serving.stand_in import StandIn, until

SIGNATURE = "serving_default"


@pytest.fixture
def batched():
    """Gives a function that makes a Batcher; at the end its threads are ended."""
    made = []

    def make(**parameters) -> Batcher:
        made.append(Batcher(BatchingParameters(**{"num_batch_threads": 1, **parameters})))
        return made[-1]

    yield make
    for batcher in made:
        batcher.close(5)


def run(batcher: Batcher, loaded: StandIn, values, **more):
    return batcher.run(loaded, SIGNATURE, {"x": np.asarray(values, np.float32)}, ["y"], **more)["y"].tolist()


class Held:
    """A Batcher whose only thread is busy with a first request, so that what comes after it queues."""

    def __init__(self, batcher: Batcher, loaded: StandIn):
        self.batcher, self.loaded = batcher, loaded
        self.pool = ThreadPoolExecutor(16)
        self.queued = 0

    def __enter__(self):
        self.loaded.gate.clear()
        self.first = self.pool.submit(run, self.batcher, self.loaded, [0.0])
        until(lambda: len(self.loaded.batches) == 1)
        return self

    def add(self, values, loaded: StandIn | None = None, **more):
        """Submits a request, and waits until it is queued or answered."""
        future = self.pool.submit(run, self.batcher, loaded or self.loaded, values, **more)
        self.queued += len(values)
        queues = self.batcher._queues._queues
        until(lambda: future.done() or sum(b.size for q in list(queues.values()) for b in list(q)) >= self.queued)
        if future.done():
            self.queued -= len(values)
        return future

    def __exit__(self, *_):
        self.loaded.gate.set()
        self.pool.shutdown()


def test_requests_that_wait_are_joined_and_each_gets_its_own_rows(batched):
    loaded = StandIn()
    with Held(batched(max_batch_size=8), loaded) as held:
        futures = [held.add(values) for values in ([2.0], [4.0, 6.0], [8.0])]
        loaded.gate.set()
        assert [future.result() for future in futures] == [[2.0], [3.0, 4.0], [5.0]]
    assert [batch.tolist() for batch in loaded.batches] == [[0.0], [2.0, 4.0, 6.0, 8.0]]


def test_what_does_not_fit_opens_the_next_batch(batched):
    loaded = StandIn()
    with Held(batched(max_batch_size=4), loaded) as held:
        futures = [held.add([value] * 3) for value in (2.0, 4.0, 6.0)]
        loaded.gate.set()
        assert [future.result() for future in futures] == [[2.0] * 3, [3.0] * 3, [4.0] * 3]
    assert [len(batch) for batch in loaded.batches] == [1, 3, 3, 3]


def test_a_batch_is_padded_to_an_allowed_size_with_the_last_requests_first_row(batched):
    loaded = StandIn()
    with Held(batched(max_batch_size=8, allowed_batch_sizes=(2, 4, 8)), loaded) as held:
        futures = [held.add(values) for values in ([2.0], [4.0], [6.0, 8.0, 9.0])]
        loaded.gate.set()
        assert [future.result() for future in futures] == [[2.0], [3.0], [4.0, 5.0, 5.5]]
    assert [batch.tolist() for batch in loaded.batches] == [[0.0] * 2, [2.0, 4.0, 6.0, 8.0, 9.0, 6.0, 6.0, 6.0]]


def test_only_what_can_be_one_tensor_of_one_version_is_joined(batched):
    loaded, other = StandIn(), StandIn(version=2)
    with Held(batched(max_batch_size=8), loaded) as held:
        futures = [held.add([2.0]), held.add([[2.0, 4.0]]), held.add([2.0], other), held.add([6.0])]
        loaded.gate.set()
        assert [future.result() for future in futures] == [[2.0], [[2.0, 3.0]], [3.0], [4.0]]
    assert sorted(batch.shape for batch in loaded.batches) == [(1,), (1, 2), (2,)]
    assert len(other.batches) == 1
    assert not held.batcher._queues._queues, "a queue that is empty must let go of its version"


def test_a_bad_request_fails_alone(batched):
    loaded = StandIn()
    with Held(batched(max_batch_size=8), loaded) as held:
        futures = [held.add(values) for values in ([2.0], [float("nan")], [4.0])]
        loaded.gate.set()
        assert [futures[0].result(), futures[2].result()] == [[2.0], [3.0]]
        with pytest.raises(ServingError, match="not a number"):
            futures[1].result()


def test_a_full_queue_refuses_and_the_queued_are_answered(batched):
    loaded = StandIn()
    with Held(batched(max_batch_size=2, max_enqueued_batches=2), loaded) as held:
        futures = [held.add([2.0, 4.0]) for _ in range(2)]
        with pytest.raises(ServingError) as caught:
            held.add([2.0]).result()
        loaded.gate.set()
        assert [future.result() for future in futures] == [[2.0, 3.0]] * 2
    assert caught.value.code == UNAVAILABLE
    assert caught.value.message == (
        "The batch scheduling queue to which this task was submitted is full; "
        "currently 2 batches enqueued and max_enqueued_batches is 2"
    )


def test_a_request_larger_than_a_batch_is_refused(batched):
    loaded = StandIn()
    with pytest.raises(ServingError) as caught:
        run(batched(max_batch_size=4), loaded, [1.0] * 5)
    words = "Task size 5 is larger than maximum input batch size 4"
    assert (caught.value.code, caught.value.message) == (INVALID_ARGUMENT, words)
    assert not loaded.batches


def test_with_splitting_a_large_request_fills_batches_and_is_put_together_again(batched):
    loaded = StandIn()
    splitting = {"enable_large_batch_splitting": True, "max_execution_batch_size": 4, "max_enqueued_batches": 3}
    with Held(batched(max_batch_size=100, **splitting), loaded) as held:
        first, large = held.add([0.0] * 3), held.add([float(value) for value in range(8)])
        with pytest.raises(ServingError) as caught:
            held.add([1.0] * 2).result()
        loaded.gate.set()
        assert first.result() == [1.0] * 3
        assert large.result() == [value / 2 + 1 for value in range(8)]
    assert [len(batch) for batch in loaded.batches] == [1, 4, 4, 3]
    assert caught.value.code == UNAVAILABLE
    assert caught.value.message == (
        "The batch scheduling queue to which this task was submitted is full; task size is 2 but scheduling capacity "
        "is only 1 (num_enqueued_batches=3, max_enqueued_batches=3, open_batch_size=3, max_execution_batch_size=4)"
    )


def test_a_request_that_waited_beyond_its_deadline_is_not_run(batched):
    loaded = StandIn()
    with Held(batched(max_batch_size=8), loaded) as held:
        late, patient = held.add([2.0], deadline=time.monotonic()), held.add([4.0], deadline=time.monotonic() + 60)
        loaded.gate.set()
        assert patient.result() == [3.0]
        with pytest.raises(ServingError) as caught:
            late.result()
    words = "Run() timeout exceeded while waiting in batching queue"
    assert (caught.value.code, caught.value.message) == (RESOURCE_EXHAUSTED, words)
    assert [batch.tolist() for batch in loaded.batches] == [[0.0], [4.0]]


def test_a_batch_waits_for_its_timeout_but_not_when_it_is_full(batched):
    loaded = StandIn()
    batcher = batched(max_batch_size=2, batch_timeout_micros=150_000)
    started = time.monotonic()
    assert run(batcher, loaded, [2.0]) == [2.0]
    assert time.monotonic() - started >= 0.15
    patient = batched(max_batch_size=2, batch_timeout_micros=60_000_000)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda value: run(patient, loaded, [value]), [2.0, 4.0])) == [[2.0], [3.0]]


def test_two_queues_that_are_due_do_not_wait_for_one_thread(batched):
    """With a free thread, a slow model's batch must not hold up another's."""
    slow, quick = StandIn(), StandIn(version=2)
    batcher = batched(num_batch_threads=2, batch_timeout_micros=50_000)
    slow.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(run, batcher, slow, [2.0])
        assert pool.submit(run, batcher, quick, [2.0]).result(timeout=30) == [3.0]
        slow.gate.set()
        assert waiting.result() == [2.0]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"x": np.array(1.0)}, "Batching Run() input tensors must have at least one dimension"),
        ({"x": np.ones(2), "z": np.ones(3)}, "Batching Run() input tensors must have equal 0th-dimension size"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_the_servers_words(batched, feeds, message):
    with pytest.raises(ServingError) as caught:
        batched().run(StandIn(), SIGNATURE, feeds, ["y"])
    assert (caught.value.code, caught.value.message) == (INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.ones(()), "Batched output tensor has 0 dimensions"),
        (np.ones(7), "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "),
    ],
)
def test_an_output_without_the_batch_cannot_be_shared_out(batched, output, message):
    loaded = StandIn()
    loaded.run = lambda *_: {"y": output}
    with pytest.raises(ServingError, match="Batched output tensor") as caught:
        run(batched(), loaded, [1.0])
    assert caught.value.message.startswith(message)


def test_messages_are_read_and_no_rows_are_run_as_they_are(batched):
    loaded = StandIn()
    batcher = batched(allowed_batch_sizes=(4,), max_batch_size=4)
    proto = to_proto(np.array([2.0, 4.0], np.float32))
    assert batcher.run(loaded, SIGNATURE, {"x": proto}, ["y"])["y"].tolist() == [2.0, 3.0]
    assert run(batcher, loaded, []) == []
    assert [batch.shape for batch in loaded.batches] == [(4,), (0,)]


@pytest.mark.parametrize("splitting", [False, True])
def test_many_threads_all_get_their_own_answers(batched, splitting):
    loaded = StandIn()
    parameters = {"num_batch_threads": 4, "max_batch_size": 16, "max_enqueued_batches": 1000}
    if splitting:
        parameters |= {"enable_large_batch_splitting": True, "max_execution_batch_size": 8}
    batcher = batched(allowed_batch_sizes=(2, 8) if splitting else (4, 16), **parameters)
    random = np.random.default_rng(0)
    requests = [random.integers(0, 1000, random.integers(1, 12)).astype(np.float32) for _ in range(400)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda values: run(batcher, loaded, values), requests))
    for values, answer in zip(requests, answers, strict=True):
        assert answer == (values / 2 + 1).tolist()
    assert {len(batch) for batch in loaded.batches} <= ({2, 8} if splitting else {4, 16})


def test_closing_answers_what_is_queued_and_takes_no_more(batched):
    loaded = StandIn()
    batcher = batched(batch_timeout_micros=60_000_000)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, batcher, loaded, [2.0])
        until(lambda: batcher._queues._queues)
        threads = threading.active_count()
        batcher.close()
        assert waiting.result() == [2.0]
        assert threading.active_count() < threads
    with pytest.raises(ServingError) as caught:
        run(batcher, loaded, [2.0])
    assert caught.value.code == UNAVAILABLE


class TestParameters:
    def test_defaults_are_those_of_the_server(self):
        found = BatchingParameters()
        assert (found.max_batch_size, found.batch_timeout_micros, found.max_enqueued_batches) == (1000, 0, 10)
        assert found.num_batch_threads >= 1
        assert found.max_execution_batch_size == 1000

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ({"max_batch_size": 0}, "max_batch_size must be positive; was 0"),
            ({"max_enqueued_batches": -1}, "max_enqueued_batches must be positive; was -1"),
            ({"batch_timeout_micros": -1}, "batch_timeout_micros must be non-negative; was -1"),
            ({"allowed_batch_sizes": (8, 4), "max_batch_size": 4}, "positive and increasing"),
            (
                {"allowed_batch_sizes": (4, 8), "max_batch_size": 16},
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 8; expected 16",
            ),
            (
                {"enable_large_batch_splitting": True, "max_batch_size": 4, "max_execution_batch_size": 8},
                "max_execution_batch_size may be at most max_batch_size",
            ),
        ],
    )
    def test_what_the_server_would_not_start_with(self, wrong, words):
        with pytest.raises(KerasftError, match=words):
            BatchingParameters(**wrong)

    @settings(max_examples=25)
    @given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5, unique=True).map(sorted), rows=st.integers(1, 50))
    def test_the_size_of_a_batch_is_the_next_allowed_one(self, sizes, rows):
        rows = min(rows, sizes[-1])
        loaded = StandIn()
        batcher = Batcher(BatchingParameters(sizes[-1], num_batch_threads=1, allowed_batch_sizes=tuple(sizes)))
        assert run(batcher, loaded, np.arange(rows)) == (np.arange(rows) / 2 + 1).tolist()
        batcher.close()
        assert len(loaded.batches[0]) == min(size for size in sizes if size >= rows)
