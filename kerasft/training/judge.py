"""Held-out rows of a task that draws its targets: judged batch by batch, for their logits would fill the memory."""

from collections.abc import Callable, Mapping

import numpy as np

from kerasft.tasks.task import Task
from kerasft.training.forward import predict_logits
from kerasft.training.job import Examples
from kerasft.training.shares import targets_of

_TARGETS = "targets"


def judge_rows(task: Task, model, examples: Examples, batch_of: Callable, batch_size: int) -> dict[str, np.ndarray]:
    """What `task.draws.judge` says of each row, as `Task.measure` takes it.

    Args:
        task: with `draws`.
        model: from batches to logits.
        examples: rows with drawn inputs and targets.
        batch_of: (examples, row numbers) -> the model's inputs.
        batch_size: rows a batch.

    Returns:
        `judged` float32[N, K], the loss of each row or window first; and `sizes` int64[N], the bytes of text that was
        to be foretold there, where the targets know it.
    """

    def with_targets(rows: np.ndarray) -> Mapping[str, np.ndarray]:
        inputs = batch_of(examples, rows)
        targets = targets_of(examples.targets, rows, inputs["padding_mask"].shape[1])
        return {**inputs, _TARGETS: targets}

    if getattr(model, "judging", None) is None:
        # Kept on the model, which is asked each epoch.
        model.judging = _Judging(model, task.draws.judge)
    judged = predict_logits(model.judging, with_targets, examples.encoded.lengths, batch_size)
    sizes = {"sizes": examples.targets.sizes} if hasattr(examples.targets, "sizes") else {}
    return {"judged": judged, **sizes}


def weighted_mean(losses: np.ndarray, weights: np.ndarray) -> float:
    """The loss over all rows or windows float[N], each as much as it counts in training; 0 where none counts."""
    return float(np.dot(losses.astype(np.float64), weights) / max(float(weights.sum()), np.finfo(np.float32).tiny))


class _Judging:
    """A model with the judgement of its logits, as `kerasft.training.forward` calls one."""

    def __init__(self, model, judge: Callable):
        self.model, self.judge = model, judge
        self.distribute_strategy = model.distribute_strategy

    def __call__(self, batch: Mapping, training: bool):
        targets = batch[_TARGETS]
        inputs = {name: value for name, value in batch.items() if name != _TARGETS}
        return self.judge(targets, self.model(inputs, training=training))
