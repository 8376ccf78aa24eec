"""Figures of hidden tokens: over tokens, not over rows."""

import json
import math

import numpy as np
import pytest

from kerasft.evaluation.masked import masked_figures


def test_rows_count_as_much_as_they_hide():
    found = masked_figures(np.array([[1.0, 1, 1], [2.0, 0, 3]], np.float32), rows=2)
    assert found["accuracy"] == 0.25
    assert found["log_loss"] == pytest.approx(1.75)
    assert found["perplexity"] == pytest.approx(math.exp(1.75))
    assert (found["hidden_tokens"], found["rows"]) == (4, 2)
    assert found["accuracy_95"][0] <= 0.25 <= found["accuracy_95"][1]


@pytest.mark.parametrize("judged", [np.zeros((2, 3)), np.array([[1e5, 0, 2.0]])])
def test_nothing_hidden_and_nothing_learnt_are_figures_too(judged):
    json.dumps(masked_figures(judged, rows=len(judged)), allow_nan=False)
