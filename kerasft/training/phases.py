"""The unfreezing plan: which blocks each phase trains (after Howard and Ruder 2018)."""

from dataclasses import dataclass

from kerasft.errors import KerasftError
from kerasft.training.recipe import Phase, Recipe

SMALL_DATA = 5000


def plan(recipe: Recipe, rows: int, blocks: int) -> tuple[Phase, ...]:
    """The phases of a run, checked against the backbone.

    Args:
        recipe: `phases` wins; else the gradual plan, whose last phase takes `epochs` and `learning_rate`.
        rows: of training data; little data wants more epochs.
        blocks: that the backbone has.

    Raises:
        KerasftError: a phase asks for more blocks than there are.
    """
    phases = recipe.phases or _gradual(recipe, rows, blocks)
    for number, phase in enumerate(phases, start=1):
        if isinstance(phase.unfrozen, int) and phase.unfrozen > blocks:
            raise KerasftError(
                f"Phase {number} unfreezes {phase.unfrozen} blocks; backbone '{recipe.backbone}' has {blocks}. "
                f"Pass a number up to {blocks}, or 'all' to train the embeddings too."
            )
    return tuple(phases)


def _gradual(recipe: Recipe, rows: int, blocks: int) -> tuple[Phase, ...]:
    """Head, top half, everything. tests/benchmarks/README.md has the sweep from which the figures come."""
    small = rows < SMALL_DATA
    last = Phase(
        unfrozen="all",
        epochs=recipe.epochs or (2 if small else 1),
        learning_rate=recipe.learning_rate or 5e-5,
    )
    return (
        Phase(unfrozen="head", epochs=4, learning_rate=2e-3),
        Phase(unfrozen=max(1, blocks // 2), epochs=3 if small else 2, learning_rate=3e-4),
        last,
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
