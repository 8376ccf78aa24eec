"""Learning rates over the updates of one phase: linear, cosine, constant and one-cycle, each with warm-up."""

import math
from typing import Any

import numpy as np

from kerasft.errors import KerasftError, did_you_mean

SCHEDULES = ("linear", "cosine", "constant", "one-cycle")
ONE_CYCLE_START = 25.0
"""One-cycle begins at peak / 25."""
ONE_CYCLE_END = 1e4
"""One-cycle ends at peak / 10,000."""


def make_schedule(name: str, peak: float, steps: int, warmup_steps: int):
    """The learning rate of each update.

    Every schedule rises to `peak` at update `warmup_steps` (at the first update when that is 0), then:

    - `linear` falls on a straight line that would reach 0 one update after the last;
    - `cosine` falls on half a cosine wave to the same point (Loshchilov and Hutter 2017, one period);
    - `constant` stays at the peak;
    - `one-cycle` (Smith 2018) rises from peak / 25 and falls to peak / 10,000 at the last update, both on half a cosine
      wave. The momentum stays as it is: the optimizers here are not all built on one.

    The first three rise on a straight line. The first update learns already and the last one still does. Past `steps`
    the rate stays at the schedule's end: 0 for linear and cosine.

    Args:
        name: one of `SCHEDULES`.
        peak: the highest rate.
        steps: updates in all, at least 1.
        warmup_steps: updates of the rise, at most `steps`.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`; its step counts from 0.

    Raises:
        KerasftError: an unknown name, or numbers that do not fit.
    """
    import keras

    _check(name, peak, steps, warmup_steps)

    class Schedule(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            now = keras.ops.cast(step, "float32") + 1.0
            return peak * _share(name, now, steps, warmup_steps, keras.ops)

        def get_config(self):
            return {"name": name, "peak": peak, "steps": steps, "warmup_steps": warmup_steps}

    return Schedule()


def rates(name: str, peak: float, steps: int, warmup_steps: int) -> np.ndarray:
    """The same without TensorFlow, for plots, logs and tests.

    Returns:
        float64[steps].

    Raises:
        KerasftError: as `make_schedule`.
    """
    _check(name, peak, steps, warmup_steps)
    return peak * _share(name, np.arange(1.0, steps + 1), steps, warmup_steps, np)


def _share(name: str, now, steps: int, warmup_steps: int, ops: Any):
    """The share of the peak at update `now`, counted from 1; `ops` is numpy or keras.ops."""
    top = max(warmup_steps, 1)
    if name == "one-cycle":
        rise = _between(1 / ONE_CYCLE_START, _half_wave((now - 1) / max(top - 1, 1), ops))
        fall = _between(1 / ONE_CYCLE_END, _half_wave((steps - now) / max(steps - top, 1), ops))
        return ops.where(now < top, rise, ops.where(now > top, fall, ops.ones_like(now)))
    rise = ops.minimum(now / top, 1.0)
    left = (steps + 1 - now) / (steps + 1 - top)
    if name == "linear":
        return ops.minimum(rise, ops.clip(left, 0.0, 1.0))
    if name == "cosine":
        return ops.minimum(rise, _half_wave(left, ops))
    return rise


def _half_wave(share, ops: Any):
    """From 0 to 1 on half a cosine wave. As a squared sine it keeps its digits near 0, where 1 - cos loses them."""
    return ops.square(ops.sin(ops.clip(share, 0.0, 1.0) * (math.pi / 2)))


def _between(low: float, share):
    return low + (1 - low) * share


def _check(name: str, peak: float, steps: int, warmup_steps: int) -> None:
    if name not in SCHEDULES:
        raise KerasftError(f"Schedule '{name}' is unknown.{did_you_mean(name, SCHEDULES)}")
    if not (peak > 0 and math.isfinite(peak)):
        raise KerasftError(f"Expected a learning rate above 0, found {peak}.")
    if steps < 1 or not 0 <= warmup_steps <= steps:
        raise KerasftError(
            f"Expected at least one update and a warm-up within them, found {steps} updates, {warmup_steps} of warm-up."
        )
