"""A hello between all workers before TensorFlow's own start, which waits without end for a worker that never comes."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from kerasft.errors import KerasftError
from kerasft.version import __version__

_PAUSE = 0.2
_PATIENCE = 3.0
"""Seconds for one connection, one line or one answer."""
_WATCHER = """
import os, select, signal, sys
if not select.select([0], [], [], float(sys.argv[1]))[0]:
    print(sys.argv[3], file=sys.stderr, flush=True)
    os.kill(int(sys.argv[2]), signal.SIGKILL)
"""


def check_reachable(workers: Sequence[str], index: int, seconds: float) -> None:
    """Returns once every worker has reached every other on the port that training will use.

    Each worker opens its own port, says hello to the others and answers theirs. It closes the port when it has both
    reached all and been reached by all: nobody needs it any more, and TensorFlow's server can take it. A hello is one
    line (kerasft's version, a digest of the workers, the index), so that another program at the address, other
    versions and mixed-up addresses are told apart.

    Args:
        workers: "host:port" of every worker.
        index: of this one.
        seconds: to wait for all others.

    Raises:
        KerasftError: the own port cannot be opened, or a worker did not answer in time.
    """
    missing = {number: "not tried" for number in range(len(workers)) if number != index}
    if not missing:
        return
    deadline = time.monotonic() + seconds
    unheard = set(missing)
    done = threading.Event()
    with _listen(workers, index) as door:
        porter = threading.Thread(target=_answer, args=(door, workers, index, unheard, done), daemon=True)
        porter.start()
        try:
            while missing or unheard:
                for number in list(missing):
                    left = deadline - time.monotonic()
                    reason = _greet(workers, index, number, min(_PATIENCE, max(left, 0.1)))
                    if reason is None:
                        del missing[number]
                    else:
                        missing[number] = reason
                    if left < 0:
                        break
                if time.monotonic() > deadline:
                    raise KerasftError(_complaint(workers, index, seconds, missing, unheard))
                if missing or unheard:
                    time.sleep(_PAUSE)
        finally:
            done.set()
            porter.join()


@contextlib.contextmanager
def ending_a_hang(seconds: float, line: str) -> Iterator[None]:
    """Ends this process with a line on standard error and SIGKILL when the block takes too long.

    TensorFlow's first worker waits without end for one that dies during the start, holding Python's lock and deaf to
    signals: only another process can end it. That one ends by itself as soon as its pipe to this one closes.

    Args:
        seconds: that the block may take.
        line: what the user reads.
    """
    watcher = subprocess.Popen(
        [sys.executable, "-S", "-c", _WATCHER, str(seconds), str(os.getpid()), line],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not for it
    )
    try:
        yield
    finally:
        watcher.stdin.close()
        watcher.wait()


def refusal(address: str, seconds: float = 2) -> str | None:
    """Why no connection to an address can be made; None when one can."""
    try:
        socket.create_connection(_split(address), timeout=seconds).close()
    except OSError as error:
        return _reason(error)
    return None


def _complaint(workers, index: int, seconds: float, missing: dict[int, str], unheard: set[int]) -> str:
    if missing:
        number, reason = min(missing.items())
        more = f" Nor did {len(missing) - 1} more." if len(missing) > 1 else ""
        return (
            f"Worker {number} ({workers[number]}) did not answer within {seconds:g} s: {reason}. Start every worker "
            f"with the same list of addresses, and see that hosts and firewalls let worker {index} in.{more}"
        )
    number = min(unheard)
    return (
        f"Worker {number} ({workers[number]}) answers but did not reach this one within {seconds:g} s: see that worker "
        f"{index}'s address {workers[index]} is right and that its port is open to the others."
    )


def _listen(workers: Sequence[str], index: int) -> socket.socket:
    host, port = _split(workers[index])
    local = host in ("localhost", "127.0.0.1", "::1")
    # An address that the others use need not be an interface of this machine (a container's, say): listen on all.
    both = not local and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or host == "::1" else socket.AF_INET
    place = (host if local else "", port)
    try:
        return socket.create_server(place, family=family, backlog=128, dualstack_ipv6=both)
    except (OSError, ValueError) as error:
        raise KerasftError(
            f"Worker {index} cannot open its own port {port}: {_reason(error)}. Is it started twice, or is another "
            "program there? Name a free port for it, on every worker."
        ) from None


def _answer(door: socket.socket, workers, index: int, unheard: set[int], done: threading.Event) -> None:
    door.settimeout(_PAUSE)
    while not done.is_set():
        try:
            visitor, _ = door.accept()
        except OSError:
            continue
        with contextlib.suppress(OSError, ValueError), visitor:
            visitor.settimeout(_PATIENCE)
            number, right = _read(visitor, workers)
            visitor.sendall(_hello(workers, index))
            with contextlib.suppress(OSError):
                # The visitor hangs up first: the side that does leaves its port busy for a while.
                visitor.recv(1)
            if right:
                unheard.discard(number)


def _greet(workers, index: int, number: int, patience: float) -> str | None:
    """Says hello to one worker; None when it answered well, else what went wrong."""
    try:
        with socket.create_connection(_split(workers[number]), timeout=patience) as line:
            line.sendall(_hello(workers, index))
            found, right = _read(line, workers)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return _reason(error)
    if not right:
        return "it has another list of workers"
    return None if found == number else f"worker {found} answers at this address"


def _hello(workers: Sequence[str], index: int) -> bytes:
    return f"kerasft {__version__} {_digest(workers)} {index}\n".encode()


def _digest(workers: Sequence[str]) -> str:
    return hashlib.sha256(",".join(workers).encode()).hexdigest()[:16]


def _read(line: socket.socket, workers: Sequence[str]) -> tuple[int, bool]:
    """Reads a hello.

    Returns:
        The other's index, and whether it has the same workers.

    Raises:
        ValueError: it is no hello of the same version.
    """
    text = b"".join(_bytes(line)).decode("ascii", "replace").split()
    if len(text) != 4 or text[0] != "kerasft" or not text[3].isdecimal():
        raise ValueError("another program answers there")
    if text[1] != __version__:
        raise ValueError(f"it runs kerasft {text[1]}, this worker {__version__}")
    return int(text[3]), text[2] == _digest(workers)


def _bytes(line: socket.socket) -> Iterator[bytes]:
    for _ in range(200):
        found = line.recv(1)
        if found in (b"", b"\n"):
            return
        yield found


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
