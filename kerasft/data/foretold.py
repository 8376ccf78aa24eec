"""Sequences whose next tokens are learnt, as a network is trained with them: what it reads, and what it foretells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasft.backbones.view import TextFunctions
from kerasft.data.masking import CHOSEN, TOKENS
from kerasft.data.pipeline import Encoded, padded
from kerasft.data.ragged import Ragged, starts_of


@dataclass(frozen=True)
class Learnt:
    """The targets of N sequences, as `kerasft.data.pipeline.TokenTargets` has one for each place.

    Attributes:
        tokens: int32, 1 + each token that is to be foretold, in the order of its places.
        sizes: int64[N], the bytes of text that those of each sequence stand for.
    """

    tokens: Ragged
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def counts(self) -> np.ndarray:
        """int64[N], how many tokens of each sequence are learnt."""
        return self.tokens.lengths

    def padded(self, rows: np.ndarray, width: int) -> np.ndarray:
        """int32[B, width]: of some sequences, from the left; 0 behind the last of each."""
        found = padded(self.tokens.flat, self.tokens.starts, rows, 0)
        return np.pad(found, [(0, 0), (0, width - found.shape[1])])


@dataclass(frozen=True)
class Places:
    """At which places of a sequence the network foretells: an input of its own, made when a batch is.

    Attributes:
        places: int32, from 0 in each sequence.
    """

    places: Ragged

    def __len__(self) -> int:
        return len(self.places)

    def padded(self, rows: np.ndarray, fill: int) -> np.ndarray:
        """int32[B, P] of some sequences."""
        return padded(self.places.flat, self.places.starts, rows, fill)


def foretold(
    ids: np.ndarray,
    targets: np.ndarray,
    starts: np.ndarray,
    text: TextFunctions,
    uncut: np.ndarray | None = None,
    notes: Sequence[str] = (),
    **inputs: np.ndarray,
) -> tuple[Encoded, Learnt]:
    """Puts sequences into the form in which they are trained with.

    Args:
        ids: int32[sum of lengths], the tokens to read.
        targets: int32[sum of lengths], 1 + the next token where that is learnt, else 0.
        starts: int64[N + 1], where each sequence begins.
        text: the family's functions.
        uncut: int32[rows], the tokens that each had before a cut; those of the sequences when absent.
        notes: what is to be said of the rows.
        **inputs: more inputs, int32[sum of lengths] each.

    Returns:
        The sequences with `chosen` as an input of its own, and their targets.
    """
    learnt = np.flatnonzero(targets)
    sequence = np.searchsorted(starts, learnt, side="right") - 1
    learnt_starts = starts_of(np.bincount(sequence, minlength=len(starts) - 1))
    pieces = np.array([len(piece) for piece in text.spelling.pieces])
    sizes = np.bincount(sequence, pieces[targets[learnt] - 1], minlength=len(starts) - 1).astype(np.int64)
    places = Ragged((learnt - starts[sequence]).astype(np.int32), learnt_starts)
    encoded = Encoded(
        inputs={TOKENS: ids, CHOSEN: Places(places), **inputs},
        starts=starts,
        uncut=np.diff(starts).astype(np.int32) if uncut is None else uncut,
        padding={**text.padding, CHOSEN: 0},
        notes=tuple(notes),
    )
    return encoded, Learnt(Ragged(targets[learnt], learnt_starts), sizes)
