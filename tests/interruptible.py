"""Processes that a test interrupts."""

import signal


def ctrl_c_counts() -> None:
    """For `preexec_fn`: what a shell runs in the background ignores Ctrl-C, and so does all that it starts in turn."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
