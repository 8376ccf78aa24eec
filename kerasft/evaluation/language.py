"""Figures of a causal language model: how well it foretells a text."""

import math

import numpy as np

# Beyond this a mean loss says no more than that the model is lost; e to the power of more is no number in JSON.
_MOST_NATS = 300.0


def language_figures(losses: np.ndarray, tokens: np.ndarray, size: int, rows: int) -> dict:
    """How well tokens are foretold.

    Perplexity depends on the vocabulary: fewer, longer tokens are each harder to foretell. Bits per byte do not, and so
    compare models with different ones.

    Args:
        losses: float[W], of each row or block the mean loss of its learnt tokens, in nats.
        tokens: int[W], how many those are.
        size: bytes of UTF-8 of what was foretold; the end tokens stand for no bytes, but their loss counts.
        rows: of data.

    Returns:
        `perplexity`, e to the power of the mean loss of a token; `log_loss`, that loss, in nats; `bits_per_byte`, the
        loss of all tokens in bits over the bytes; `tokens`; `bytes`; `rows`. Without a token the loss is 0 and
        perplexity 1.
    """
    losses, tokens = np.asarray(losses, np.float64), np.asarray(tokens, np.float64)
    total, count = float(losses @ tokens), round(tokens.sum())
    loss = total / max(count, 1)
    return {
        "perplexity": math.exp(min(loss, _MOST_NATS)),
        "bits_per_byte": total / math.log(2) / max(size, 1),
        "log_loss": loss,
        "tokens": count,
        "bytes": size,
        "rows": rows,
    }
