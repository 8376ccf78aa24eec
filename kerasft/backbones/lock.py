"""One process at a time: an advisory lock on a file."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def only_one(path: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Holds the lock on `path` for the block, waiting for whoever holds it now.

    The operating system lets go of the lock when its holder ends, however it ends: it never has to be declared stale,
    and the file stays (removing it would let two in). Where the file system knows no locks, the block runs without.

    Args:
        path: the lock file, made when absent.
        waiting: called once when another process holds the lock.

    Yields:
        Whether the lock is held.
    """
    try:
        import fcntl
    except ImportError:  # Windows; tensorflow-text has no build for it either
        yield False
        return
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
            return
        yield True  # closing the file lets go
