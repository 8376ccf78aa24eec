"""What a job writes down so as to lose nothing: checkpoints, and the best weights so far."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasft.lora import lora_weights
from kerasft.training.checkpoint import State, load_best, save_best, save_checkpoint
from kerasft.training.job import Job
from kerasft.weights import assign, named, network_weights, seed_states

# First letters of the arrays' names: weights, LoRA factors, seeds, optimizer.
_WEIGHTS, _FACTORS, _SEEDS, _OPTIMIZER = "wlso"


def keep_checkpoint(job: Job, state: State, trainable=None) -> None:
    """Writes a checkpoint, on the chief.

    Args:
        job: the run.
        state: how far it has come.
        trainable: the phase's model with its optimizer; None between two phases.
    """
    if job.chief:
        weights = {**_network(job), **named(seed_states(job.whole), _SEEDS)}
        optimizer = named(_optimizer_variables(trainable), _OPTIMIZER) if trainable is not None else {}
        save_checkpoint(job.folder, state, weights, optimizer, job.recipe.machine.keep)


def put_back(job: Job, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts a checkpoint's weights and random states into the network; nothing when there is no checkpoint."""
    if arrays:
        assign(network_weights(job.network), arrays, _WEIGHTS)
        assign(seed_states(job.whole), arrays, _SEEDS)


def put_back_phase(job: Job, arrays: Mapping[str, np.ndarray], trainable) -> None:
    """Puts back what a checkpoint in the middle of a phase has beside the weights: factors and optimizer."""
    if f"{_OPTIMIZER}0" in arrays:
        assign(lora_weights(job.network), arrays, _FACTORS)
        assign(_optimizer_variables(trainable), arrays, _OPTIMIZER)


def keep_best(job: Job, state: State) -> None:
    """Keeps the network's present weights as the best so far."""
    save_best(job.folder, state, _network(job))


def restore_best(job: Job, state: State) -> None:
    """Puts the best weights so far into the network."""
    arrays = load_best(job.folder, state)
    assign(network_weights(job.network), arrays, _WEIGHTS)
    for number, factor in enumerate(lora_weights(job.network)):
        # The best weights of an earlier phase have no factors: they are as if these were zero.
        name = f"{_FACTORS}{number}"
        factor.assign(arrays[name] if name in arrays else np.zeros(factor.shape, np.float32))


def _network(job: Job) -> dict[str, Any]:
    return {**named(network_weights(job.network), _WEIGHTS), **named(lora_weights(job.network), _FACTORS)}


def _optimizer_variables(trainable) -> list:
    scale = getattr(trainable, "loss_scale", None)
    return [*trainable.optimizer.variables, *((scale.scale, scale.good) if scale else ())]
