"""Ctrl-C and SIGTERM: the run finishes its update, writes a checkpoint, and ends with the signal's exit status."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass


class Stopped(BaseException):
    """The run was asked to stop and has kept all it had. Like `KeyboardInterrupt`, not an error to be handled."""

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number

    @property
    def exit_status(self) -> int:
        """What a shell reports for this signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal_number


@dataclass
class Stop:
    """Whether someone asked. Mutable: a signal handler writes it, the training loop reads it."""

    asked: int | None = None

    def check(self) -> None:
        """Raises `Stopped` when someone asked."""
        if self.asked is not None:
            raise Stopped(self.asked)


@contextlib.contextmanager
def stoppable(speaks: bool = True) -> Iterator[Stop]:
    """Notes the first Ctrl-C or SIGTERM instead of dying of it; a second one is not held back.

    Outside the main thread Python cannot handle signals: nothing is noted then.

    Args:
        speaks: say that it was noted: the update under way may take its time.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number, frame):
        if stop.asked is not None:
            raise KeyboardInterrupt
        stop.asked = number
        if speaks:
            # Not `print`: a handler may come in the middle of one.
            os.write(2, b"Stopping with a checkpoint after this update; the same signal again stops at once.\n")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
