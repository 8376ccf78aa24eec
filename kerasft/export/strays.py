"""Answers of a generator that rounding has led elsewhere.

Where two tokens are equal to the last digits, the size of a batch decides between them, and all that follows is another
text. Such answers cannot be compared token by token; but there can only be a few of them.
"""

from collections.abc import Mapping

import numpy as np

TOKENS, LOGPROB = "tokens", "logprob"


def with_strays(
    expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
    """Makes two answers comparable, row by row.

    Args:
        expected: of a signature that writes: `tokens` int[B, N], `logprob` float[B, N], filled up with -1 and 0, and
            more; any other answer stays as it is.
        found: to compare with it.

    Returns:
        Both, equally wide; of rows with other tokens than expected, from the first other one on, `found` has what is
        expected there. And how many rows those are.
    """
    if not all({TOKENS, LOGPROB} <= set(side) for side in (expected, found)):
        return dict(expected), dict(found), 0
    if len(expected[TOKENS]) != len(found[TOKENS]):
        return dict(expected), dict(found), 0
    width = max(side[TOKENS].shape[1] for side in (expected, found))
    expected, found = _as_wide(expected, width), _as_wide(found, width)
    other = expected[TOKENS] != found[TOKENS]
    rows = np.any(other, axis=1)
    behind = np.cumsum(other, axis=1) > 0
    settled = {}
    for name, value in found.items():
        want = expected.get(name)
        if want is None or want.shape != value.shape:
            settled[name] = value
        elif name in (TOKENS, LOGPROB):
            settled[name] = np.where(behind, want, value).astype(value.dtype)
        else:
            settled[name] = np.where(rows.reshape(-1, *[1] * (value.ndim - 1)), want, value).astype(value.dtype)
    return expected, settled, int(rows.sum())


def _as_wide(side: Mapping[str, np.ndarray], width: int) -> dict[str, np.ndarray]:
    fills = {TOKENS: -1, LOGPROB: 0}
    return {
        name: np.pad(value, [(0, 0), (0, width - value.shape[1])], constant_values=fills[name])
        if name in fills
        else value
        for name, value in side.items()
    }


def most_strays(share: float, answers: int) -> int:
    """How many of some answers may have gone elsewhere: none for a share of 0, else one at least."""
    return 1 + int(share * answers) if share else 0
