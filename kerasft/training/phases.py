"""The unfreezing plan: which blocks each phase trains (after Howard and Ruder 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasft.errors import KerasftError
from kerasft.training.optimizer import RATE_OVER_ADAMW
from kerasft.training.recipe import Learning, Phase, Recipe

SMALL_DATA = 5000
# A new head has few weights: more rows teach it little, and each would have to pass the whole backbone.
_HEAD_ROWS = 2048
_AUTO_EPOCHS = 10
# ULMFiT: each layer learns 2.6 times slower than the one above it.
_ULMFIT_DECAY = 1 / 2.6


def batch_size(recipe: Recipe, rows: int) -> int:
    """Rows of one update: little data wants more updates, so smaller ones."""
    return recipe.learning.batch_size or (16 if rows < SMALL_DATA else 32)


def plan(recipe: Recipe, blocks: int) -> tuple[Phase, ...]:
    """The phases of a run, checked against the backbone.

    Args:
        recipe: `phases` wins; else its `plan`, whose last phase takes `epochs` and `learning_rate`.
        blocks: that the backbone has.

    Raises:
        KerasftError: a phase asks for more blocks than there are.
    """
    learning = recipe.learning
    phases = learning.phases or _with_last(_PLANS.get(learning.plan, _top)(learning, blocks), learning)
    for number, phase in enumerate(phases, start=1):
        if isinstance(phase.unfrozen, int) and phase.unfrozen > blocks:
            raise KerasftError(
                f"Phase {number} unfreezes {phase.unfrozen} blocks; backbone '{recipe.backbone}' has {blocks}. "
                f"Pass a number up to {blocks}, or 'all' to train the embeddings too."
            )
        if phase.lora and phase.unfrozen in ("head", "all"):
            raise KerasftError(
                f"Phase {number} has 'lora' with unfrozen: {phase.unfrozen}; low-rank factors go into blocks. "
                f"Pass a number of blocks, up to {blocks}."
            )
    return tuple(phases)


def check_sizes(recipe: Recipe, rows: int, replicas: int) -> None:
    """Checks that a batch can be cut as the recipe wants.

    Raises:
        KerasftError: more pieces than rows.
    """
    accumulate = recipe.learning.accumulate
    most = min(recipe.learning.batch_size, rows)
    if accumulate * replicas > most:
        where = f" on {replicas} devices" if replicas > 1 else ""
        what = f"batches of {most} rows" if most < rows else f"{rows} rows of data in all"
        if accumulate == 1:
            raise KerasftError(f"{replicas} devices need as many rows in a batch; there are {what}. Use fewer devices.")
        raise KerasftError(
            f"accumulate: {accumulate} micro-batches an update{where} need {accumulate * replicas} rows or more; "
            f"there are {what}. Pass a smaller accumulate or a larger batch_size."
        )


def check_together(recipe: Recipe) -> None:
    """Checks that batches stay whole, for a task that compares the rows of a batch with each other.

    Raises:
        KerasftError: micro-batches, or batches of one row.
    """
    learning = recipe.learning
    if learning.accumulate > 1:
        raise KerasftError(
            f"Task '{recipe.task}' compares all rows of a batch with each other: it takes no 'accumulate'. "
            "To save memory pass gradient_checkpointing=true or a smaller batch_size."
        )
    if learning.batch_size == 1:
        raise KerasftError(
            f"Task '{recipe.task}' compares the rows of a batch with each other: batch_size must be 2 or more, found 1."
        )


def rows_of(phase: Phase, count: int, seed: int, number: int) -> np.ndarray | None:
    """The rows that a phase learns from.

    Args:
        phase: of the run.
        count: rows, windows or groups that there are.
        seed: of the run.
        number: of the phase.

    Returns:
        int64[phase.rows], in order; None for all.
    """
    if phase.rows is None or phase.rows >= count:
        return None
    return np.sort(np.random.default_rng([seed, number]).choice(count, phase.rows, replace=False))


def _gradual(learning: Learning, blocks: int) -> list[Phase]:
    """The head, then the blocks but for the lowest sixth; that and the embeddings stay as they are.

    Measured on 6,920 sentences (tests/benchmarks/README.md): a phase for the top half between the two costs as much as
    it saves and does not raise the accuracy; nor do the lowest block of six and the embeddings, half of all weights,
    repay their updates.
    """
    return [
        Phase(unfrozen="head", epochs=2, learning_rate=3e-3, rows=_HEAD_ROWS),
        Phase(unfrozen=blocks - blocks // 6, epochs=2, learning_rate=1.5e-4),
    ]


def _full(learning: Learning, blocks: int) -> list[Phase]:
    """Every weight at one rate, as most fine-tuning is done, unless the recipe names a layer decay."""
    decay = None if "layer_decay" in learning.model_fields_set else 1.0
    return [Phase(unfrozen="all", epochs=3, learning_rate=5e-5, layer_decay=decay)]


def _head(learning: Learning, blocks: int) -> list[Phase]:
    return [Phase(unfrozen="head", epochs=5, learning_rate=3e-3)]


def _adapt(learning: Learning, blocks: int) -> list[Phase]:
    """A new head over a backbone as it is, then every weight at one rate, the embeddings too: for texts without labels
    (Gururangan et al. 2020)."""
    return [
        Phase(unfrozen="head", epochs=2, learning_rate=1e-3),
        *(phase.model_copy(update={"epochs": 5, "learning_rate": 2e-4}) for phase in _full(learning, blocks)),
    ]


def _scratch(learning: Learning, blocks: int) -> list[Phase]:
    """Random weights, all at one rate, which is twenty times that of fine-tuning."""
    return [phase.model_copy(update={"epochs": 10, "learning_rate": 1e-3}) for phase in _full(learning, blocks)]


def _top(learning: Learning, blocks: int) -> list[Phase]:
    """`top-N`: the head, then N blocks."""
    return [
        Phase(unfrozen="head", epochs=2, learning_rate=3e-3, rows=_HEAD_ROWS),
        Phase(unfrozen=int(learning.plan.removeprefix("top-")), epochs=2, learning_rate=2e-4),
    ]


def _ulmfit(learning: Learning, blocks: int) -> list[Phase]:
    """One block more each epoch, from the head down to the embeddings (Howard and Ruder 2018, sections 3.2 and 3.3)."""
    unfrozen = ["head", *range(1, blocks + 1), "all"]
    return [
        Phase(
            unfrozen=part,
            epochs=1,
            learning_rate=3e-3 if part == "head" else 2e-4,
            layer_decay=_ULMFIT_DECAY,
        )
        for part in unfrozen
    ]


def _auto(learning: Learning, blocks: int) -> list[Phase]:
    """Each phase goes on until the held-out figure stops improving: then the next begins from the best weights."""
    parts = dict.fromkeys(["head", max(blocks // 2, 1), blocks])
    rates = {"head": 3e-3, blocks: 1.5e-4}
    return [
        Phase(unfrozen=part, epochs=_AUTO_EPOCHS, learning_rate=rates.get(part, 2e-4), patience=1) for part in parts
    ]


_PLANS = {
    "gradual": _gradual,
    "full": _full,
    "head": _head,
    "ulmfit": _ulmfit,
    "auto": _auto,
    "adapt": _adapt,
    "scratch": _scratch,
}


def _with_last(phases: list[Phase], learning: Learning) -> list[Phase]:
    """The plans' rates are AdamW's; the recipe's `epochs` and `learning_rate` are the last phase's."""
    factor = RATE_OVER_ADAMW[learning.optimizer]
    phases = [phase.model_copy(update={"learning_rate": phase.learning_rate * factor}) for phase in phases]
    given = {key: getattr(learning, key) for key in ("epochs", "learning_rate") if getattr(learning, key)}
    return [*phases[:-1], phases[-1].model_copy(update=given)]


@dataclass(frozen=True)
class Frontier:
    """The line between frozen and trained layers.

    Attributes:
        block: the lowest block that trains; equal to the number of blocks when only the head does.
        embeddings: whether the embeddings train too.
    """

    block: int
    embeddings: bool


def frontier(phase: Phase, blocks: int) -> Frontier:
    """Where a phase cuts a backbone of so many blocks."""
    if phase.unfrozen == "all":
        return Frontier(block=0, embeddings=True)
    return Frontier(block=blocks if phase.unfrozen == "head" else blocks - phase.unfrozen, embeddings=False)


def cacheable(lines: Sequence[Frontier]) -> list[bool]:
    """Which phases may train on hidden states that were stored before the first of them.

    Args:
        lines: the frontier of each phase, in order.

    Returns:
        For each phase, whether its frozen part has been frozen in every earlier phase too: else the states are stale.
    """
    return [
        not line.embeddings
        and all(not earlier.embeddings and earlier.block >= line.block for earlier in lines[:number])
        for number, line in enumerate(lines)
    ]
