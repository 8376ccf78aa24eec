"""Tokens hidden for masked language modelling, drawn anew in each epoch by a function without a state.

Devlin et al. 2019, section 3.1: 15 % of the tokens are chosen; of these 80 % become the mask token, 10 % a random one,
10 % stay as they are. Which tokens, and what becomes of them, is a hash of (seed, epoch, row, place): a run that was
killed and goes on, and every replica and worker, see the same without being told.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kerasft.backbones.view import Filling
from kerasft.data.pipeline import Encoded, padded
from kerasft.data.row_file import RowFile

SHARE = 0.15
MASKED, RANDOM = 0.8, 0.1
CHOSEN = "chosen"
"""The input that says at which places the network answers: int32[B, P], 0 where a row has fewer."""
TOKENS = "token_ids"
_ROWS = 1024
_END_OF_ROW = np.uint64(2**64 - 1)


class Drawn(NamedTuple):
    """Some rows in one epoch.

    Attributes:
        token_ids: int32[B, T], with the chosen tokens hidden.
        chosen: int32[B, P], the places of the chosen tokens in ascending order; 0 behind a row's last.
        targets: int32[B, P], 1 + what was there; 0 behind a row's last.
    """

    token_ids: np.ndarray
    chosen: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Draw:
    """The draw of one epoch.

    Attributes:
        tokens: int32[sum of lengths], in memory or in a file.
        starts: int64[N + 1], where each row begins.
        counts: int32[N], how many tokens of each row are chosen.
        special: int32[S], ids that are never chosen.
        ordinary: int32[O], the others: what a random token is one of.
        mask: the id of the mask token.
        seed: of the run.
        epoch: counted over the whole run.
    """

    tokens: np.ndarray | RowFile
    starts: np.ndarray
    counts: np.ndarray
    special: np.ndarray
    ordinary: np.ndarray
    mask: int
    seed: int
    epoch: int

    def __call__(self, rows: np.ndarray) -> Drawn:
        """Draws for some rows.

        Raises:
            OSError: the tokens lie in a file that cannot be read.
        """
        rows = np.asarray(rows, np.int64)
        tokens = _padded(self.tokens, self.starts, rows)
        eligible = _eligible(tokens, self.starts, rows, self.special)
        draws = _hashes(self.seed, self.epoch, rows, tokens.shape[1])
        counts = self.counts[rows]
        most = int(counts.max(initial=0))
        order = np.argsort(np.where(eligible, draws, _END_OF_ROW), axis=1, kind="stable")[:, :most]
        real = np.arange(most) < counts[:, None]
        # In the order of the text: what is filled up sorts behind it.
        chosen = np.sort(np.where(real, order, tokens.shape[1]), axis=1)
        row, number = np.nonzero(real)
        place = chosen[row, number]
        targets = np.zeros(real.shape, np.int32)
        targets[row, number] = tokens[row, place] + 1
        tokens[row, place] = self._hidden(tokens[row, place], draws[row, place])
        return Drawn(tokens, np.where(real, chosen, 0).astype(np.int32), targets)

    def _hidden(self, tokens: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """What stands in the place of chosen tokens int32[n] with their draws uint64[n]."""
        fate, choice = _mixed(draws ^ np.uint64(1)), _mixed(draws ^ np.uint64(2))
        share = (fate >> np.uint64(11)) * 2.0**-53
        others = self.ordinary[(choice % np.uint64(len(self.ordinary))).astype(np.int64)]
        return np.where(share < MASKED, self.mask, np.where(share < MASKED + RANDOM, others, tokens))


@dataclass(frozen=True)
class Part:
    """One array of a draw, made when a batch is: what a `RowFile` is for what lies on the disk.

    Attributes:
        draw: the draw.
        name: of an attribute of `Drawn`.
    """

    draw: Draw
    name: str

    def __len__(self) -> int:
        return len(self.draw.counts)

    @property
    def counts(self) -> np.ndarray:
        """int32[N], how many tokens of each row are chosen."""
        return self.draw.counts

    def padded(self, rows: np.ndarray, fill: int) -> np.ndarray:
        """int32[B, T or P]: of some rows; short ones are filled up."""
        found = getattr(self.draw(rows), self.name)
        if self.name == TOKENS and fill:
            lengths = self.draw.starts[rows + 1] - self.draw.starts[rows]
            found[np.arange(found.shape[1]) >= lengths[:, None]] = fill
        return found


@dataclass(frozen=True)
class Targets:
    """The chosen tokens of a draw, as `kerasft.data.pipeline.TokenTargets` has a target for each place.

    Attributes:
        part: of the draw.
    """

    part: Part

    def __len__(self) -> int:
        return len(self.part)

    @property
    def counts(self) -> np.ndarray:
        """int32[N], how many tokens of each row are chosen."""
        return self.part.counts

    def padded(self, rows: np.ndarray, width: int) -> np.ndarray:
        """int32[B, width]: 1 + each chosen token, one behind the other from the left; 0 elsewhere."""
        found = self.part.padded(rows, 0)
        return np.pad(found, [(0, 0), (0, width - found.shape[1])])


def hide(encoded: Encoded, filling: Filling, pieces: int, seed: int) -> Callable[[int], tuple[Encoded, Targets]]:
    """Hides tokens of encoded rows.

    Args:
        encoded: the rows, as they are.
        filling: the ids that are never chosen, and the mask.
        pieces: V, the ids that a random token is drawn from, special ones aside.
        seed: of the draw.

    Returns:
        (epoch) -> the rows of that epoch, with `chosen` as one more input, and their targets. Of a row with n tokens,
        special ones not counted, max(1, round(0.15 n)) are chosen, as in the authors' own program, in every epoch.

    Raises:
        OSError: the tokens lie in a file that cannot be read.
    """
    tokens = encoded.inputs[TOKENS]
    special = np.array(filling.special, np.int32)
    first = Draw(
        tokens=tokens,
        starts=encoded.starts,
        counts=_counts(tokens, encoded.starts, special),
        special=special,
        ordinary=np.setdiff1d(np.arange(pieces, dtype=np.int32), special),
        mask=filling.mask,
        seed=seed,
        epoch=0,
    )

    def of_epoch(epoch: int) -> tuple[Encoded, Targets]:
        draw = replace(first, epoch=epoch)
        hidden = {TOKENS: Part(draw, TOKENS), CHOSEN: Part(draw, CHOSEN)}
        padding = {**encoded.padding, CHOSEN: 0}
        drawn = replace(encoded, inputs={**encoded.inputs, **hidden}, padding=padding)
        return drawn, Targets(Part(draw, "targets"))

    return of_epoch


def _counts(tokens: np.ndarray | RowFile, starts: np.ndarray, special: np.ndarray) -> np.ndarray:
    count = len(starts) - 1
    found = np.zeros(count, np.int32)
    for begin in range(0, count, _ROWS):
        rows = np.arange(begin, min(begin + _ROWS, count))
        eligible = _eligible(_padded(tokens, starts, rows), starts, rows, special).sum(axis=1)
        found[rows] = np.where(eligible > 0, np.maximum(np.floor(SHARE * eligible + 0.5), 1), 0)
    return found


def _padded(tokens: np.ndarray | RowFile, starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return padded(tokens, starts, rows, 0) if isinstance(tokens, np.ndarray) else tokens.padded(rows, 0)


def _eligible(tokens: np.ndarray, starts: np.ndarray, rows: np.ndarray, special: np.ndarray) -> np.ndarray:
    """bool[B, T]: the places that may be chosen."""
    lengths = starts[rows + 1] - starts[rows]
    return (np.arange(tokens.shape[1]) < lengths[:, None]) & ~np.isin(tokens, special)


def _hashes(seed: int, epoch: int, rows: np.ndarray, width: int) -> np.ndarray:
    """uint64[B, width], a number for each place of some rows."""
    start = _mixed(np.array([seed], np.uint64))
    start = _mixed(start ^ np.array([epoch], np.uint64))
    by_row = _mixed(start ^ rows.astype(np.uint64))
    return _mixed(by_row[:, None] ^ np.arange(width, dtype=np.uint64)[None])


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64's output function (Steele et al. 2014) of numbers uint64[…], which wrap round."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
