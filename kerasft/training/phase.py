"""One phase: freeze, compile, then epoch by epoch: fit, watch the held-out rows, keep a way back."""

import itertools
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from kerasft.data.pipeline import shuffled_batches, token_batch
from kerasft.lora import add_lora, lora_weights, merge_lora
from kerasft.network import Network, depths, freeze, full_model, suffix_model
from kerasft.training.checkpoint import State
from kerasft.training.job import Examples, Job
from kerasft.training.keep import keep_best, keep_checkpoint, put_back_phase, restore_best
from kerasft.training.optimizer import make_optimizer
from kerasft.training.phases import Frontier, frontier, rows_of
from kerasft.training.progress import Bar
from kerasft.training.recipe import Phase
from kerasft.training.shares import training_dataset
from kerasft.training.step import make_trainable
from kerasft.training.watch import watch
from kerasft.weights import network_weights


def run_phase(
    job: Job,
    state: State,
    phase: Phase,
    keeper,
    train: Examples,
    held_out: Examples,
    resumed: Mapping[str, np.ndarray],
) -> None:
    """Trains what is left of a phase, and leaves the best weights so far in the network.

    Args:
        job: the run.
        state: where in the phase to begin; is moved on.
        phase: what to unfreeze, for how long, how fast.
        keeper: the run's `kerasft.training.keeper.make_keeper`, which is in `job.calls`.
        train: rows to learn from.
        held_out: rows to watch.
        resumed: the arrays of a checkpoint, to go on in the middle; empty for a phase from its beginning.

    Raises:
        KerasftError: the loss is not finite; the best weights so far are on the disk.
        Stopped: someone asked; a checkpoint is written.
    """
    began = time.monotonic()
    network, learning, number = job.network, job.recipe.learning, state.phase
    line = frontier(phase, len(network.backbone.blocks))
    freeze(network, line)
    if phase.lora:
        add_lora(network, line, phase.lora, seed=job.recipe.seed + number)
    model, batch_of = _model_of(job, line, train)
    record = _describe(network, phase, line, cached=train.cache is not None)
    lengths = train.encoded.group_lengths
    chosen = rows_of(phase, len(lengths), job.recipe.seed, number)
    rows = len(lengths) if chosen is None else len(chosen)
    of = "" if chosen is None else f" of {rows:,} rows"
    much = f"{phase.epochs} epoch{'s' * (phase.epochs > 1)}{of} at up to {phase.learning_rate:g}"
    job.report(f"Phase {number}: {record['trains']}; {much}")
    job.tracker.phase(state.updates + 1, number, record)

    first_epoch = len(state.history) - state.epoch
    epochs = [_batches(job, lengths, chosen, first_epoch + epoch) for epoch in range(phase.epochs)]
    optimizer = make_optimizer(learning, phase, sum(map(len, epochs)), depths(network))
    loss = job.task.loss(job.recipe.label_smoothing)
    trainable = make_trainable(model, loss, learning.clip_norm, job.xla, job.scaled, bool(job.task.contrast))
    trainable.compile(optimizer=optimizer)
    # With its variables made before, the train function is traced once instead of twice: half of a phase's start.
    optimizer.build(trainable.trainable_variables)
    put_back_phase(job, resumed, trainable)

    job.calls.begin_phase(
        trainable,
        number,
        epochs=len(state.history) - state.epoch + sum(each.epochs for each in learning.phases[number - 1 :]),
        steps=len(epochs[0]),
        epoch=len(state.history),
        batch=state.step,
    )
    patience = phase.patience or learning.patience
    done = state.epoch * rows + state.rows
    with Bar(f"phase {number}", rows * phase.epochs, start=done, epochs=phase.epochs, report=job.report) as bar:
        while state.epoch < phase.epochs and state.bad_epochs < patience and not job.calls.stopped:
            rest = epochs[state.epoch][state.step :]
            keeper.begin(job, state, rest, lengths, bar)
            if rest:
                # Endless: `fit` takes as many steps as it is told, and TensorFlow reads ahead.
                ahead = partial(itertools.chain, rest, itertools.repeat(rest[-1]))
                now, whole = train.in_epoch(first_epoch + state.epoch), bool(job.task.contrast)
                trainable.fit(
                    training_dataset(job.strategy, now, batch_of, ahead, learning.accumulate, job.xla, whole),
                    initial_epoch=state.epoch,
                    epochs=state.epoch + 1,
                    steps_per_epoch=len(rest),
                    shuffle=False,
                    verbose=0,
                    callbacks=job.calls,
                )
            with bar.paused():
                watch(job, state, phase, trainable, batch_of, held_out, keeper.rate)
                keep_checkpoint(job, state, trainable)
            job.check_stop()
    restore_best(job, state)
    if phase.lora:
        merge_lora(network)
        # From here on there are no factors: what is best has to be as plain as the network.
        keep_best(job, state)
    record.update(
        seconds=round(time.monotonic() - began, 2), steps=int(optimizer.iterations.numpy()), epochs_run=state.epoch
    )
    state.phases.append(record)
    state.phase, state.epoch, state.step, state.bad_epochs = number + 1, 0, 0, 0
    keep_checkpoint(job, state)
    job.check_stop()


def _batches(job: Job, lengths: np.ndarray, chosen: np.ndarray | None, epoch: int) -> list[np.ndarray]:
    """The rows of each batch of an epoch, counted over the whole run."""
    learning = job.recipe.learning
    some = lengths if chosen is None else lengths[chosen]
    batches = shuffled_batches(some, learning.batch_size, job.recipe.seed, epoch, learning.batch_tokens)
    return batches if chosen is None else [chosen[batch] for batch in batches]


def _model_of(job: Job, line: Frontier, train: Examples) -> tuple[Any, Callable]:
    """The model that a phase trains, and how to make its batches: from the cache if there is one, else from tokens."""
    recompute = job.recipe.machine.gradient_checkpointing
    if train.cache is None:
        model = full_model(job.network, frozen_below=line.block, recompute=recompute)
        return model, lambda of, rows: token_batch(of.encoded, rows)
    model = suffix_model(job.network, line.block, recompute=recompute)
    return model, lambda of, rows: of.cache.batch(line.block, rows)


def _describe(network: Network, phase: Phase, line: Frontier, cached: bool) -> dict[str, Any]:
    every = [*network_weights(network), *lora_weights(network)]
    trained = sum(math.prod(weight.shape) for weight in every if weight.trainable)
    total = sum(math.prod(weight.shape) for weight in every)
    blocks = len(network.backbone.blocks)
    names = ["the head"] if network.head.weights else []
    if line.block < blocks:
        what = f"rank {phase.lora} factors in " if phase.lora else ""
        some = f"blocks {line.block + 1} to {blocks}" if line.block + 1 < blocks else f"block {blocks}"
        names.append(f"{what}{some} of {blocks}")
    if line.embeddings:
        names.append("the embeddings")
    return {
        "unfrozen": phase.unfrozen,
        "trains": f"{' and '.join(names)}: {trained:,} of {total:,} parameters ({trained / total:.1%})",
        "trainable_parameters": trained,
        "parameters": total,
        "epochs": phase.epochs,
        "learning_rate": phase.learning_rate,
        **({"lora": phase.lora} if phase.lora else {}),
        "from_cache": cached,
    }
