"""A model without TensorFlow: y = x / 2 + the version's number. A version folder holds one file, `model`."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from kerasft.serving.protos import model_pb2
from kerasft.serving.status import INVALID_ARGUMENT, NOT_FOUND, ServingError


class StandIn:
    """Has what a LoadedVersion has, notes each batch, refuses NaN, and fails when it is run after it was closed."""

    def __init__(self, name: str = "half", version: int = 1, seconds: float = 0.0):
        self.name, self.version, self.seconds = name, version, seconds
        self.signatures = {"serving_default": SimpleNamespace(inputs={"x": None})}
        self.batches: list[np.ndarray] = []
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def run(self, signature_name: str, feeds: dict, outputs) -> dict:
        assert not self.closed, "run after close"
        self.batches.append(feeds["x"])
        self.gate.wait(60)
        time.sleep(self.seconds)
        if np.isnan(feeds["x"]).any():
            raise ServingError(INVALID_ARGUMENT, "not a number")
        assert not self.closed, "closed while it ran"
        return {"y": feeds["x"] / 2 + self.version}

    def close(self) -> None:
        self.closed = True


def load(name: str, version: int, folder: Path) -> StandIn:
    if not (folder / "model").is_file():
        raise ServingError(NOT_FOUND, f"Could not find SavedModel .pb or .pbtxt at supplied export directory: {folder}")
    return StandIn(name, version)


def write(base: Path, *versions: int) -> Path:
    for version in versions:
        (base / str(version)).mkdir(parents=True)
        (base / str(version) / "model").touch()
    return base


def spec(name: str = "half", version: int | None = None, label: str | None = None) -> model_pb2.ModelSpec:
    made = model_pb2.ModelSpec(name=name)
    if version is not None:
        made.version.value = version
    if label is not None:
        made.version_label = label
    return made


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
