"""Figures of a regression, from gathered predictions."""

import numpy as np


def regression_figures(truth: np.ndarray, predicted: np.ndarray) -> dict:
    """Everything said of a regression.

    Args:
        truth: float[N], at least one.
        predicted: float[N], in the same units.

    Returns:
        `pearson` and `spearman` (its ranks averaged over ties), both 0 where the truth or the predictions are all the
        same, as with one row; `rmse` and `mae`, in the units of the data; `r2`, the coefficient of determination: where
        the truth is all the same it is 1 for faultless predictions, else 0; `rows`.
    """
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    error = predicted - truth
    return {
        "pearson": _correlation(truth, predicted),
        "spearman": _correlation(_ranks(truth), _ranks(predicted)),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.abs(error).mean()),
        "r2": _determination(truth, error),
        "rows": len(truth),
    }


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    # A mean is rounded, so that even equal values can differ from it: what is constant is seen before it is centred.
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    left, right = left - left.mean(), right - right.mean()
    return float(np.clip(left @ right / np.linalg.norm(left) / np.linalg.norm(right), -1.0, 1.0))


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def _determination(truth: np.ndarray, error: np.ndarray) -> float:
    if np.ptp(truth) == 0:
        return float(not error.any())
    return float(1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum())
