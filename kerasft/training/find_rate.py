"""The learning-rate range test (Smith 2017): a few updates at ever higher rates tell which rate learns fastest."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasft.atomic import new_file
from kerasft.errors import KerasftError

SMOOTHING = 0.9
DIVERGED = 4.0
"""A smoothed loss of so many times the best one ends the test."""
_SETTLED = 10
"""Updates before a running average is trusted."""
_SKIPPED = 0.1
"""Share of the fall that must be behind before a slope counts: what comes earlier may be noise."""


@dataclass(frozen=True)
class Found:
    """What a range test saw.

    Attributes:
        rates: float64[n], the learning rate of each update.
        losses: float64[n], the loss of that update's batch, before it.
        smoothed: float64[n], the losses, capped at the highest of the first ten and averaged with their neighbours on
            both sides; NaN where the loss is not finite.
        suggestion: the rate at which the smoothed loss falls most steeply, or None when it falls by no more
            than its noise.
        diverged_at: the rate at which the test stopped because the loss had blown up, or None.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    diverged_at: float | None


def find_rate(step: Callable[[float], float], steps: int = 100, lowest: float = 1e-7, highest: float = 1.0) -> Found:
    """Trains at rates that grow exponentially from `lowest` to `highest` and looks where the loss falls fastest.

    The test stops when the running average of the loss is over 4 times its best, or the loss is not finite. The
    suggestion is the rate of steepest descent of the smoothed loss against the logarithm of the rate, up to its
    minimum. Slopes count only once a tenth of the whole fall is behind, so that noise on the flat start is no
    suggestion. The smoothing looks to both sides: a running average lags, and its steepest descent would be found at
    too high a rate.

    Args:
        step: does one update at the given rate and returns the loss of its batch. The caller saves the weights before
            the test and puts them back after it.
        steps: updates from `lowest` to `highest`.
        lowest: the first rate.
        highest: the last rate.

    Returns:
        Rates, losses and the suggestion.

    Raises:
        KerasftError: numbers that do not fit, or a loss that is not finite from the first update on.
    """
    if steps < _SETTLED or not 0 < lowest < highest < math.inf:
        raise KerasftError(
            f"The learning-rate test expects at least {_SETTLED} steps and 0 < lowest rate < highest rate, found "
            f"{steps} steps from {lowest:g} to {highest:g}."
        )
    rates, losses, diverged_at = [], [], None
    total = weight = 0.0
    best = math.inf
    for rate in np.geomspace(lowest, highest, steps).tolist():
        loss = float(step(rate))
        rates.append(rate)
        losses.append(loss)
        # A running average whose weights sum to 1 from the first loss on.
        total, weight = SMOOTHING * total + loss, SMOOTHING * weight + 1
        # One lucky batch at the start is no best.
        if len(losses) >= _SETTLED:
            best = min(best, total / weight)
        if not math.isfinite(loss) or total / weight > DIVERGED * best:
            diverged_at = rate
            break
    if not math.isfinite(losses[0]):
        raise KerasftError(
            f"The loss is {losses[0]} before any update: no learning rate mends that. Look at the data and the weights."
        )
    rates, losses = np.array(rates), np.array(losses)
    smoothed = _smooth(losses)
    return Found(rates, losses, smoothed, _steepest(rates, losses, smoothed), diverged_at)


def _smooth(losses: np.ndarray) -> np.ndarray:
    """Each loss averaged with its neighbours, whose weights fall by `SMOOTHING` a step on both sides.

    Losses are capped at the highest of the first ones: how far they blow up later says nothing, and averaged with its
    neighbours a blow-up would bury the narrow fall before it (measured: no suggestion for four of five optimizers).
    """
    finite = np.isfinite(losses)
    known = np.minimum(losses[finite], losses[finite][:_SETTLED].max())
    places = np.arange(len(known))
    kernel = SMOOTHING ** np.abs(places[:, None] - places)
    smoothed = np.full(len(losses), np.nan)
    smoothed[finite] = kernel @ known / kernel.sum(axis=1)
    return smoothed


def _steepest(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray) -> float | None:
    finite = np.isfinite(smoothed)
    rates, losses, smoothed = rates[finite], losses[finite], smoothed[finite]
    end = int(np.argmin(smoothed)) + 1
    fall = smoothed[0] - smoothed[end - 1]
    noise = np.std(np.minimum(losses, losses[:_SETTLED].max())[:end] - smoothed[:end])
    if end < 3 or fall <= max(noise, 1e-3 * abs(smoothed[0])):
        return None
    first = int(np.flatnonzero(smoothed[:end] > smoothed[0] - _SKIPPED * fall)[-1])
    slopes = np.gradient(smoothed[:end], np.log(rates[:end]))
    return float(rates[first + int(np.argmin(slopes[first:]))])


def write_table(found: Found, path: str | Path) -> Path:
    """Writes the test as CSV with the columns `learning_rate`, `loss` and `smoothed_loss`.

    Returns:
        `path`.
    """
    path = Path(path)
    with new_file(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["learning_rate", "loss", "smoothed_loss"])
        rows = zip(found.rates.tolist(), found.losses.tolist(), found.smoothed.tolist(), strict=True)
        writer.writerows([f"{rate:.6g}", f"{loss:.6g}", f"{smooth:.6g}"] for rate, loss, smooth in rows)
    return path


def plot(found: Found, path: str | Path) -> Path:
    """Draws the test as a PNG, with the table `learning_rates.csv` beside it.

    The table is written first: it is there whether matplotlib is or not.

    Returns:
        `path`.

    Raises:
        KerasftError: matplotlib is not installed.
    """
    path = Path(path)
    table = write_table(found, path.with_name("learning_rates.csv"))
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise KerasftError(
            f"Plots need matplotlib: pip install 'kerasft[report]'. The figures are in {table}."
        ) from None
    # Without pyplot: no display is looked for and no global state is left behind.
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(found.rates, found.losses, color="0.75", linewidth=1, label="loss of each batch")
    axes.plot(found.rates, found.smoothed, color="C0", label="smoothed")
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color="C1", linestyle="--", label=f"suggestion {found.suggestion:.2g}")
    axes.set_xscale("log")
    shown = found.smoothed[np.isfinite(found.smoothed)]
    margin = 0.1 * (np.ptp(shown) or 1.0)
    axes.set_ylim(shown.min() - 2 * margin, min(shown.max(), 2 * shown[0]) + 2 * margin)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.legend()
    with new_file(path) as beside:
        figure.savefig(beside, format="png", dpi=120)
    return path
