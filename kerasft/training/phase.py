"""One phase: compile, fit, watch the held-out rows, keep the best weights."""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasft.data.pipeline import Encoded, dataset, shuffled_batches, sorted_batches, token_batch
from kerasft.errors import KerasftError
from kerasft.network import Network, depths, freeze, full_model, suffix_model
from kerasft.tasks.task import Task
from kerasft.training.optimizer import make_optimizer
from kerasft.training.phases import frontier
from kerasft.training.prefix_cache import Cache
from kerasft.training.progress import Bar, Say
from kerasft.training.recipe import Phase, Recipe


@dataclass(frozen=True)
class Examples:
    """Rows ready for training or for watching.

    Attributes:
        encoded: their tokens.
        labels: int32[N].
        weights: float32[N], the weight of each row's loss, or None.
        cache: hidden states at the boundaries that phases need, or None.
    """

    encoded: Encoded
    labels: np.ndarray
    weights: np.ndarray | None = None
    cache: Cache | None = None


@dataclass
class Best:
    """The best weights so far, run-wide. Mutable: that is its purpose.

    Attributes:
        rank: (headline figure, minus loss) on the held-out rows.
        weights: of the whole network.
        phase: 1-based number in which they were found.
    """

    rank: tuple[float, float] = (-math.inf, -math.inf)
    weights: Sequence[np.ndarray] = ()
    phase: int = 0

    def offer(self, network: Network, rank: tuple[float, float], phase: int) -> bool:
        """Keeps the network's present weights if they are the best; on a tie the later ones."""
        if rank < self.rank:
            return False
        self.rank, self.phase = rank, phase
        self.weights = [weight.numpy() for weight in network_weights(network)]
        return True

    def restore(self, network: Network) -> None:
        """Puts the best weights back."""
        for weight, value in zip(network_weights(network), self.weights, strict=True):
            weight.assign(value)


def network_weights(network: Network) -> list:
    """Every weight of the network, bottom to top, in a fixed order."""
    backbone = network.backbone
    layers = (*backbone.bottom, *backbone.blocks, *backbone.top, network.head)
    return [weight for layer in layers for weight in layer.weights if "seed_generator" not in weight.path]


def run_phase(
    network: Network,
    task: Task,
    recipe: Recipe,
    phase: Phase,
    number: int,
    train: Examples,
    held_out: Examples,
    labels: Sequence[str],
    best: Best,
    first_epoch: int,
    report: Say,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Trains one phase and leaves the best weights so far in the network.

    Args:
        network: is trained in place.
        task: loss, figures and the headline among them.
        recipe: batch size, smoothing, patience, seed.
        phase: what to unfreeze, for how long, how fast.
        number: of the phase, from 1.
        train: rows to learn from.
        held_out: rows to watch.
        labels: the label names.
        best: run-wide; is updated.
        first_epoch: epochs run by earlier phases, so that no two epochs share their order of rows.
        report: told of the phase and of each epoch.

    Returns:
        The phase's record for `metrics.json` and one line of history for each epoch.

    Raises:
        KerasftError: the loss is not finite; the network then holds the last good weights.
    """
    import keras

    began = time.monotonic()
    line = frontier(phase, len(network.backbone.blocks))
    freeze(network, line)
    model, batch_of = _model_of(network, line, train)
    record = _describe(network, phase, line, cached=train.cache is not None)
    report(f"Phase {number}: {record['trains']}; {phase.epochs} epochs at up to {phase.learning_rate:g}")

    steps = math.ceil(len(train.labels) / recipe.batch_size)
    loss = task.loss(recipe.label_smoothing)
    model.compile(
        optimizer=make_optimizer(recipe, phase, steps * phase.epochs, depths(network)),
        loss=loss,
        # XLA compiles anew for each length of batch: it does not pay without fixed shapes.
        jit_compile=False,
    )
    # With its variables made before, the train function is traced once instead of twice: half of a phase's start.
    model.optimizer.build(model.trainable_variables)

    def plan():
        # Endless: Keras takes as many steps as it is told, and warns when a dataset ends with them.
        for epoch in itertools.count(first_epoch):
            yield from shuffled_batches(train.encoded.lengths, recipe.batch_size, recipe.seed, epoch)

    def training_batch(rows):
        batch = (batch_of(train, rows), train.labels[rows])
        return batch if train.weights is None else (*batch, train.weights[rows])

    history: list[dict[str, Any]] = []

    def watch(epoch: int, training_loss: float, seconds: float) -> bool:
        logits = predict_logits(
            model, lambda rows: batch_of(held_out, rows), held_out.encoded.lengths, recipe.batch_size
        )
        eval_loss = float(keras.ops.mean(task.loss(0.0)(held_out.labels, logits)))
        _check_finite(eval_loss, "held-out loss", f"after epoch {epoch + 1}", number)
        truth = [labels[number] for number in held_out.labels]
        figure = task.measure(truth, answers(task, logits, labels), labels)[task.headline]
        better = best.offer(network, (figure, -eval_loss), number)
        rate = len(train.labels) / seconds
        history.append(
            {
                "phase": number,
                "epoch": epoch + 1,
                "loss": training_loss,
                "eval_loss": eval_loss,
                f"eval_{task.headline}": figure,
                "rows_per_second": round(rate, 1),
            }
        )
        report(
            f"  epoch {epoch + 1}/{phase.epochs}  loss {training_loss:.4f}  held-out loss {eval_loss:.4f}  "
            f"{task.headline} {figure:.4f}  {rate:.0f} rows/s{'  best so far' if better else ''}"
        )
        return better

    with Bar(f"phase {number}", len(train.labels) * phase.epochs) as bar:
        watcher = _watcher(watch, bar, len(train.labels) / steps, recipe.patience, number)
        try:
            model.fit(
                dataset(training_batch, plan),
                epochs=phase.epochs,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[watcher],
            )
        finally:
            best.restore(network)
    record.update(seconds=round(time.monotonic() - began, 2), steps=steps * len(history), epochs_run=len(history))
    return record, history


def _model_of(network: Network, line, train: Examples) -> tuple[Any, Callable]:
    """The model that a phase trains, and how to make its batches: from the cache if there is one, else from tokens."""
    if train.cache is None:
        return full_model(network, frozen_below=line.block), lambda of, rows: token_batch(of.encoded, rows)
    return suffix_model(network, line.block), lambda of, rows: of.cache.batch(line.block, rows)


def _describe(network: Network, phase: Phase, line, cached: bool) -> dict[str, Any]:
    every = network_weights(network)
    trained = sum(math.prod(weight.shape) for weight in every if weight.trainable)
    total = sum(math.prod(weight.shape) for weight in every)
    blocks = len(network.backbone.blocks)
    names = ["the head"]
    if line.block < blocks:
        names.append(f"blocks {line.block + 1} to {blocks} of {blocks}")
    if line.embeddings:
        names.append("the embeddings")
    return {
        "unfrozen": phase.unfrozen,
        "trains": f"{' and '.join(names)}: {trained:,} of {total:,} parameters ({trained / total:.1%})",
        "trainable_parameters": trained,
        "parameters": total,
        "epochs": phase.epochs,
        "learning_rate": phase.learning_rate,
        "from_cache": cached,
    }


def _watcher(watch: Callable[[int, float, float], bool], bar: Bar, rows: float, patience: int, number: int):
    """The Keras callback that moves the bar, stops at a loss that is not finite, and stops early."""
    import keras

    class Watcher(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            loss = float(logs["loss"])
            _check_finite(loss, "loss", f"at step {batch + 1}", number)
            bar.move(rows, f"loss {loss:.4f}")

        def on_epoch_end(self, epoch, logs=None):
            better = watch(epoch, float(logs["loss"]), time.monotonic() - self.began)
            self.bad = 0 if better else getattr(self, "bad", 0) + 1
            if self.bad >= patience:
                self.model.stop_training = True

    return Watcher()


def _check_finite(loss: float, what: str, when: str, number: int) -> None:
    if not math.isfinite(loss):
        raise KerasftError(
            f"The {what} is {loss} {when} of phase {number}: the training has diverged. The last good weights are "
            "kept. Lower this phase's learning rate (the last one's: --set learning_rate=…) or clip harder "
            "(--set clip_norm=0.1)."
        )


def answers(task: Task, logits: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """What the export would serve for these logits: `task.respond`'s outputs as arrays."""
    return {name: np.asarray(value) for name, value in task.respond(logits, labels).items()}


def predict_logits(
    model, batch_of: Callable[[np.ndarray], Mapping[str, np.ndarray]], lengths: np.ndarray, batch_size: int
) -> np.ndarray:
    """Logits of rows, in the order of the rows.

    Args:
        model: a Keras model from batches to logits.
        batch_of: row numbers -> the model's inputs.
        lengths: int[N], for batches of like length.
        batch_size: rows a batch.

    Returns:
        float32[N, C].
    """
    batches = sorted_batches(lengths, batch_size)
    found = model.predict(
        dataset(lambda rows: (batch_of(rows),), lambda: itertools.cycle(batches)), steps=len(batches), verbose=0
    )
    logits = np.empty_like(found)
    logits[np.concatenate(batches)] = found
    return logits
