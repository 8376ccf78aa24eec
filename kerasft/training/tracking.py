"""What a run records while it trains: numbers of a step, an epoch and a phase as TensorBoard events.

Tags: `train/*` and `speed/*` every few updates; `eval/*`, `epoch/*`, `phase/*` and `learning_rate/<depth>` once an
epoch or a phase; `update_size/<depth>` and its histogram once an epoch. Steps are updates since the run began, from 1.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.training.events import EventFile
from kerasft.training.progress import Say, say

EVERY = 10
_SAMPLE = 65_536


class Tracker:
    """Writes a run's event file. A class because it holds the open file and the rows counted since the last point.

    A plot is never worth a training: when the disk refuses, the tracker says so once and records no more.
    """

    def __init__(self, folder: Path | None, first_step: int = 1, every: int = EVERY, report: Say = say):
        """Opens a new event file.

        Args:
            folder: the run's; None records nothing (a worker that is not the chief).
            first_step: the next update's number: 1, or one more than the checkpoint's that the run resumes from.
            every: updates between two points of the step's curves; an epoch's first and last are written too.
            report: is told, once, when recording fails.
        """
        self._every, self._report = every, report
        self._file: EventFile | None = None
        self._pending: tuple[int, Mapping[str, Any]] | None = None
        self._restart_clock()
        if folder is not None:
            with self._guarded():
                self._file = EventFile(Path(folder), first_step)

    def step(self, step: int, logs: Mapping[str, Any], rows: int, tokens: int) -> None:
        """Counts one update; every so often writes its `logs` and the rates since the last point.

        Args:
            step: the update's number.
            logs: numbers, tensors of one number, or functions that give either (`learning_rate`), by name. They are
                asked for only when they are written: to fetch a tensor is to wait for the device.
            rows: examples of the update, over all replicas.
            tokens: their tokens, padding not counted.
        """
        if self._file is None:
            return
        self._pending = (step, logs)
        self._rows += rows
        self._tokens += tokens
        if self._clock is None or step % self._every == 0:
            self._write_step()
        else:
            with self._guarded():
                self._file.flush_when_due()

    def phase(self, step: int, number: int, values: Mapping[str, Any]) -> None:
        """Writes that a phase begins.

        Args:
            step: the number of its first update.
            number: of the phase, from 1.
            values: what it says of itself; only numbers are written (`trainable_parameters`, `parameters`, …).
        """
        self._write(step, {"phase/number": number, **{f"phase/{name}": value for name, value in values.items()}})
        self._restart_clock()

    def epoch(self, step: int, values: Mapping[str, Any], rates: Mapping[str, float] | None = None) -> None:
        """Writes the figures of an epoch and whatever is not yet on the disk.

        Args:
            step: the epoch's last update.
            values: the line of `history.csv`; `eval_*` and `val_*` become `eval/*`, others `epoch/*`.
            rates: the learning rate at each depth (`depth_name`) in the epoch's last update.
        """
        if self._pending:
            self._write_step()
        named = {f"learning_rate/{depth}": rate for depth, rate in (rates or {}).items()}
        for name, value in values.items():
            split, _, rest = name.partition("_")
            named[f"eval/{rest}" if split in ("eval", "val") else f"epoch/{name}"] = value
        self._write(step, named)
        self._restart_clock()
        with self._guarded():
            if self._file is not None:
                self._file.flush()

    def updates(
        self, step: int, before: Sequence[np.ndarray], after: Sequence[np.ndarray], depths: Sequence[str]
    ) -> None:
        """Writes how far one update moved the weights: ‖Δw‖/‖w‖ of each depth, and the spread over its weights.

        The histogram is of log10 of the ratio of each weight: around -3 is usual, and -5 hardly learns.

        Args:
            step: the update's number.
            before: `snapshot` of the trainable weights before it.
            after: the same after it.
            depths: the name of each weight's depth.
        """
        if self._file is None:
            return
        moved = [float(np.linalg.norm(new - old)) for old, new in zip(before, after, strict=True)]
        sizes = [float(np.linalg.norm(old)) for old in before]
        for depth in dict.fromkeys(depths):
            of_depth = [number for number, name in enumerate(depths) if name == depth]
            size = math.hypot(*(sizes[number] for number in of_depth))
            if size:
                self._write(step, {f"update_size/{depth}": math.hypot(*(moved[number] for number in of_depth)) / size})
            # New biases are zero and have no relative update; an update of zero has no logarithm.
            logs = [math.log10(moved[number] / sizes[number]) for number in of_depth if moved[number] and sizes[number]]
            with self._guarded():
                if self._file is not None:
                    self._file.histogram(step, f"update_size_log10/{depth}", logs)

    def close(self) -> None:
        """Writes what is pending and closes the file; the tracker then records nothing."""
        if self._pending:
            self._write_step()
        with self._guarded():
            if self._file is not None:
                self._file.close()
        self._file = None

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _write_step(self) -> None:
        step, logs = self._pending
        # The numbers are fetched before the clock is read: only then has the device done what the rates count.
        values = _numbers({f"train/{name}": value for name, value in logs.items()})
        now = time.monotonic()
        if self._clock is not None:
            seconds = max(now - self._clock, 1e-9)
            values["speed/examples_per_second"] = self._rows / seconds
            values["speed/tokens_per_second"] = self._tokens / seconds
        self._write(step, values)
        self._pending, self._clock, self._rows, self._tokens = None, now, 0, 0

    def _restart_clock(self) -> None:
        """Leaves the next update out of the rates: its time holds an evaluation or the tracing of a graph too."""
        self._clock: float | None = None
        self._rows = self._tokens = 0

    def _write(self, step: int, values: Mapping[str, Any]) -> None:
        with self._guarded():
            if self._file is not None:
                self._file.scalars(step, _numbers(values))

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        import tensorflow as tf

        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            self._file = self._pending = None
            self._report(f"Warning: the run goes on, but its curves are recorded no longer ({_reason(error)}).")


def snapshot(weights: Sequence) -> list[np.ndarray]:
    """Copies of weights, small ones whole, of large ones at most 65,536 values spread evenly.

    So measuring an update costs some megabytes and milliseconds, not a second copy of the model; the ratio of two
    norms over such a sample is right to about one percent.

    Args:
        weights: Keras variables.

    Returns:
        float32[n] for each.
    """
    import tensorflow as tf

    copies = []
    for weight in weights:
        values = tf.convert_to_tensor(weight)
        stride = -(-math.prod(values.shape) // _SAMPLE)
        # A stride that shares no factor with the row's length visits every column.
        while values.shape.rank and math.gcd(stride, values.shape[-1]) != 1:
            stride += 1
        copies.append(tf.cast(tf.reshape(values, [-1])[::stride], tf.float32).numpy())
    return copies


def measures_updates(batch: int, batches: int) -> bool:
    """Whether the update sizes are taken at this update: once an epoch, in its middle.

    At a phase's first update and at its last the learning rate is next to nothing, and so would be the update.

    Args:
        batch: the update's number in its epoch, from 0.
        batches: updates of an epoch.
    """
    return batch == batches // 2


def depth_name(depth: int, blocks: int) -> str:
    """What people call a depth (`network.depths`): `head`, `block_06` down to `block_01`, `embeddings`."""
    if depth == 0:
        return "head"
    return "embeddings" if depth > blocks else f"block_{blocks + 1 - depth:02d}"


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are one number, or a function that gives one, as floats; anything else is left out."""
    asked = {name: value() if callable(value) else value for name, value in values.items()}
    return {
        name: float(value)
        for name, value in asked.items()
        if value is not None and not isinstance(value, str | bytes | Mapping | Sequence)
    }


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "message", None) or type(error).__name__
