"""Ranking: queries are never parted, and figures are by query."""

import numpy as np
import pytest

import kerasft
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.tasks.ranking import TASK
from kerasft.tasks.task import Scheme
from kerasft.training.recipe import make_recipe


def judged(queries=40, highest=2):
    return [
        {"query": f"query {query}", "document": f"document {query} {grade}", "relevance": grade}
        for query in range(queries)
        for grade in range(highest + 1)
    ]


def prepared(rows, eval_data=None):
    return prepare_sets(TASK, make_recipe({"task": "ranking"}), rows, eval_data, None, "error")


def test_the_split_keeps_a_querys_documents_together():
    sets = prepared(judged())
    train, held_out = set(sets.train.column("query")), set(sets.held_out.column("query"))
    assert train
    assert held_out
    assert not train & held_out
    assert len(sets.held_out) == 3 * len(held_out)


def test_relevance_is_learnt_as_a_share_of_the_highest():
    sets = prepared(judged(), judged(2, highest=4))
    assert sets.scheme.numbers == {"highest": 2.0}
    assert TASK.targets(sets.train, sets.scheme)[:3].tolist() == [0.0, 0.5, 1.0]
    assert TASK.targets(sets.held_out, sets.scheme)[:5].tolist() == [0.0, 0.5, 1.0, 1.0, 1.0]


def test_figures_look_at_the_order_within_each_query_alone():
    rows = prepared(judged(3), judged(3)).held_out
    right = np.array([0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.01, 0.02, 0.03])
    figures = TASK.measure(rows, {"score": right}, Scheme())
    assert figures["mrr"] == figures["ndcg_at_10"] == figures["map"] == 1.0
    assert TASK.measure(rows, {"score": -right}, Scheme())["mrr"] == pytest.approx(1 / 2)


def test_scores_lie_between_0_and_1_and_the_loss_is_least_at_the_target():
    scores = np.asarray(TASK.respond(np.array([[-50.0], [0.0], [50.0]], np.float32), Scheme())["score"])
    np.testing.assert_allclose(scores, [0, 0.5, 1], atol=1e-6)
    shares = np.full(3, 0.5, np.float32)
    low, best, high = np.asarray(TASK.loss(0.0)(shares, np.array([[-1.0], [0.0], [1.0]], np.float32)))
    assert best < low
    assert best < high


@pytest.mark.parametrize("value", ["-1", "very", "nan", "inf", "1_0"])
def test_a_relevance_that_is_none_is_told_with_its_row(value):
    rows = [*judged(2), {"query": "q", "document": "d", "relevance": value}]
    with pytest.raises(kerasft.KerasftError, match=r"row 7: the relevance .*--on-bad-row skip"):
        read_for(TASK, rows)


def test_rows_that_are_all_alike_are_refused():
    with pytest.raises(kerasft.KerasftError, match="All 20 training rows have relevance 0"):
        prepared([{"query": f"q{n}", "document": "d e", "relevance": 0} for n in range(20)], judged(1))
