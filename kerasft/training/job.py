"""What a run's phases share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.backbones.view import TextFunctions
from kerasft.data.pipeline import Encoded, TokenTargets
from kerasft.data.rows import Rows
from kerasft.network import Network
from kerasft.tasks.task import Scheme, Task
from kerasft.training.devices import device_count
from kerasft.training.prefix_cache import Cache
from kerasft.training.progress import Say
from kerasft.training.recipe import Recipe
from kerasft.training.stopping import Stop
from kerasft.training.tracking import Tracker


@dataclass(frozen=True)
class Examples:
    """Rows ready for training or for watching.

    Attributes:
        rows: as they were read.
        encoded: their tokens; of windows over the rows, for a task that answers with places; in groups, for one that
            reads several texts a row.
        targets: one for each row, group or window of `encoded`, or for each of their places.
        weights: float32[N], the weight of the loss of each row, group or window of `encoded`.
        cache: hidden states at the boundaries that phases need, or None.
        draw: (epoch) -> `encoded` and `targets` of that epoch, for a task that draws them anew; else None.
    """

    rows: Rows
    encoded: Encoded
    targets: np.ndarray | TokenTargets
    weights: np.ndarray
    cache: Cache | None = None
    draw: Callable[[int], tuple[Encoded, Any]] | None = None

    def in_epoch(self, epoch: int) -> "Examples":
        """These rows as they are in an epoch, counted over the whole run."""
        if self.draw is None:
            return self
        encoded, targets = self.draw(epoch)
        return replace(self, encoded=encoded, targets=targets)


@dataclass(frozen=True)
class Job:
    """What stays the same over all phases of a run.

    Attributes:
        network: is trained in place.
        whole: its full model, whose variables are all there are.
        task: loss, figures and the headline among them.
        recipe: with every choice made.
        scheme: what the task has learnt of its answers.
        text: the family's text functions.
        strategy: a `tf.distribute.Strategy`.
        chief: whether this process writes the run's files.
        xla: compile the update with XLA.
        folder: of the checkpoints; a folder of its own for a worker that is not the chief.
        stop: whether someone asked the run to stop.
        report: told of each phase and each epoch.
        tracker: records curves.
        calls: `kerasft.training.callbacks.run_callbacks`, the keeper and the user's own.
    """

    network: Network
    whole: Any
    task: Task
    recipe: Recipe
    scheme: Scheme
    text: TextFunctions
    strategy: Any
    chief: bool
    xla: bool
    folder: Path
    stop: Stop
    report: Say
    tracker: Tracker
    calls: Any

    def check_stop(self) -> None:
        """Raises `Stopped` when someone asked. Several workers leave together, after an update: not by this."""
        if device_count(self.strategy) == self.strategy.num_replicas_in_sync:
            self.stop.check()

    @property
    def scaled(self) -> bool:
        """Whether the loss is scaled: float16 needs it."""
        return self.recipe.machine.precision == "fp16"
