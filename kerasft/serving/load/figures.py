"""A record as figures."""

from dataclasses import asdict, dataclass

import numpy as np

from kerasft.serving.load.answers import OK, TIMEOUT
from kerasft.serving.load.plan import Plan
from kerasft.serving.load.record import Record

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
# The load was late by so much that its own lateness shows in the 99th percentile.
_NOTICEABLE = 0.1


@dataclass(frozen=True)
class Figures:
    """What a load measured. Times are milliseconds unless said otherwise.

    Attributes:
        requests: that count and have ended.
        answered: those without an error.
        timeouts: those without an answer in time.
        errors: code -> how many, timeouts among them; the most frequent first.
        words: code -> the server's words with the first such error.
        unfinished: requests under way when the load was stopped; not among `requests`.
        seconds: that the load took.
        throughput: answers without an error, a second.
        latency: `mean`, `p50`, …, `max`, of answers without an error, and of timeouts, which count as their deadline.
            Requests that were refused are not among them: that is quickly done. Empty when there are none.
        sent_late: `p99` and `max` of how long after they were due requests were sent; that is the fault of whoever
            makes the load, and part of the latency. Empty in a closed loop.
    """

    requests: int
    answered: int
    timeouts: int
    errors: dict[str, int]
    words: dict[str, str]
    unfinished: int
    seconds: float
    throughput: float
    latency: dict[str, float]
    sent_late: dict[str, float]

    @property
    def load_was_late(self) -> bool:
        """Whether whoever makes the load was too slow for it, so that the latencies are not the server's alone."""
        return bool(self.sent_late and self.latency) and self.sent_late["p99"] > _NOTICEABLE * self.latency["p99"]

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


def figures(record: Record, plan: Plan, spent: float) -> Figures:
    """Sums up a record.

    Args:
        record: with or without requests.
        plan: what it was made by.
        spent: seconds from when counting began to the end.
    """
    due, latency, late, code = record.arrays()
    good = code == OK
    timely = good | (code == TIMEOUT)
    # At a rate each request has its share of the time, answered early or not.
    at_rate = plan.rate is not None
    seconds = (len(record) + record.unfinished) / plan.rate if at_rate else min(plan.seconds, spent)
    if good.any():
        seconds = max(seconds, float((due + latency)[good].max()))
    names, counts = np.unique(code[~good], return_counts=True)
    errors = {str(names[place]): int(counts[place]) for place in np.argsort(-counts, kind="stable")}
    return Figures(
        requests=len(record),
        answered=int(good.sum()),
        timeouts=errors.get(TIMEOUT, 0),
        errors=errors,
        words={name: record.words[name] for name in errors},
        unfinished=record.unfinished,
        seconds=float(seconds),
        throughput=float(good.sum() / seconds) if seconds else 0.0,
        latency=_spread(latency[timely], PERCENTILES),
        sent_late=_spread(late, (99.0,)) if at_rate else {},
    )


def percentiles(values: np.ndarray, wanted: tuple[float, ...]) -> np.ndarray:
    """Gives percentiles that are themselves among the values: the smallest that so many percent do not exceed."""
    # By hand, for 0.95 * n may lie a hair above a whole number, and NumPy would take the next value.
    places = np.ceil(np.asarray(wanted) / 100 * len(values) - 1e-9).astype(np.int64)
    return np.sort(values)[np.maximum(places, 1) - 1]


def _spread(seconds: np.ndarray, wanted: tuple[float, ...]) -> dict[str, float]:
    if not len(seconds):
        return {}
    found = {"mean": float(seconds.mean())} | {
        f"p{name:g}": float(value) for name, value in zip(wanted, percentiles(seconds, wanted), strict=True)
    }
    return {name: round(value * 1000, 4) for name, value in (found | {"max": float(seconds.max())}).items()}
