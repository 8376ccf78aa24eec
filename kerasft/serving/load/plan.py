"""How much load, for how long."""

import math
from dataclasses import dataclass

from kerasft.errors import KerasftError


@dataclass(frozen=True)
class Plan:
    """One of `rate` and `concurrency` is set.

    Attributes:
        rate: requests a second, sent when they are due whatever the server does (an open loop).
        concurrency: clients, each of which waits for its answer and asks again (a closed loop).
        seconds: that count.
        requests: at most so many count; None: as many as the seconds allow.
        warm_up: seconds before them, that do not count.
        deadline: seconds that an answer may take, from when its request was due.

    Raises:
        KerasftError: both are set, or neither; or a number that makes no sense.
    """

    rate: float | None = None
    concurrency: int | None = None
    seconds: float = 10.0
    requests: int | None = None
    warm_up: float = 1.0
    deadline: float = 10.0

    def __post_init__(self):
        if self.rate is None and self.concurrency is None:
            raise KerasftError(
                "Expected --rate (requests a second, sent when they are due) or --concurrency (clients that wait for "
                "their answers)."
            )
        if self.rate is not None and self.concurrency is not None:
            raise KerasftError("--rate and --concurrency are two kinds of load. Leave out one.")
        for name in ("rate", "concurrency", "seconds", "requests", "deadline"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise KerasftError(f"--{name} must be a number above 0, not {value:g}.")
        if not 0 <= self.warm_up < math.inf:
            raise KerasftError(f"--warm-up must be a number from 0 on, not {self.warm_up:g}.")
