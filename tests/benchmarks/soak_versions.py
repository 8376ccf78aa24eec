"""Versions that come and go while the soak asks, and which of them an answer may come from."""

import asyncio
import contextlib
import itertools
import math
import os
import random
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import grpc

from kerasft.serving.protos import get_model_status_pb2
from tests.benchmarks.soak_questions import LABEL, LABELLED, LATEST

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
END = get_model_status_pb2.ModelVersionStatus.END
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
PATIENCE = 60.0


class Spans:
    """When each version could answer for a model: from before it was published until its end was seen."""

    def __init__(self):
        self._spans: dict[tuple[str, int], list[list[float]]] = defaultdict(list)

    def open(self, model: str, version: int) -> None:
        self._spans[model, version].append([time.monotonic(), math.inf])

    def close(self, model: str, version: int) -> None:
        self._spans[model, version][-1][1] = time.monotonic()

    def allow(self, model: str, version: int, asked: float, answered: float) -> bool:
        """Whether the version could answer at any moment between question and answer."""
        return any(begin <= answered and end >= asked for begin, end in self._spans.get((model, version), ()))


class Versions:
    """Publishes, replaces, breaks and rolls back versions of two models, one of them asked by its label.

    Args:
        root: an empty folder for the base paths and the config file.
        write: (version, folder) writes a version; the folder is not there yet.
        seed: of the order of what happens.

    Attributes:
        config_file: for `--model_config_file`.
        spans: which version may answer when.
        counts: what has happened, and how often.
        faults: what a status should have told and did not.
    """

    def __init__(self, root: Path, write: Callable[[int, Path], None], seed: int):
        self.root, self._write = root, write
        self.config_file = root / "models.config"
        self.spans, self.counts, self.faults = Spans(), Counter(), []
        self._numbers = itertools.count(1)
        self._draw = random.Random(seed)
        self._status: grpc.aio.UnaryUnaryMultiCallable | None = None
        for model in (LATEST, LABELLED):
            (root / model).mkdir(parents=True)
        self.current = self._publish(LATEST)
        self.stable = self._publish(LABELLED)
        self._configure([self.stable], self.stable)
        self.spans.open(LABELLED, self.stable)

    async def keep_changing(self, target: str, seconds: float, stop: asyncio.Event) -> None:
        """Changes something every so many seconds, until `stop` is set."""
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            self._status = channel.unary_unary(
                STATUS,
                request_serializer=get_model_status_pb2.GetModelStatusRequest.SerializeToString,
                response_deserializer=get_model_status_pb2.GetModelStatusResponse.FromString,
            )
            changes = [self.replaced, self.replaced, self.half_copied, self.broken, self.rolled_back, self.relabelled]
            while not stop.is_set():
                self._draw.shuffle(changes)
                for change in changes:
                    if stop.is_set():
                        break
                    try:
                        await change()
                        self.counts[change.__name__] += 1
                    except (TimeoutError, asyncio.TimeoutError, grpc.aio.AioRpcError) as error:
                        self.faults.append(f"{change.__name__}: {error}")
                    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                        await asyncio.wait_for(stop.wait(), seconds)

    async def replaced(self) -> None:
        """A new version is renamed into place; the old one's folder goes once the new one answers."""
        old, self.current = self.current, self._publish(LATEST)
        await self._until(LATEST, self.current, AVAILABLE)
        await self._gone(old)

    async def half_copied(self) -> None:
        """The server finds half of a version, says so, goes on, and takes it up when the rest is there."""
        number = next(self._numbers)
        whole = self._whole(LATEST, number)
        folder = self.root / LATEST / str(number)
        folder.mkdir()
        graph = (whole / "saved_model.pb").read_bytes()
        (folder / "saved_model.pb").write_bytes(graph[: len(graph) // 2])
        await self._until(LATEST, number, END, failed=True)
        await self._until(LATEST, self.current, AVAILABLE)
        self.spans.open(LATEST, number)
        for path in whole.iterdir():
            if path.name != "saved_model.pb":
                path.rename(folder / path.name)
        (whole / "saved_model.pb").replace(folder / "saved_model.pb")
        shutil.rmtree(whole)
        old, self.current = self.current, number
        await self._until(LATEST, number, AVAILABLE)
        await self._gone(old)

    async def broken(self) -> None:
        """A version whose graph is none: reported, and the old one goes on."""
        number = next(self._numbers)
        whole = self._whole(LATEST, number)
        (whole / "saved_model.pb").unlink()  # maybe a link to the only copy
        (whole / "saved_model.pb").write_bytes(b"\xff" * 100)
        whole.rename(self.root / LATEST / str(number))
        await self._until(LATEST, number, END, failed=True)
        await self._until(LATEST, self.current, AVAILABLE)
        shutil.rmtree(self.root / LATEST / str(number))

    async def rolled_back(self) -> None:
        """A new version is taken away again, and the one before comes back."""
        new = self._publish(LATEST)
        await self._until(LATEST, new, AVAILABLE)
        await self._until(LATEST, self.current, END)
        self.spans.close(LATEST, self.current)
        self.spans.open(LATEST, self.current)
        shutil.rmtree(self.root / LATEST / str(new))
        await self._until(LATEST, self.current, AVAILABLE)
        await self._until(LATEST, new, END)
        self.spans.close(LATEST, new)

    async def relabelled(self) -> None:
        """The label moves to a new version, in the same moment in which the old one is dropped, or before."""
        old, self.stable = self.stable, self._publish(LABELLED, answers=False)
        self._configure([old, self.stable], old)
        await self._until(LABELLED, self.stable, AVAILABLE)
        self.spans.open(LABELLED, self.stable)
        if self._draw.random() < 0.5:
            self._configure([old, self.stable], self.stable)
            await self._until(LABELLED, self.stable, AVAILABLE, label=True)
        self._configure([self.stable], self.stable)
        await self._until(LABELLED, old, END)
        self.spans.close(LABELLED, old)
        shutil.rmtree(self.root / LABELLED / str(old))

    async def _gone(self, old: int) -> None:
        shutil.rmtree(self.root / LATEST / str(old))
        await self._until(LATEST, old, END)
        self.spans.close(LATEST, old)

    def _whole(self, model: str, number: int) -> Path:
        # Not a number: the server looks past it.
        folder = self.root / model / f".copying-{number}"
        self._write(number, folder)
        return folder

    def _publish(self, model: str, answers: bool = True) -> int:
        number = next(self._numbers)
        whole = self._whole(model, number)
        if answers and model == LATEST:
            self.spans.open(model, number)
        whole.rename(self.root / model / str(number))
        return number

    def _configure(self, versions: list[int], stable: int) -> None:
        specific = " ".join(f"versions: {version}" for version in versions)
        labels = f'version_labels {{ key: "{LABEL}" value: {stable} }}'
        text = "".join(
            f'config {{ name: "{model}" base_path: "{self.root / model}" model_platform: "tensorflow" {more} }}\n'
            for model, more in (
                (LATEST, ""),
                (LABELLED, f"model_version_policy {{ specific {{ {specific} }} }} {labels}"),
            )
        )
        beside = self.config_file.with_suffix(".new")
        beside.write_text(f"model_config_list {{\n{text}}}\n")
        os.replace(beside, self.config_file)

    async def _until(self, model: str, version: int, state: int, failed: bool = False, label: bool = False) -> None:
        """Waits until the status of a version is so; with `label`, until the label names the version."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        if label:
            request.model_spec.version_label = LABEL
        until = time.monotonic() + PATIENCE
        while True:
            found = await self._status(request, timeout=PATIENCE)
            for entry in found.model_version_status:
                error = bool(entry.status.error_message)
                if (entry.version, entry.state, error) == (version, state, failed):
                    return
            if time.monotonic() > until:
                raise TimeoutError(f"version {version} of {model} is not in state {state}: {found}")
            await asyncio.sleep(0.05)
