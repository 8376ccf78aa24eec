"""The versions of every model: the state each is in, who uses it now, and which one a request gets.

States and what is reported of them are those of TensorFlow Serving (core/servable_state.h, core/basic_manager.cc).
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kerasft.serving.status import NOT_FOUND, OK, ServingError

LOADING, AVAILABLE, UNLOADING, END = "LOADING", "AVAILABLE", "UNLOADING", "END"

log = logging.getLogger(__name__)


class Loaded(Protocol):
    """What is served: `loaded.LoadedVersion`, or a test's own."""

    name: str
    version: int

    def close(self) -> None: ...


class VersionStatus(NamedTuple):
    """What `GetModelStatus` tells of one version: `state` as `ModelVersionStatus.State` names it, a gRPC `code`."""

    version: int
    state: str
    code: int
    message: str


@dataclass
class _Record:
    state: str
    code: int = OK
    message: str = ""
    loaded: Loaded | None = None
    leases: int = 0


class Versions:
    """A table of models and versions that any thread may use.

    A version is leased by the requests that run on it, and closed only when the last of them has given it back. A
    version that ended stays in the table with what became of it, as in TensorFlow Serving.
    """

    def __init__(self):
        self._changed = threading.Condition()
        self._records: dict[str, dict[int, _Record]] = {}
        self._available: dict[str, dict[int, _Record]] = {}
        self._unloading: set[threading.Thread] = set()

    def begin(self, name: str, version: int) -> None:
        """A load of the version begins."""
        with self._changed:
            self._records.setdefault(name, {})[version] = _Record(LOADING)

    def finish(self, loaded: Loaded) -> None:
        """The version is loaded and warm: from now on requests get it."""
        with self._changed:
            record = self._records[loaded.name][loaded.version]
            record.loaded, record.state = loaded, AVAILABLE
            self._available.setdefault(loaded.name, {})[loaded.version] = record
            self._changed.notify_all()

    def fail(self, name: str, version: int, code: int, message: str) -> None:
        """The load failed; the status tells why."""
        with self._changed:
            record = self._records[name][version]
            record.state, record.code, record.message = END, code, message
            self._changed.notify_all()

    def retire(self, name: str, version: int) -> None:
        """Takes the version from new requests at once, and closes it in a thread when the last lease has ended."""
        with self._changed:
            record = self._available[name].pop(version)
            record.state = UNLOADING
            thread = threading.Thread(target=self._unload, args=(record,), name=f"unload-{name}-{version}", daemon=True)
            self._unloading.add(thread)
            thread.start()

    def _unload(self, record: _Record) -> None:
        with self._changed:
            self._changed.wait_for(lambda: record.leases == 0)
            loaded, record.loaded = record.loaded, None
        try:
            loaded.close()
        except Exception:
            log.exception("closing version %s of %s", loaded.version, loaded.name)
        with self._changed:
            record.state = END
            self._unloading.discard(threading.current_thread())
            self._changed.notify_all()

    def state(self, name: str, version: int) -> str | None:
        """The state of a version; None for one that was never seen."""
        with self._changed:
            record = self._records.get(name, {}).get(version)
            return record.state if record else None

    def available(self, name: str) -> set[int]:
        """The versions that requests can have."""
        with self._changed:
            return set(self._available.get(name, ()))

    def names(self) -> list[str]:
        """The models that have an available version."""
        with self._changed:
            return sorted(name for name, of in self._available.items() if of)

    def statuses(self, name: str) -> list[VersionStatus]:
        """Every version of a model that was ever seen, the highest first; empty for an unknown model."""
        with self._changed:
            found = sorted(self._records.get(name, {}).items(), reverse=True)
            return [VersionStatus(version, of.state, of.code, of.message) for version, of in found]

    @contextlib.contextmanager
    def lease(self, name: str, version: int | None = None) -> Iterator[Loaded]:
        """Gives a version to a request, for as long as the request needs it.

        Args:
            name: the model.
            version: the one wanted; None for the highest that is available.

        Raises:
            ServingError: NOT_FOUND, in the words of core/basic_manager.cc.
        """
        with self._changed:
            available = self._available.get(name, {})
            wanted = version if version is not None else max(available, default=None)
            if wanted not in available:
                request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise ServingError(NOT_FOUND, f"Servable not found for request: {request}")
            record = available[wanted]
            record.leases += 1
        try:
            yield record.loaded
        finally:
            with self._changed:
                record.leases -= 1
                if not record.leases:
                    self._changed.notify_all()

    def close(self, timeout: float | None = None) -> None:
        """Retires every version, and waits until all are closed, or `timeout` seconds."""
        for name in self.names():
            for version in self.available(name):
                self.retire(name, version)
        with self._changed:
            self._changed.wait_for(lambda: not self._unloading, timeout)
