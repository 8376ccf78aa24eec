"""Runs one Python file under limits. A program of its own: `python -I confined.py FILE SECONDS MEGABYTES`.

It stands alone (standard library) and is run in a fresh process, which gives up what it can before the file's code has
its turn: other users, the network and other processes (Linux namespaces, where the system allows them to everybody),
memory, processor time, the size of files, core dumps. The first line it writes to standard error names what held.
"""

import ctypes
import os
import resource
import signal
import sys

# linux/sched.h and linux/prctl.h
_NEW_USER, _NEW_NETWORK, _NEW_PROCESSES = 0x10000000, 0x40000000, 0x20000000
_PARENT_DEATH_SIGNAL = 1

_FILE_BYTES = 16 << 20
_OPEN_FILES = 64
ALONE, LIMITED = "confined: no network, no other processes", "confined: limits only"


def _leave() -> bool:
    """Leaves the network and the view of other processes; whether the system allowed it."""
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (OSError, AttributeError):
        return False
    return unshare(_NEW_USER | _NEW_NETWORK | _NEW_PROCESSES) == 0


def _limit(seconds: int, megabytes: int) -> None:
    limits = {
        "RLIMIT_CPU": seconds,
        "RLIMIT_AS": megabytes << 20,
        "RLIMIT_DATA": megabytes << 20,
        "RLIMIT_FSIZE": _FILE_BYTES,
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_CORE": 0,
    }
    for name, most in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            if name != "RLIMIT_AS":  # macOS knows it and refuses it
                raise


def main() -> int:
    """Runs the file; its exit status, or 128 and the number of the signal that ended it."""
    file, seconds, megabytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    is_alone = _leave()
    print(ALONE if is_alone else LIMITED, file=sys.stderr, flush=True)
    # The first child after `_leave` is the first process of a world of its own: with it, all that it started ends.
    child = os.fork()
    if child == 0:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        _limit(seconds, megabytes)
        os.execv(sys.executable, [sys.executable, "-I", "-B", file])
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main())
