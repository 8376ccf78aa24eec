"""Figures of a multi-label classifier, from gathered predictions, and the threshold of each label."""

from collections.abc import Sequence

import numpy as np

FEWEST_ROWS = 5
UNTUNED = 0.5


def multi_label_figures(
    truth: Sequence[frozenset[str]], scores: np.ndarray, thresholds: np.ndarray, labels: Sequence[str]
) -> dict:
    """Everything said of a multi-label classifier.

    A row is given a label when its score reaches the label's threshold, both as float32: the rule that is served.

    Args:
        truth: the N sets of true labels.
        scores: probabilities float[N, C], as served.
        thresholds: float[C].
        labels: the C label names, in the order of the columns of `scores`.

    Returns:
        `micro_precision`, `micro_recall`, `micro_f1` (all decisions pooled); `macro_precision`, `macro_recall`,
        `macro_f1` (means over all C labels); `map`, the mean average precision over the labels that occur; `hamming`,
        the share of the N * C decisions that are wrong; `exact_match`, the share of rows without a wrong decision;
        `per_label` (precision, recall, f1, average_precision, rows, threshold); `rows`. A ratio with an empty
        denominator is 0.

    Raises:
        KeyError: a true label is not among `labels`.
    """
    scores, thresholds = np.asarray(scores, np.float32), np.asarray(thresholds, np.float32)
    actual = _matrix(truth, labels)
    predicted = scores >= thresholds
    hits, found, rows = (actual & predicted).sum(0), predicted.sum(0), actual.sum(0)
    precision, recall, f1 = _share(hits, found), _share(hits, rows), _share(2 * hits, found + rows)
    average_precision = np.array([_average_precision(actual[:, one], scores[:, one]) for one in range(len(labels))])
    occurs = rows > 0
    return {
        "micro_precision": float(_share(hits.sum(), found.sum())),
        "micro_recall": float(_share(hits.sum(), rows.sum())),
        "micro_f1": float(_share(2 * hits.sum(), found.sum() + rows.sum())),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "macro_f1": float(f1.mean()),
        "map": float(average_precision[occurs].mean()) if occurs.any() else 0.0,
        "hamming": float((actual != predicted).mean()),
        "exact_match": float((actual == predicted).all(axis=1).mean()),
        "per_label": {
            name: {
                "precision": float(precision[one]),
                "recall": float(recall[one]),
                "f1": float(f1[one]),
                "average_precision": float(average_precision[one]),
                "rows": int(rows[one]),
                "threshold": float(thresholds[one]),
            }
            for one, name in enumerate(labels)
        },
        "rows": len(actual),
    }


def best_thresholds(truth_matrix: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each label the threshold with the best F1 on these rows.

    A threshold lies midway between two neighbouring scores of its label, or between 0 and the lowest score. Of equally
    good ones the nearest to 0.5 is taken, and of two equally near the higher.

    Args:
        truth_matrix: bool[N, C], which rows have which label.
        scores: probabilities float[N, C], as served.

    Returns:
        float32[C], for the rule `score >= threshold` on float32. A label with fewer than 5 rows gets 0.5: so few say
        next to nothing about where to cut.
    """
    truth_matrix, scores = np.asarray(truth_matrix, bool), np.asarray(scores, np.float32)
    thresholds = np.full(truth_matrix.shape[1], UNTUNED, np.float32)
    for one in np.flatnonzero(truth_matrix.sum(0) >= FEWEST_ROWS):
        values, taken, hits = _cuts(truth_matrix[:, one], scores[:, one])
        f1 = 2 * hits / (taken + hits[-1])
        lower = np.append(values[1:], np.float32(0))
        middle = lower + (values - lower) / 2
        # Between two neighbouring float32s there is nothing: the upper one is then itself the threshold.
        middle = np.where((middle > lower) & (middle <= values), middle, values)
        # Equal fractions are equal floats (division is correctly rounded), so that ties are seen as ties.
        best = middle[f1 == f1.max()]
        thresholds[one] = best[np.abs(best - UNTUNED).argmin()]
    return thresholds


def _cuts(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct scores, highest first, with the number of rows and of true rows that reach each."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_ties = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return ordered[last_of_ties], last_of_ties + 1, np.cumsum(truth[order])[last_of_ties]


def _average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """The precision at each distinct score, weighted by the recall gained there; 0 for a label that never occurs."""
    _, taken, hits = _cuts(truth, scores)
    return float((np.diff(hits, prepend=0) * hits / taken).sum() / hits[-1]) if hits[-1] else 0.0


def _matrix(truth: Sequence[frozenset[str]], labels: Sequence[str]) -> np.ndarray:
    places = {name: number for number, name in enumerate(labels)}
    actual = np.zeros((len(truth), len(labels)), bool)
    for number, names in enumerate(truth):
        actual[number, [places[name] for name in names]] = True
    return actual


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.maximum(whole, 1)
