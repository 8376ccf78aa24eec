"""Figures of a classifier, from gathered predictions (never averaged over batches or replicas)."""

from collections.abc import Mapping, Sequence

import numpy as np

BOOTSTRAP_SAMPLES = 1000


def bootstrap_interval(correct: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean (Efron 1979).

    Args:
        correct: 0 or 1 for each row, [N].
        seed: of the resampling.

    Returns:
        The 2.5th and the 97.5th percentile of the mean over resampled rows.
    """
    # The number of hits among N rows drawn with replacement is binomial: no need to draw the rows themselves.
    random = np.random.default_rng(seed)
    hits = random.binomial(len(correct), correct.mean(), size=BOOTSTRAP_SAMPLES) / len(correct)
    low, high = np.percentile(hits, [2.5, 97.5])
    return float(low), float(high)


def classification_figures(truth: Sequence[str], answers: Mapping[str, np.ndarray], labels: Sequence[str]) -> dict:
    """Everything said of a classifier.

    Args:
        truth: the N true labels.
        answers: `probabilities` float[N, C], as served.
        labels: the C label names.

    Returns:
        `accuracy` with its interval `accuracy_95`, `balanced_accuracy` (the mean recall of the classes present),
        `macro_f1`, `log_loss` (nats), `per_class` (precision, recall, f1, rows), `confusion_matrix` (rows true, columns
        predicted, in the order of `labels`) and `rows`. A ratio with an empty denominator is 0.
    """
    # scikit-learn takes a second to import: only when figures are wanted.
    from sklearn import metrics

    probabilities = np.asarray(answers["probabilities"], np.float64)
    places = {name: number for number, name in enumerate(labels)}
    actual = np.array([places[name] for name in truth])
    predicted = probabilities.argmax(axis=-1)
    every = np.arange(len(labels))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        actual, predicted, labels=every, zero_division=0
    )
    correct = predicted == actual
    likelihood = np.maximum(probabilities[np.arange(len(actual)), actual], np.finfo(np.float32).tiny)
    return {
        "accuracy": float(correct.mean()),
        "accuracy_95": bootstrap_interval(correct),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "macro_f1": float(f1.mean()),
        "log_loss": float(-np.log(likelihood).mean()),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
            for name, p, r, f, n in zip(labels, precision, recall, f1, support, strict=True)
        },
        "confusion_matrix": metrics.confusion_matrix(actual, predicted, labels=every).tolist(),
        "rows": len(actual),
    }
