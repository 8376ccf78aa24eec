"""Regression figures against scikit-learn and SciPy, and where those have none."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from kerasft.evaluation.regression import regression_figures

# Eighths are exact, and few enough that many values are equal.
pairs = st.lists(st.tuples(st.integers(-24, 24), st.integers(-24, 24)), min_size=2, max_size=60).map(
    lambda rows: np.array(rows, np.float64).T / 8
)


@settings(deadline=None, max_examples=100)
@given(pairs)
def test_against_scikit_learn_and_scipy(rows):
    truth, predicted = rows
    assume(np.ptp(truth) > 0 and np.ptp(predicted) > 0)
    found = regression_figures(truth, predicted)
    assert found["pearson"] == pytest.approx(stats.pearsonr(truth, predicted).statistic, abs=1e-9)
    assert found["spearman"] == pytest.approx(stats.spearmanr(truth, predicted).statistic, abs=1e-9)
    assert found["rmse"] == pytest.approx(np.sqrt(metrics.mean_squared_error(truth, predicted)))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted))
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted))


@settings(deadline=None, max_examples=50)
@given(pairs)
def test_every_figure_is_a_number(rows):
    found = regression_figures(*rows)
    json.dumps(found, allow_nan=False)
    assert -1 <= found["pearson"] <= 1
    assert -1 <= found["spearman"] <= 1
    assert found["r2"] <= 1


def test_by_hand():
    found = regression_figures(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 5.0, 3.0], np.float32))
    # Deviations -1.5, -.5, .5, 1.5 and -1, -1, 2, 0: their product is 3, their squares are 5 and 6.
    assert found["pearson"] == pytest.approx(3 / np.sqrt(30))
    # Ranks 1, 2, 3, 4 and 1.5, 1.5, 4, 3: product 3.5, squares 5 and 4.5.
    assert found["spearman"] == pytest.approx(3.5 / np.sqrt(22.5))
    assert found["rmse"] == pytest.approx(np.sqrt(6 / 4))
    assert found["mae"] == pytest.approx(1.0)
    assert found["r2"] == pytest.approx(1 - 6 / 5)
    assert found["rows"] == 4


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 1e9])
def test_constants_have_no_correlation(constant):
    same, other = np.full(7, constant), np.arange(7.0)
    for truth, predicted in ((same, other), (other, same), (same, same)):
        found = regression_figures(truth, predicted)
        assert (found["pearson"], found["spearman"]) == (0.0, 0.0)


def test_r2_of_a_constant_truth():
    assert regression_figures(np.full(3, 0.1), np.full(3, 0.1))["r2"] == 1.0
    assert regression_figures(np.full(3, 0.1), np.array([0.1, 0.1, 0.2]))["r2"] == 0.0


def test_one_row():
    found = regression_figures(np.array([2.0]), np.array([5.0]))
    assert found == {"pearson": 0.0, "spearman": 0.0, "rmse": 3.0, "mae": 3.0, "r2": 0.0, "rows": 1}


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_correlation_does_not_depend_on_the_unit(scale):
    truth, predicted = np.random.default_rng(0).normal(size=(2, 20))
    expected = regression_figures(truth, predicted)["pearson"]
    assert regression_figures(truth * scale, predicted * scale)["pearson"] == pytest.approx(expected)


def test_a_perfect_correlation_is_one_at_most():
    truth = np.random.default_rng(1).normal(size=1000)
    found = regression_figures(truth, 3 * truth + 1)
    assert found["pearson"] == pytest.approx(1.0)
    assert found["pearson"] <= 1.0
    assert regression_figures(truth, -truth)["spearman"] == pytest.approx(-1.0)
