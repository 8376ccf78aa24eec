"""At an epoch's end: the held-out rows are measured, and the weights kept if they are the best."""

import contextlib
import math
from collections.abc import Callable, Iterator

from kerasft.data.inputs import inputs_of
from kerasft.errors import KerasftError
from kerasft.network import depths
from kerasft.training.answers import Asked, Logits
from kerasft.training.checkpoint import State
from kerasft.training.devices import agreed
from kerasft.training.job import Examples, Job
from kerasft.training.judge import judge_rows, weighted_mean
from kerasft.training.keep import keep_best
from kerasft.training.optimizer import averaged
from kerasft.training.recipe import Phase
from kerasft.training.shares import targets_of
from kerasft.training.tracking import depth_name

_AT_ONCE = 256


def watch(job: Job, state: State, phase: Phase, trainable, batch_of: Callable, held_out: Examples, rate: float) -> None:
    """Closes an epoch: its line of history and of the report, the best weights, the next epoch's state.

    Args:
        job: the run.
        state: at the end of the epoch's updates; is moved on.
        phase: that runs.
        trainable: its model.
        batch_of: (examples, row numbers) -> the model's inputs.
        held_out: rows to watch.
        rate: rows a second in this epoch, for the report.

    Raises:
        KerasftError: the held-out loss is not finite.
    """
    task = job.task
    with _averages(trainable):
        eval_loss, figures = _measured(job, trainable, batch_of, held_out)
        figure = float(figures[task.headline])
        # Workers that rounded differently must not part ways.
        figure, eval_loss = agreed(job.strategy, job.chief, [figure, eval_loss])
        check_finite(eval_loss, "held-out loss", f"after epoch {state.epoch + 1}", state.phase)
        # On a tie the later weights are kept.
        rank = [-figure if task.falls else figure, -eval_loss]
        better = not state.best_rank or rank >= state.best_rank
        if better:
            state.best_rank, state.best_phase = rank, state.phase
            keep_best(job, state)
    loss = state.loss / max(state.rows, 1)
    state.history.append(
        {
            "phase": state.phase,
            "epoch": state.epoch + 1,
            "loss": loss,
            "eval_loss": eval_loss,
            f"eval_{task.headline}": figure,
            "updates": state.updates,
            "rows_per_second": round(rate, 1),
        }
    )
    job.report(
        f"  epoch {state.epoch + 1}/{phase.epochs}  loss {loss:.4f}  held-out loss {eval_loss:.4f}  "
        f"{task.headline} {figure:.4f}  {rate:.0f} rows/s{'  best so far' if better else ''}"
    )
    rates = _rates(job, phase, trainable)
    job.tracker.epoch(
        state.updates, {"loss": loss, "eval_loss": eval_loss, f"eval_{task.headline}": figure}, rates=rates
    )
    job.calls.end_epoch(
        {"loss": loss, "val_loss": eval_loss, f"val_{task.headline}": figure, "learning_rate": max(rates.values())}
    )
    state.bad_epochs = 0 if better else state.bad_epochs + 1
    state.epoch, state.step, state.loss, state.rows = state.epoch + 1, 0, 0.0, 0


def _measured(job: Job, trainable, batch_of: Callable, held_out: Examples) -> tuple[float, dict]:
    """The held-out loss and figures."""
    task, scheme, batch_size = job.task, job.scheme, job.recipe.learning.batch_size
    if task.draws:
        answers = judge_rows(task, trainable, held_out, batch_of, batch_size)
        return weighted_mean(answers["judged"][:, 0], held_out.weights), task.measure(held_out.rows, answers, scheme)
    asked = Asked(task, job.text, job.recipe.max_length, inputs_of(held_out.rows, task), held_out.encoded)
    logits = asked.logits(trainable, lambda rows: batch_of(held_out, rows), batch_size)
    if task.contrast:
        eval_loss = compared_loss(task.loss(0.0), held_out, logits, batch_size)
    else:
        eval_loss = mean_loss(task.loss(0.0), held_out, logits)
    return eval_loss, task.measure(held_out.rows, asked.answers(logits, scheme), scheme)


def mean_loss(loss: Callable, examples: Examples, logits: Logits) -> float:
    """The loss over all rows or windows, each as much as it counts in training."""
    import numpy as np

    if isinstance(logits, np.ndarray):
        return weighted_mean(np.asarray(loss(examples.targets, logits)), examples.weights)
    lengths = examples.encoded.lengths
    losses = np.zeros(len(lengths))
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        for some in np.array_split(same, -(-len(same) // _AT_ONCE)):
            targets = targets_of(examples.targets, some, int(length))
            losses[some] = np.asarray(loss(targets, np.stack([logits[number] for number in some])))
    return weighted_mean(losses, examples.weights)


def compared_loss(loss: Callable, examples: Examples, logits: Logits, batch_size: int) -> float:
    """The loss of rows that are compared with each other, in batches as in training: of more rows it would be larger.

    The batches are the same each time, and mixed: neighbours in a file may be of one subject.
    """
    import numpy as np

    order = np.random.default_rng(0).permutation(len(examples.targets))
    losses = np.zeros(len(order))
    for some in np.array_split(order, -(-len(order) // batch_size)):
        losses[some] = np.asarray(loss(examples.targets[some], logits[examples.encoded.sequences(some)]))
    return weighted_mean(losses, examples.weights)


@contextlib.contextmanager
def _averages(trainable) -> Iterator[None]:
    """With `ema`, the moving averages stand in for the weights, which come back in the end."""
    average = averaged(trainable.optimizer)
    if average is None:
        yield
        return
    variables = trainable.trainable_variables
    moving = [variable.numpy() for variable in variables]
    for variable, value in zip(variables, average, strict=True):
        variable.assign(value.numpy())
    try:
        yield
    finally:
        for variable, value in zip(variables, moving, strict=True):
            variable.assign(value)


def _rates(job: Job, phase: Phase, trainable) -> dict[str, float]:
    """The present learning rate of each depth that trains."""
    levels = depths(job.network)
    top = float(trainable.optimizer.learning_rate.numpy())
    decay = phase.layer_decay or job.recipe.learning.layer_decay
    blocks = len(job.network.backbone.blocks)
    found = sorted({levels[variable.path] for variable in trainable.trainable_variables})
    return {depth_name(depth, blocks): top * decay**depth for depth in found}


def check_finite(loss: float, what: str, when: str, number: int) -> None:
    """Raises `KerasftError` when a loss is not a finite number.

    Args:
        loss: the loss.
        what: `loss` or `held-out loss`.
        when: where in the phase, for the message.
        number: of the phase, from 1.
    """
    if not math.isfinite(loss):
        raise KerasftError(
            f"The {what} is {loss} {when} of phase {number}: the training has diverged. Start a new run with a "
            "lower learning rate for this phase, or clip harder (--set clip_norm=0.1)."
        )
