"""Joins requests into batches, run as one: what they are made of, and who may be joined.

As TensorFlow Serving's batching_session.cc on TensorFlow's shared_batch_scheduler.h, with its parameters and messages.
Two things are kinder here. Requests whose tensors differ in type or in the shape of a row are not put into one batch,
where they would spoil it. And when a joined batch fails, its requests are run again one by one, so that a bad request
fails alone. (So `pad_variable_length_inputs` is read and has nothing to do.)
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasft.errors import KerasftError
from kerasft.serving.batch_queue import Batch, BatchQueues, Task
from kerasft.serving.status import FAILED_PRECONDITION, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, ServingError


@dataclass(frozen=True)
class BatchingParameters:
    """The fields of `--batching_parameters_file`, with TensorFlow Serving's defaults.

    Attributes:
        max_batch_size: rows of a batch; larger requests are refused.
        batch_timeout_micros: how long a batch that is not full waits for more.
        max_enqueued_batches: of one version and signature; beyond them requests are refused as UNAVAILABLE.
        num_batch_threads: how many batches run at once; by default as many as the machine has cores.
        allowed_batch_sizes: a batch is padded to the next of them, by repeating a row.
        pad_variable_length_inputs: read for the file's sake; see above.
        enable_large_batch_splitting: cut what is larger than `max_execution_batch_size` into several batches.
        max_execution_batch_size: rows of a batch with splitting; `max_batch_size` by default.
        thread_pool_name: the threads' name.

    Raises:
        KerasftError: values that TensorFlow Serving would not start with.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 0
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0
    thread_pool_name: str = "batch_threads"

    def __post_init__(self):
        if not self.num_batch_threads:
            object.__setattr__(self, "num_batch_threads", os.cpu_count() or 1)
        if not self.enable_large_batch_splitting or not self.max_execution_batch_size:
            object.__setattr__(self, "max_execution_batch_size", self.max_batch_size)
        for name in ("max_batch_size", "max_execution_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise KerasftError(f"{name} must be positive; was {getattr(self, name)}.")
        if self.batch_timeout_micros < 0:
            raise KerasftError(f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}.")
        if self.max_execution_batch_size > self.max_batch_size:
            words = f"was {self.max_execution_batch_size}, larger than {self.max_batch_size}"
            raise KerasftError(f"max_execution_batch_size may be at most max_batch_size; {words}.")
        sizes = self.allowed_batch_sizes
        if any(size < 1 for size in sizes) or list(sizes) != sorted(set(sizes)):
            raise KerasftError(f"allowed_batch_sizes entries must be positive and increasing; were {list(sizes)}.")
        if sizes and sizes[-1] != self.max_execution_batch_size:
            of = "max_execution_batch_size" if self.enable_large_batch_splitting else "max_batch_size"
            words = f"last entry was {sizes[-1]}; expected {self.max_execution_batch_size}"
            raise KerasftError(f"Last entry in allowed_batch_sizes must match {of}; {words}.")


class Batcher:
    """Runs requests in batches, on threads of its own. `run` may be called from any number of threads."""

    def __init__(self, parameters: BatchingParameters):
        self._parameters = parameters
        self._queues = BatchQueues()
        self._starting = threading.Lock()
        self._threads: list[threading.Thread] = []

    def run(
        self,
        loaded,
        signature_name: str,
        feeds: Mapping,
        outputs: Sequence[str],
        deadline: float | None = None,
        parameters: BatchingParameters | None = None,
    ) -> dict[str, np.ndarray]:
        """Runs a signature, together with other requests of the same version, signature, outputs and row shapes.

        Args:
            loaded: a leased version.
            signature_name: a key of its signatures.
            feeds: alias -> TensorProto or array; each with the batch as its first dimension, all equally long.
            outputs: the aliases wanted.
            deadline: of `time.monotonic()`.
            parameters: of this version, the same for all its requests; those of the batcher when None. Threads are the
                batcher's in any case.

        Returns:
            alias -> array, the rows of this request.

        Raises:
            ServingError: the model's, or in the words of batching_session.cc and shared_batch_scheduler.h.
        """
        arrays = {alias: as_array(alias, value) for alias, value in feeds.items()}
        rows = batch_size(arrays)
        if not rows or len(arrays) < len(loaded.signatures[signature_name].inputs):
            # Nothing to join; or a default would come in, whose length is its own and not that of a batch.
            return loaded.run(signature_name, arrays, outputs)
        shapes = tuple((alias, array.dtype.name, array.shape[1:]) for alias, array in sorted(arrays.items()))
        task = Task(loaded, signature_name, arrays, tuple(outputs), rows, deadline, parameters or self._parameters)
        self._start()
        self._queues.put((loaded, signature_name, frozenset(outputs), shapes), task)
        return task.result()

    def _start(self) -> None:
        if self._threads:
            return
        with self._starting:
            if not self._threads:
                name = self._parameters.thread_pool_name
                self._threads = [
                    threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
                    for number in range(self._parameters.num_batch_threads)
                ]
                for thread in self._threads:
                    thread.start()

    def _work(self) -> None:
        while (batch := self._queues.take()) is not None:
            self._process(batch)

    def _process(self, batch: Batch) -> None:
        now = time.monotonic()
        for task, _, _ in batch.parts:
            # TensorFlow Serving gives up only when the whole batch is late; who waited is told either way.
            if task.deadline is not None and now >= task.deadline:
                late = ServingError(RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue")
                task.fail(late)
        parts = [part for part in batch.parts if not part[0].failed]
        if not parts:
            return
        try:
            self._run(parts)
        except Exception as error:
            if len(parts) == 1:
                parts[0][0].fail(error)
                return
            for part in parts:
                try:
                    self._run([part])
                except Exception as alone:
                    part[0].fail(alone)

    def _run(self, parts: list[tuple[Task, int, int]]) -> None:
        first = parts[0][0]
        rows = sum(stop - start for _, start, stop in parts)
        padded = next((size for size in first.parameters.allowed_batch_sizes if size >= rows), rows)
        feeds = {}
        for alias in first.feeds:
            pieces = [task.feeds[alias][start:stop] for task, start, stop in parts]
            # The first row of the last request, as there: a row that is known to be legal.
            pieces += [pieces[-1][:1]] * (padded - rows)
            feeds[alias] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        results = first.loaded.run(first.signature_name, feeds, first.outputs)
        for array in results.values():
            if array.ndim == 0:
                raise ServingError(FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
            if array.shape[0] != padded:
                words = "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes"
                raise ServingError(FAILED_PRECONDITION, f"{words} of the input tensors")
        at = 0
        for task, start, stop in parts:
            size = stop - start
            task.finish(start, {alias: array[at : at + size] for alias, array in results.items()})
            at += size

    def close(self, timeout: float | None = None) -> None:
        """Runs what is queued, and ends the threads; waits `timeout` seconds for each at most."""
        self._queues.close()
        for thread in self._threads:
            thread.join(timeout)


def batch_size(arrays: Mapping[str, np.ndarray]) -> int:
    """Gives the rows of a request.

    Raises:
        ServingError: INVALID_ARGUMENT, in the words of batching_util.h.
    """
    if not arrays:
        raise ServingError(INVALID_ARGUMENT, "Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in arrays.values()):
        raise ServingError(INVALID_ARGUMENT, "Batching Run() input tensors must have at least one dimension")
    sizes = {array.shape[0] for array in arrays.values()}
    if len(sizes) > 1:
        raise ServingError(INVALID_ARGUMENT, "Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def as_array(alias: str, value) -> np.ndarray:
    """Gives a feed as an array."""
    if isinstance(value, np.ndarray):
        return value
    from kerasft.serving.arrays import from_proto

    return from_proto(value, alias)
