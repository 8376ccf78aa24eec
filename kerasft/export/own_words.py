"""Whether a generator writes what its network would: each token that it wrote, again through the Keras layers.

A generator computes the forward pass by itself, with a cache and with weights in another form. A mistake there would be
in the export and in what the export is compared with; so the trained layers themselves have the last word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasft.backbones.view import Backbone
from kerasft.errors import KerasftError

TOLERANCES = {"float32": 1e-3, "bf16": 0.25}
"""Precision of an export's weights -> the largest difference of two log-probabilities, natural logarithms.

Of 32 tokens behind each of 16 prompts, with random models of 4 blocks of 256, the largest was 1e-5 in float32 and 0.06
in bf16."""
_ROWS = 8


@dataclass(frozen=True)
class Words:
    """What was written in one row.

    Attributes:
        read: the token ids that were read, one or more.
        tokens: the token ids behind them.
        logprob: as many log-probabilities.
    """

    read: Sequence[int]
    tokens: Sequence[int]
    logprob: Sequence[float]


def check_words(backbone: Backbone, rows: Sequence[Words], tolerance: float, are_best: bool) -> float:
    """Reads what was written through the layers, and compares.

    Args:
        backbone: the trained layers.
        rows: any number, each within the context.
        tolerance: the largest difference of two log-probabilities.
        are_best: whether each token was written as the most probable one: the layers must find it so, or as probable
            as the best one within the tolerance.

    Returns:
        The largest difference that was found.

    Raises:
        KerasftError: a larger one.
    """
    model, largest = _language_model(backbone), 0.0
    table = np.asarray(backbone.token_embedding.embeddings, np.float32)
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        ids = [[*row.read, *row.tokens] for row in some]
        width = max(map(len, ids))
        tokens = np.array([row + [0] * (width - len(row)) for row in ids], np.int32)
        mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in ids], np.int32)
        hidden = np.asarray(model({"token_ids": tokens, "padding_mask": mask}, training=False), np.float32)
        for number, row in enumerate(some):
            first = len(row.read) - 1
            found = _log_softmax(hidden[number, first : first + len(row.tokens)] @ table.T)
            largest = max(largest, _compare(found, row, start + number, tolerance, are_best))
    return largest


def _compare(found: np.ndarray, row: Words, number: int, tolerance: float, are_best: bool) -> float:
    """float32[N, V] of the layers against one row."""
    if not row.tokens:
        return 0.0
    places = np.arange(len(row.tokens))
    own = found[places, row.tokens]
    gaps = np.abs(own - np.asarray(row.logprob, np.float32))
    if are_best:
        gaps = np.maximum(gaps, found.max(axis=1) - own)
    place = int(np.argmax(gaps))
    # Not `>`: a number that is none must not pass.
    if not gaps[place] <= tolerance:
        best = int(found[place].argmax())
        raise KerasftError(
            f"Not published: the generator does not write as the trained network does. Row {number}, token {place}: it "
            f"wrote {row.tokens[place]} with log-probability {row.logprob[place]:.5f}, the network gives that one "
            f"{own[place]:.5f} and its best, {best}, {found[place, best]:.5f}."
        )
    return float(gaps[place])


def _language_model(backbone: Backbone):
    """Tokens -> the hidden states that the next tokens are foretold from."""
    import keras

    inputs = backbone.inputs()
    hidden = backbone.embed(inputs)
    for block in backbone.blocks:
        hidden = backbone.run_block(block, hidden, inputs["padding_mask"])
    return keras.Model(dict(inputs), backbone.finish(hidden), name="language_model")


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
