"""Figures of a masked language model."""

import math

import numpy as np

from kerasft.evaluation.classification import bootstrap_interval

# Beyond this a mean loss says no more than that the model is lost; e to the power of more is no number in JSON.
_MOST_NATS = 300.0


def masked_figures(judged: np.ndarray, rows: int) -> dict:
    """How well hidden tokens are found.

    Args:
        judged: float[W, 3], of each row or window the mean loss of its hidden tokens in nats, how many of them were
            found, and how many there are.
        rows: of data.

    Returns:
        `accuracy`, the share of hidden tokens whose best piece is the right one, with its interval `accuracy_95` (over
        tokens, taken as independent); `perplexity`, e to the power of their mean loss; `log_loss`, that loss, in nats;
        `hidden_tokens`; `rows`. Without a hidden token, accuracy is 0 and perplexity 1.
    """
    judged = np.asarray(judged, np.float64)
    hidden = judged[:, 2]
    total, right = round(hidden.sum()), round(judged[:, 1].sum())
    loss = float(np.dot(judged[:, 0], hidden)) / max(total, 1)
    return {
        "accuracy": right / max(total, 1),
        "accuracy_95": bootstrap_interval(np.arange(total) < right) if total else (0.0, 0.0),
        "perplexity": math.exp(min(loss, _MOST_NATS)),
        "log_loss": loss,
        "hidden_tokens": total,
        "rows": rows,
    }
