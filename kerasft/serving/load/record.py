"""What happened to each request that counts: 26 bytes each, so that an hour fits into memory and nothing is rounded."""

from array import array
from dataclasses import dataclass, field

import numpy as np

from kerasft.serving.load.answers import OK, Answer


@dataclass
class Record:
    """All requests so far, in the order of their answers.

    Attributes:
        due: seconds since counting began.
        latency: seconds from when each was due (closed loop: sent) to its answer.
        late: seconds from when each was due to when it was sent; the fault of whoever makes the load.
        code: place of its code in `codes`.
        codes: names of the codes met.
        words: code -> the server's words with the first such error.
        unfinished: requests that were under way when the load was stopped.
    """

    due: array = field(default_factory=lambda: array("d"))
    latency: array = field(default_factory=lambda: array("d"))
    late: array = field(default_factory=lambda: array("d"))
    code: array = field(default_factory=lambda: array("h"))
    codes: list[str] = field(default_factory=lambda: [OK])
    words: dict[str, str] = field(default_factory=dict)
    unfinished: int = 0

    def add(self, due: float, latency: float, late: float, answer: Answer) -> None:
        """Notes one request."""
        if answer.code == OK:
            place = 0
        elif answer.code in self.codes:
            place = self.codes.index(answer.code)
        else:
            place = len(self.codes)
            self.codes.append(answer.code)
            self.words[answer.code] = answer.words
        self.due.append(due)
        self.latency.append(latency)
        self.late.append(late)
        self.code.append(place)

    def __len__(self) -> int:
        return len(self.due)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Gives due, latency and late as float64[N], and the codes as str[N]."""
        numbers = (np.array(values, np.float64) for values in (self.due, self.latency, self.late))
        return *numbers, np.array(self.codes)[np.array(self.code, np.int64)]
