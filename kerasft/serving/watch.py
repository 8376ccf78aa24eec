"""Brings what is served in line with what lies in the base paths: new versions up first, old ones down after.

Order as in TensorFlow Serving's default (core/availability_preserving_policy.cc). Its manager tries a version that does
not load five more times, one minute apart, and reports it as LOADING meanwhile; here the failure is in the status at
once, and the version is tried again as soon as its folder has changed too, so that a slow copy needs no luck.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kerasft.export.capi import CODES
from kerasft.serving.base_path import fingerprint
from kerasft.serving.status import UNKNOWN
from kerasft.serving.versions import AVAILABLE, LOADING, UNLOADING, Loaded, Versions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """A load that failed."""

    count: int
    at: float
    found: tuple


class Upkeep:
    """Loads and retires the versions of all models. One thread at a time may use it.

    Args:
        versions: the table that requests read.
        load: (name, version, folder) -> a version that is loaded and warm; what it raises becomes the status.
        max_num_load_retries: how often a load that failed is tried again while the folder stays as it is.
        load_retry_interval: seconds between such tries.
    """

    def __init__(
        self,
        versions: Versions,
        load: Callable[[str, int, Path], Loaded],
        max_num_load_retries: int = 5,
        load_retry_interval: float = 60.0,
    ):
        self._versions = versions
        self._load = load
        self._retries = max_num_load_retries
        self._interval = load_retry_interval
        self._failed: dict[tuple[str, int], Attempt] = {}

    def settle(self, name: str, aspired: dict[int, Path]) -> None:
        """Does for one model all that can be done now.

        Args:
            name: the model.
            aspired: the versions to serve and their folders; empty takes the model down.
        """
        for key in [key for key in self._failed if key[0] == name and key[1] not in aspired]:
            del self._failed[key]
        self._retire(name, set(aspired))
        # The highest first: the newest answers soonest, and then an old one can go.
        for version in sorted(aspired, reverse=True):
            if self._may_load(name, version, aspired[version]):
                self._try(name, version, aspired[version])
                self._retire(name, set(aspired))

    def _retire(self, name: str, aspired: set[int]) -> None:
        available = self._versions.available(name)
        stale = sorted(available - aspired)
        if aspired and not available & aspired:
            stale = stale[:-1]  # the last that answers goes on until a wanted one does
        for version in stale:
            log.info("retiring version %d of model %s", version, name)
            self._versions.retire(name, version)

    def _may_load(self, name: str, version: int, folder: Path) -> bool:
        if self._versions.state(name, version) in (AVAILABLE, LOADING, UNLOADING):
            return False
        failed = self._failed.get((name, version))
        if failed is None or failed.found != fingerprint(folder):
            return True
        return failed.count <= self._retries and time.monotonic() >= failed.at + self._interval

    def _try(self, name: str, version: int, folder: Path) -> None:
        found = fingerprint(folder)
        self._versions.begin(name, version)
        try:
            loaded = self._load(name, version, folder)
        except Exception as error:  # a SavedModel that is broken in whatever way must not end the watch
            code = getattr(error, "code", UNKNOWN)
            code = code if isinstance(code, int) and 0 < code < len(CODES) else UNKNOWN
            message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
            last = self._failed.get((name, version))
            count = last.count + 1 if last and last.found == found else 1
            self._failed[name, version] = Attempt(count, time.monotonic(), found)
            self._versions.fail(name, version, code, message)
            log.error("version %d of model %s did not load: %s: %s", version, name, CODES[code], message)
            return
        self._failed.pop((name, version), None)
        self._versions.finish(loaded)
        log.info("version %d of model %s is available", version, name)


def every(seconds: float, action: Callable[[], None], stop: threading.Event, name: str) -> threading.Thread:
    """Starts a thread that does something again and again until `stop` is set; an error is logged and survived."""

    def repeat():
        while not stop.wait(seconds):
            try:
                action()
            except Exception:
                log.exception("%s", name)

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    return thread
