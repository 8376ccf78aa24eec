"""Ranking figures against scikit-learn, by hand, and over every order of equal scores."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from kerasft.evaluation.ranking import ranking_figures

KEYS = ("mrr", "map", "ndcg_at_10")


def plain_figures(relevance):
    """The three figures of one query whose documents are in this order, from the definitions."""
    hits = [number for number, value in enumerate(relevance, 1) if value > 0]

    def gain(values):
        return sum((2**value - 1) / np.log2(1 + rank) for rank, value in enumerate(values[:10], 1))

    return {
        "mrr": 1 / hits[0],
        "map": sum((number + 1) / rank for number, rank in enumerate(hits)) / len(hits),
        "ndcg_at_10": gain(relevance) / gain(sorted(relevance, reverse=True)),
    }


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=5))
def test_equal_scores_count_as_in_their_worst_order(rows):
    found = ranking_figures(["q"] * len(rows), [float(r) for r, _ in rows], [float(s) for _, s in rows])
    if not any(relevance for relevance, _ in rows):
        assert found["queries_without_relevant"] == 1
        return
    orders = [
        [relevance for relevance, _ in order]
        for order in itertools.permutations(rows)
        if all(before[1] >= after[1] for before, after in itertools.pairwise(order))
    ]
    every = [plain_figures(order) for order in orders]
    for key in KEYS:
        assert found[key] == pytest.approx(min(figures[key] for figures in every))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_against_scikit_learn_where_no_scores_are_equal(seed, documents):
    random = np.random.default_rng(seed)
    relevance = random.integers(0, 4, documents).astype(float)
    relevance[random.integers(documents)] = 2.0
    scores = random.permutation(documents) / documents
    found = ranking_figures(["q"] * documents, relevance, scores)
    assert found["ndcg_at_10"] == pytest.approx(metrics.ndcg_score([2**relevance - 1], [scores], k=10))
    assert found["map"] == pytest.approx(metrics.average_precision_score(relevance > 0, scores))
    assert 1 / found["mrr"] == pytest.approx((scores >= scores[relevance > 0].max()).sum())


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_means_are_over_queries_and_the_order_of_rows_does_not_matter(seed):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 6, 50)
    relevance = random.integers(0, 3, 50) * (groups > 0)  # query 0 has nothing relevant
    scores = random.integers(0, 5, 50) / 4
    found = ranking_figures([f"query {group}" for group in groups], relevance, scores)
    alone = [
        ranking_figures(["q"] * (groups == group).sum(), relevance[groups == group], scores[groups == group])
        for group in np.unique(groups)
    ]
    counted = [figures for figures in alone if not figures["queries_without_relevant"]]
    for key in KEYS:
        assert found[key] == pytest.approx(np.mean([figures[key] for figures in counted]))
    assert found["queries"] == len(alone)
    assert found["queries_without_relevant"] == len(alone) - len(counted)
    order = random.permutation(50)
    assert ranking_figures(groups[order].tolist(), relevance[order], scores[order]) == pytest.approx(found)


def test_by_hand():
    # One query: relevance 3, 2, 0, 1 in the order of the scores; gains 7, 3, 0, 1.
    found = ranking_figures(["q"] * 4, [0, 3, 1, 2], [0.2, 0.9, 0.1, 0.5])
    assert found["mrr"] == 1.0
    assert found["map"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    second, third, fourth = 1 / np.log2([3, 4, 5])
    assert found["ndcg_at_10"] == pytest.approx((7 + 3 * second + fourth) / (7 + 3 * second + third))
    assert (found["queries"], found["queries_without_relevant"], found["rows"]) == (1, 0, 4)


def test_a_model_that_scores_all_alike_is_ranked_last():
    found = ranking_figures(["q"] * 20, [1.0] + [0.0] * 19, np.zeros(20))
    assert found["mrr"] == found["map"] == pytest.approx(1 / 20)
    assert found["ndcg_at_10"] == 0.0


def test_the_eleventh_document_gains_nothing():
    found = ranking_figures(["q"] * 11, [0.0] * 10 + [1.0], -np.arange(11.0))
    assert found["ndcg_at_10"] == 0.0
    assert found["mrr"] == pytest.approx(1 / 11)


def test_queries_without_a_relevant_document_are_counted_not_averaged():
    found = ranking_figures(["a", "a", "b", ("c", 1)], [1, 0, 0, -2], [0.9, 0.1, 0.5, 0.5])
    assert [found[key] for key in KEYS] == [1.0, 1.0, 1.0]
    assert (found["queries"], found["queries_without_relevant"], found["rows"]) == (3, 2, 4)


def test_no_relevant_document_anywhere():
    found = ranking_figures(["a", "b"], [0.0, 0.0], [0.3, 0.2])
    assert [found[key] for key in KEYS] == [0.0, 0.0, 0.0]
    assert found["queries_without_relevant"] == 2
    json.dumps(found, allow_nan=False)


def test_one_row():
    found = ranking_figures(["a"], [2.0], [0.3])
    assert [found[key] for key in KEYS] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("relevance", [1e-30, 1e-3, 100.0, 5000.0])
def test_any_size_of_relevance(relevance):
    found = ranking_figures(["a", "a"], [0.0, relevance], [0.9, 0.1])
    assert found["ndcg_at_10"] == pytest.approx(1 / np.log2(3))
