"""What a person sees while a run goes: a live bar on a terminal, now and then a plain line elsewhere."""

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator

Say = Callable[[str], None]

LINE_SECONDS = 30.0
_RECENT_SECONDS = 20.0


def say(line: str) -> None:
    """Prints a line on standard error: standard output is for results."""
    print(line, file=sys.stderr, flush=True)


class Bar:
    """Rows done, rate, time left of the epoch and of the whole, and a note (the loss).

    A class because rich's bar must be started, moved and stopped.
    """

    def __init__(
        self,
        title: str,
        rows: float,
        live: bool | None = None,
        start: float = 0,
        epochs: int = 1,
        report: Say = say,
    ):
        """Makes a bar; it shows once it is entered as a context.

        Args:
            title: what goes on.
            rows: in all, over every epoch.
            live: a bar that moves, or else a line to `report` every `LINE_SECONDS`; None asks the terminal.
            start: rows done by an earlier session.
            epochs: parts of equal size, each with its own time left.
            report: is given the lines.
        """
        self.title, self.rows, self.done, self._start, self._epochs = title, rows, start, start, epochs
        self._report, self._note = report, ""
        self.began = self._said = time.monotonic()
        self._recent = deque([(self.began, float(start))])
        self._progress = None
        if _on_terminal() if live is None else live:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (
                TextColumn("  {task.description}", markup=False),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[facts]}", markup=False),
            )
            console = Console(stderr=True)
            self._progress = Progress(*columns, console=console, transient=True, expand=True, refresh_per_second=5)
            self._task = self._progress.add_task(title, total=rows, completed=start, facts="")

    def __enter__(self) -> "Bar":
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        if self._progress:
            self._progress.stop()

    def move(self, rows: float, note: str = "") -> None:
        """Counts rows as done."""
        now = time.monotonic()
        self.done += rows
        self._note = note
        self._recent.append((now, self.done))
        while now - self._recent[0][0] > _RECENT_SECONDS and len(self._recent) > 2:
            self._recent.popleft()
        if self._progress:
            facts = "  ".join([self._percent(), *self._facts(brief=True)])
            self._progress.update(self._task, completed=self.done, description=self._name(), facts=facts)
        elif now - self._said >= LINE_SECONDS:
            self._said = now
            rows = f"{self.done:,.0f}/{self.rows:,.0f} rows ({self._percent()})"
            self._report("  ".join(["", self._name(), rows, *self._facts()]))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside (an evaluation, a checkpoint) does not count as time spent on rows."""
        paused = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - paused
            self.began += seconds
            self._recent = deque((moment + seconds, done) for moment, done in self._recent)

    @property
    def rate(self) -> float:
        """Rows a second since the start, pauses and rows of an earlier session left out."""
        return (self.done - self._start) / max(time.monotonic() - self.began, 1e-9)

    def _name(self) -> str:
        if self._epochs == 1:
            return self.title
        return f"{self.title}  epoch {min(self._epoch() + 1, self._epochs)}/{self._epochs}"

    def _epoch(self) -> int:
        """Whole epochs done; a hair is added because rows come as fractions (an epoch's rows by its updates)."""
        return int((self.done + 1e-6 * self.rows) / (self.rows / self._epochs)) if self.rows else 0

    def _percent(self) -> str:
        return f"{min(self.done / self.rows, 1.0) if self.rows else 1.0:.0%}"

    def _facts(self, brief: bool = False) -> list[str]:
        (first, done_first), (last, done_last) = self._recent[0], self._recent[-1]
        # The rate of late: the first updates of a phase, slowed by tracing, soon stop to count.
        rate = (done_last - done_first) / max(last - first, 1e-9)
        facts = [f"{rate:,.0f} rows/s", self._note]
        left = max(self.rows - self.done, 0.0)
        if rate > 0 and left:
            of_epoch = (self._epoch() + 1) * self.rows / self._epochs - self.done
            epoch, whole = _clock(of_epoch / rate), _clock(left / rate)
            if self._epochs == 1:
                facts.append(f"{whole} left")
            else:
                facts.append(f"{epoch} / {whole} left" if brief else f"epoch {epoch}, all {whole} left")
        return [fact for fact in facts if fact]


def _clock(seconds: float) -> str:
    """Seconds as `0:42`, `12:05` or `3:07:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _on_terminal() -> bool:
    # An editor's or a CI's dumb terminal cannot move its cursor up.
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
