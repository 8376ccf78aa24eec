"""Multi-label figures against scikit-learn, thresholds against trying them all."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from kerasft.evaluation.multi_label import best_thresholds, multi_label_figures

NAMES = ("a", "b", "c")


def sets_of(matrix, names=NAMES):
    return [frozenset(name for name, has in zip(names, row, strict=True) if has) for row in matrix]


@st.composite
def predictions(draw):
    """True labels, and scores on a grid so coarse that many are equal."""
    rows = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    matrix = random.random((rows, len(NAMES))) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    scores = random.integers(0, draw(st.sampled_from([2, 8, 1000])) + 1, matrix.shape)
    return matrix, (scores / max(scores.max(), 1)).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(predictions(), st.lists(st.integers(1, 31).map(lambda value: value / 32), min_size=3, max_size=3))
def test_against_scikit_learn(given_rows, thresholds):
    matrix, scores = given_rows
    found = multi_label_figures(sets_of(matrix), scores, np.array(thresholds), NAMES)
    predicted = scores >= np.array(thresholds, np.float32)
    for average in ("micro", "macro"):
        expected = metrics.precision_recall_fscore_support(matrix, predicted, average=average, zero_division=0)
        figures = [found[f"{average}_{name}"] for name in ("precision", "recall", "f1")]
        assert figures == pytest.approx(expected[:3])
    assert found["hamming"] == pytest.approx(metrics.hamming_loss(matrix, predicted))
    assert found["exact_match"] == pytest.approx(metrics.accuracy_score(matrix, predicted))
    by_label = [
        metrics.average_precision_score(matrix[:, one], scores[:, one]) for one in range(3) if matrix[:, one].any()
    ]
    assert found["map"] == pytest.approx(np.mean(by_label) if by_label else 0.0)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(matrix, predicted, zero_division=0)
    for one, name in enumerate(NAMES):
        label = found["per_label"][name]
        figures = (label["precision"], label["recall"], label["f1"])
        assert figures == pytest.approx((precision[one], recall[one], f1[one]))
        assert label["rows"] == support[one]
    json.dumps(found, allow_nan=False)


def test_by_hand():
    truth = [frozenset("ab"), frozenset("a"), frozenset(), frozenset("b")]
    scores = np.array([[0.9, 0.2, 0.1], [0.4, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.7]])
    found = multi_label_figures(truth, scores, np.array([0.5, 0.25, 0.5]), NAMES)
    # a: rows 0 and 2 found, row 0 right; b: rows 2 and 3 found, row 3 right; c: row 3 found, none right.
    assert found["micro_precision"] == pytest.approx(2 / 5)
    assert found["micro_recall"] == pytest.approx(2 / 4)
    assert found["micro_f1"] == pytest.approx(4 / 9)
    assert found["macro_f1"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert found["hamming"] == pytest.approx(5 / 12)
    assert found["exact_match"] == 0.0
    # a in the order of its scores: right, wrong, right, wrong; b: right, wrong, right, wrong; c never occurs.
    assert found["map"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["per_label"]["c"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "average_precision": 0.0,
        "rows": 0,
        "threshold": 0.5,
    }


def test_one_row_without_labels_and_nothing_found():
    found = multi_label_figures([frozenset()], np.array([[0.1, 0.2, 0.3]]), np.full(3, 0.5), NAMES)
    assert (found["exact_match"], found["hamming"], found["micro_f1"], found["map"]) == (1.0, 0.0, 0.0, 0.0)
    assert found["rows"] == 1


def test_equal_scores_do_not_flatter_the_average_precision():
    truth = [frozenset("a")] + [frozenset()] * 3
    found = multi_label_figures(truth, np.full((4, 1), 0.5), np.array([0.5]), ("a",))
    assert found["map"] == 0.25


def test_a_score_equal_to_its_threshold_in_float32_is_given():
    found = multi_label_figures([frozenset("a")], np.array([[np.float32(0.3)]]), np.array([0.3]), ("a",))
    assert found["micro_f1"] == 1.0


def test_a_label_outside_the_list_is_refused():
    with pytest.raises(KeyError, match="z"):
        multi_label_figures([frozenset("z")], np.zeros((1, 3)), np.full(3, 0.5), NAMES)


def f1_at(truth, scores, threshold):
    predicted = scores >= np.float32(threshold)
    return 2 * (truth & predicted).sum() / (truth.sum() + predicted.sum())


@settings(deadline=None, max_examples=60)
@given(predictions())
def test_thresholds_against_trying_them_all(given_rows):
    matrix, scores = given_rows
    for one, threshold in enumerate(best_thresholds(matrix, scores)):
        truth, column = matrix[:, one], scores[:, one]
        if truth.sum() < 5:
            assert threshold == 0.5
            continue
        values = np.unique(np.append(column, 0))
        tried = [(low + high) / 2 for low, high in itertools.pairwise(values)]
        tried += [0.0] * (0 in column)
        f1 = [f1_at(truth, column, value) for value in tried]
        best = [value for value, figure in zip(tried, f1, strict=True) if figure == pytest.approx(max(f1), abs=1e-12)]
        # By the definition the nearest to 0.5, unless two are equally near up to rounding.
        distance = min(abs(value - 0.5) for value in best)
        assert abs(threshold - 0.5) == pytest.approx(distance, abs=1e-6)
        assert any(threshold == pytest.approx(value, abs=1e-6) for value in best)
        # Nothing else is better, wherever it lies.
        assert f1_at(truth, column, threshold) >= max(f1_at(truth, column, value) for value in np.linspace(0, 1, 41))


def test_thresholds_of_labels_that_are_rare_or_everywhere():
    scores = np.linspace(0.2, 0.9, 8, dtype=np.float32)[:, None].repeat(4, axis=1)
    matrix = np.zeros((8, 4), bool)
    matrix[-4:, 1] = True  # four rows, perfectly separated: still too few
    matrix[-5:, 2] = True
    matrix[:, 3] = True
    thresholds = best_thresholds(matrix, scores)
    assert thresholds[:2].tolist() == [0.5, 0.5]
    assert thresholds[2] == pytest.approx(0.45)
    assert thresholds[3] == pytest.approx(0.1)


def test_of_equally_good_thresholds_the_nearest_to_a_half_then_the_higher():
    # Cut below the fourth: 4 found, all right, of 6. Cut below the next score: 9 found, 6 right. F1 is 0.8 twice.
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 1, 1, 0], bool)
    for scores, thresholds, expected in (
        ([0.9] * 3 + [0.8] + [0.1] * 5 + [0.0], (0.45, 0.05), 0.45),
        ([0.95] * 3 + [0.9] + [0.8] * 5 + [0.3], (0.85, 0.55), 0.55),
        ([0.9] * 3 + [0.75] + [0.5] * 5 + [0.25], (0.625, 0.375), 0.625),
    ):
        column = np.array(scores, np.float32)
        assert [f1_at(truth, column, value) for value in thresholds] == pytest.approx([0.8, 0.8])
        assert best_thresholds(truth[:, None], column[:, None])[0] == pytest.approx(expected)


def test_a_threshold_between_neighbouring_floats_still_parts_them():
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    scores = np.array([low] * 5 + [high] * 5, np.float32)[:, None]
    truth = np.array([False] * 5 + [True] * 5)[:, None]
    stored = json.loads(json.dumps(best_thresholds(truth, scores).tolist()))
    found = multi_label_figures(sets_of(truth, ("a",)), scores, np.array(stored), ("a",))
    assert found["exact_match"] == 1.0
