"""The queues of a batcher: one for each kind of request that may be joined, each a row of batches.

As TensorFlow's kernels/batching_util/shared_batch_scheduler.h: the last batch of a queue is open until the next request
does not fit; threads take a closed batch, or an open one that is full or has waited long enough, the oldest first.
"""

import threading
import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from kerasft.serving.status import INVALID_ARGUMENT, UNAVAILABLE, ServingError


class Task:
    """One request that waits for its rows."""

    def __init__(
        self, loaded, signature_name: str, feeds: dict, outputs: tuple[str, ...], rows: int, deadline, parameters
    ):
        self.loaded = loaded
        self.signature_name = signature_name
        self.feeds = feeds
        self.outputs = outputs
        self.rows = rows
        self.deadline = deadline
        self.parameters = parameters  # a `BatchingParameters`, the same for all of a queue
        self._found: dict[int, dict[str, np.ndarray]] = {}
        self._missing = rows
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._done = threading.Event()

    @property
    def failed(self) -> bool:
        return self._error is not None

    def finish(self, start: int, results: dict[str, np.ndarray]) -> None:
        """Rows from `start` on are there."""
        with self._lock:
            self._found[start] = results
            self._missing -= len(next(iter(results.values()))) if results else self.rows
            done = self._missing <= 0
        if done:
            self._done.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._done.set()

    def result(self) -> dict[str, np.ndarray]:
        """Waits for all rows."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        if len(self._found) == 1:
            return next(iter(self._found.values()))
        pieces = [self._found[start] for start in sorted(self._found)]
        return {alias: np.concatenate([piece[alias] for piece in pieces]) for alias in self.outputs}


@dataclass
class Batch:
    """Requests, or parts of them: (task, first row, end), in order."""

    since: float
    parts: list[tuple[Task, int, int]] = field(default_factory=list)
    size: int = 0

    def add(self, task: Task, start: int, stop: int) -> None:
        self.parts.append((task, start, stop))
        self.size += stop - start


class BatchQueues:
    """All queues. A queue that has become empty is dropped, and with it the last hold on its version.

    Each is run by the `BatchingParameters` of its tasks.
    """

    def __init__(self):
        self._queues: dict[Hashable, deque[Batch]] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, key: Hashable, task: Task) -> None:
        """Queues a request.

        Args:
            key: requests of equal keys may be joined.
            task: the request.

        Raises:
            ServingError: INVALID_ARGUMENT for a request that is too large, UNAVAILABLE when the queue is full.
        """
        parameters = task.parameters
        if task.rows > parameters.max_batch_size:
            words = f"Task size {task.rows} is larger than maximum input batch size {parameters.max_batch_size}"
            raise ServingError(INVALID_ARGUMENT, words)
        with self._changed:
            if self._closed:
                raise ServingError(UNAVAILABLE, "The server is shutting down")
            batches = self._queues.get(key) or deque([Batch(time.monotonic())])
            _check_capacity(batches, task.rows, parameters)
            start = 0
            while start < task.rows:
                room = parameters.max_execution_batch_size - batches[-1].size
                if room < (1 if parameters.enable_large_batch_splitting else task.rows):
                    batches.append(Batch(time.monotonic()))
                    room = parameters.max_execution_batch_size
                stop = min(task.rows, start + room)
                batches[-1].add(task, start, stop)
                start = stop
            self._queues[key] = batches
            self._changed.notify(len(batches))

    def take(self) -> Batch | None:
        """Waits for a batch that is to be run now; None when the queues are closed and empty."""
        with self._changed:
            while True:
                key, batches = min(self._queues.items(), key=self._due, default=(None, None))
                if batches is None:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                left = self._due((key, batches)) - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                batch = batches.popleft()
                if not batches:
                    del self._queues[key]
                if self._queues:
                    self._changed.notify()  # the next batch may be due while this thread is busy with this one
                return batch

    def _due(self, queue: tuple[Hashable, deque[Batch]]) -> float:
        first = queue[1][0]
        parameters = first.parts[0][0].parameters
        ready = len(queue[1]) > 1 or first.size >= parameters.max_execution_batch_size or self._closed
        # What is ready goes before what still waits, and the oldest of it first.
        return first.since - (1e9 if ready else 0) + (0 if ready else parameters.batch_timeout_micros / 1e6)

    def close(self) -> None:
        """Takes no more; what is queued is still given out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _check_capacity(batches: deque[Batch], rows: int, parameters) -> None:
    """Raises `ServingError` when a queue has no room for so many rows."""
    words = "The batch scheduling queue to which this task was submitted is full"
    most = parameters.max_enqueued_batches
    if parameters.enable_large_batch_splitting:
        largest = parameters.max_execution_batch_size
        capacity = (most - len(batches)) * largest + largest - batches[-1].size
        if rows > capacity:
            now = f"num_enqueued_batches={len(batches)}, max_enqueued_batches={most}"
            size = f"open_batch_size={batches[-1].size}, max_execution_batch_size={largest}"
            words += f"; task size is {rows} but scheduling capacity is only {capacity} ({now}, {size})"
            raise ServingError(UNAVAILABLE, words)
    elif batches[-1].size + rows > parameters.max_batch_size and len(batches) >= most:
        words += f"; currently {len(batches)} batches enqueued and max_enqueued_batches is {most}"
        raise ServingError(UNAVAILABLE, words)
