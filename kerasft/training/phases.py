"""The unfreezing plan: which blocks each phase trains (after Howard and Ruder 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass

from kerasft.errors import KerasftError
from kerasft.training.recipe import Phase, Recipe

SMALL_DATA = 5000


def batch_size(recipe: Recipe, rows: int) -> int:
    """Rows of one update: little data wants more updates, so smaller ones."""
    return recipe.batch_size or (16 if rows < SMALL_DATA else 32)


def plan(recipe: Recipe, blocks: int) -> tuple[Phase, ...]:
    """The phases of a run, checked against the backbone.

    Args:
        recipe: `phases` wins; else the gradual plan, whose last phase takes `epochs` and `learning_rate`.
        blocks: that the backbone has.

    Raises:
        KerasftError: a phase asks for more blocks than there are.
    """
    phases = recipe.phases or _gradual(recipe, blocks)
    for number, phase in enumerate(phases, start=1):
        if isinstance(phase.unfrozen, int) and phase.unfrozen > blocks:
            raise KerasftError(
                f"Phase {number} unfreezes {phase.unfrozen} blocks; backbone '{recipe.backbone}' has {blocks}. "
                f"Pass a number up to {blocks}, or 'all' to train the embeddings too."
            )
    return tuple(phases)


def _gradual(recipe: Recipe, blocks: int) -> tuple[Phase, ...]:
    """The head, then every block; the embeddings stay as they are.

    Measured on 6,920 sentences (tests/benchmarks/README.md): a phase for the top half between the two costs as much as
    it saves and does not raise the accuracy; nor do the embeddings, half of all weights, repay their updates.
    """
    return (
        Phase(unfrozen="head", epochs=2, learning_rate=3e-3),
        Phase(unfrozen=blocks, epochs=recipe.epochs or 2, learning_rate=recipe.learning_rate or 1.5e-4),
    )


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
