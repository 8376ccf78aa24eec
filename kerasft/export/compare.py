"""Two answers to one request: equal, or where they differ."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from kerasft.export.strays import LOGPROB

_PADDING = (b"", 0, -1)


class Difference(Exception):
    """Two answers differ; the message names output, row, expected and found."""


def sizes(outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The largest size of each output of floats: what rounding is measured against."""
    return {
        alias: float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value)))
        for alias, value in outputs.items()
        if value.dtype.kind == "f"
    }


def compare(
    expected: Mapping,
    found: Mapping,
    tolerance: float,
    padded=False,
    first_row=0,
    sizes: Mapping[str, float] = MappingProxyType({}),
) -> tuple[float, int]:
    """Compares two answers, output by output.

    Args:
        expected: alias -> array.
        found: alias -> array; may hold more outputs.
        tolerance: the largest absolute difference of two floats of a size up to 1.
        padded: let `found` be narrower than `expected` where only padding (b"", 0, -1) is missing: a row alone is
            padded to its own length, not to the longest of its batch.
        first_row: the number of the first row, for the message.
        sizes: of the outputs that may be larger than 1, such as numbers in the data's own units.

    Returns:
        The largest difference of floats, as a share of its output's size where that is above 1; and in how many rows a
        tie explains another string.

    Raises:
        Difference: the first one found.
    """
    tied = np.zeros(max((len(value) for value in expected.values()), default=0), dtype=bool)
    ranked = _ranked_ties(expected, tolerance)
    for alias, value in expected.items():
        # How probable tokens are says nothing of ties between them.
        if (
            alias != LOGPROB
            and value.dtype.kind == "f"
            and value.ndim == 2
            and value.shape[1] > 1
            and len(value) == len(tied)
        ):
            best = np.sort(value, axis=1)[:, -2:]
            # Two places that only fill a list up are no tie.
            tied |= (best[:, 1] - best[:, 0] <= tolerance) & (best[:, 1] != 0)
    for places in ranked.values():
        if len(places) == len(tied):
            tied |= np.any(places[:, :, 0], axis=1)
    largest, ties = 0.0, 0
    for alias, want in expected.items():
        if alias not in found:
            raise Difference(f"output {alias} is missing; found {', '.join(found) or 'none'}.")
        have = found[alias]
        if padded and have.ndim == want.ndim:
            want = _unpad(want, have)
        if have.shape != want.shape or have.dtype != want.dtype:
            shapes = f"expected {want.dtype} {list(want.shape)}, found {have.dtype} {list(have.shape)}"
            raise Difference(f"output {alias}: {shapes}.")
        if want.dtype.kind in "fcV":
            with np.errstate(invalid="ignore"):
                gap = np.abs(want.astype(np.complex128) - have.astype(np.complex128))
            same = (want == have) | (np.isnan(want) & np.isnan(have))
            gap = gap / max(1.0, sizes.get(alias, 0.0))
            wrong = ~same & ~(gap <= tolerance)
            largest = max(largest, float(np.max(gap[~same & ~wrong], initial=0.0)))
        else:
            wrong = want != have
            if want.dtype == object and want.ndim == 1:
                ties = max(ties, int(np.sum(wrong & tied)))
                wrong = wrong & ~tied
            elif want.dtype == object and expected[alias].shape in ranked:
                places = ranked[expected[alias].shape][tuple(slice(size) for size in want.shape)]
                ties = max(ties, int(np.sum(np.any(wrong & places, axis=(1, 2)))))
                wrong = wrong & ~places
        if np.any(wrong):
            place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            row = f"row {place[0] + first_row}" if place else "its one value"
            at = f" at {list(place[1:])}" if place[1:] else ""
            raise Difference(f"output {alias}, {row}{at}: expected {_shown(want[place])}, found {_shown(have[place])}.")
    return largest, ties


def _ranked_ties(expected: Mapping, tolerance: float) -> dict[tuple[int, ...], np.ndarray]:
    """Where ranked lists may have other strings: of each shape [B, M, K] of scores, best first, bool[B, M, K].

    A score that is within `tolerance` of the one above or below it is tied. So is the last one, for what was below it
    is not told. A place that only fills a list up has the score 0, and no tie.
    """
    found = {}
    for value in expected.values():
        if value.dtype.kind == "f" and value.ndim == 3 and value.shape[2] > 1:
            close = np.abs(np.diff(value, axis=2)) <= tolerance
            ends = np.zeros((*value.shape[:2], 1), bool)
            near = np.concatenate([ends, close], axis=2) | np.concatenate([close, ~ends], axis=2)
            found[value.shape] = near & (value > 0)
    return found


def _shown(value) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _unpad(want: np.ndarray, have: np.ndarray) -> np.ndarray:
    """Cuts `want` to the shape of `have` if only padding is lost; else gives `want` as it was."""
    if len(want) != len(have) or any(w < h for w, h in zip(want.shape, have.shape, strict=True)):
        return want
    kept = want[tuple(slice(size) for size in have.shape)]
    for pad in _PADDING:
        if np.sum(want != pad) == np.sum(kept != pad):
            return kept
    return want
