"""The figures, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics

from kerasft.evaluation.classification import bootstrap_interval, classification_figures

NAMES = ("a", "b", "c")


def figures(seed=0, rows=200):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([1, 1, 1], rows).astype(np.float32)
    truth = [NAMES[number] for number in random.integers(0, 3, rows)]
    return truth, probabilities, classification_figures(truth, {"probabilities": probabilities}, NAMES)


def test_against_scikit_learn():
    truth, probabilities, found = figures()
    predicted = [NAMES[number] for number in probabilities.argmax(-1)]
    assert found["accuracy"] == metrics.accuracy_score(truth, predicted)
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, probabilities, labels=NAMES), rel=1e-5)
    assert found["confusion_matrix"] == metrics.confusion_matrix(truth, predicted, labels=NAMES).tolist()


def test_a_class_without_rows_is_no_error_and_not_in_the_balanced_accuracy():
    found = classification_figures(["a", "a"], {"probabilities": np.array([[0.9, 0.1, 0], [0.8, 0.1, 0.1]])}, NAMES)
    assert found["balanced_accuracy"] == 1.0
    assert found["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "rows": 0}


def test_a_probability_of_nought_is_a_large_loss_not_an_infinite_one():
    found = classification_figures(["b"], {"probabilities": np.array([[1.0, 0.0, 0.0]])}, NAMES)
    assert 50 < found["log_loss"] < 200


def test_the_interval_holds_the_truth_about_nineteen_times_in_twenty():
    random = np.random.default_rng(1)
    held = 0
    for trial in range(200):
        low, high = bootstrap_interval(random.random(150) < 0.8, seed=trial)
        held += low <= 0.8 <= high
    assert 180 <= held <= 199
