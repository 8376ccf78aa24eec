"""What a person sees while a run goes: a live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]


def say(line: str) -> None:
    """Prints a line on standard error: standard output is for results."""
    print(line, file=sys.stderr, flush=True)


class Bar:
    """Rows done, rate, time left, and a note (the loss). On a terminal a live bar, else nothing until the end.

    A class because rich's bar must be started, moved and stopped.
    """

    def __init__(self, title: str, rows: float, live: bool | None = None):
        self.title, self.rows, self.done, self.began = title, rows, 0, time.monotonic()
        self._progress = None
        if sys.stderr.isatty() if live is None else live:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("  {task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.completed:.0f}/{task.total:.0f} rows{task.fields[note]}"),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task(title, total=rows, note="")

    def __enter__(self) -> "Bar":
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        if self._progress:
            self._progress.stop()

    def move(self, rows: float, note: str = "") -> None:
        """Counts rows as done."""
        self.done += rows
        if self._progress:
            rate = f"  {self.rate:.0f} rows/s"
            self._progress.update(self._task, completed=self.done, note=rate + (f"  {note}" if note else ""))

    @property
    def rate(self) -> float:
        """Rows a second since the start."""
        return self.done / max(time.monotonic() - self.began, 1e-9)
