"""The held-out loss: each row or window counts as much as in training."""

from types import SimpleNamespace

import numpy as np
import pytest

from kerasft.data.pipeline import Encoded, TokenTargets
from kerasft.training.watch import mean_loss

STARTS = np.array([0, 2, 5, 7])


def examples(targets, weights):
    encoded = Encoded(inputs={}, starts=STARTS, uncut=np.diff(STARTS), padding={})
    return SimpleNamespace(encoded=encoded, targets=targets, weights=np.array(weights, np.float32))


def squared(targets, logits):
    return np.square(targets - logits).sum(axis=-1)


def test_rows_count_by_their_weights():
    found = mean_loss(lambda targets, logits: targets - logits, examples(np.array([5, 3, 1]), [1, 2, 1]), np.zeros(3))
    assert found == pytest.approx((5 + 2 * 3 + 1) / 4)


def test_windows_of_different_lengths_count_by_their_weights():
    targets = TokenTargets(np.arange(7), STARTS, fill=-1)
    logits = [np.zeros(2), np.zeros(3), np.ones(2)]
    found = mean_loss(squared, examples(targets, [2, 3, 1]), logits)
    assert found == pytest.approx((2 * 1 + 3 * (4 + 9 + 16) + (16 + 25)) / 6)


def test_where_no_window_counts_there_is_no_loss():
    targets = TokenTargets(np.zeros(7), STARTS, fill=-1)
    assert mean_loss(squared, examples(targets, [0, 0, 0]), [np.ones(2), np.ones(3), np.ones(2)]) == 0.0
