"""Retrieval figures against sorting, in blocks of any size."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.evaluation import retrieval
from kerasft.evaluation.retrieval import retrieval_figures


def unit_vectors(random, rows, width=8):
    vectors = random.normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 30), st.sampled_from([1, 7, 64, 1 << 24]))
def test_against_sorting(seed, count, documents_count, block):
    random = np.random.default_rng(seed)
    # Eighths have exact products: scores are equal, or plainly different.
    queries = random.integers(-3, 4, (count, 4)).astype(np.float32) / 8
    documents = random.integers(-3, 4, (documents_count, 4)).astype(np.float32) / 8
    right = random.integers(0, documents_count, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "BLOCK", block)
        found = retrieval_figures(queries, documents, right, ks=(1, 3, 100))
    ranks = []
    for query, target in zip(queries, right, strict=True):
        order = sorted(range(documents_count), key=lambda place: (-float(documents[place] @ query), place == target))
        ranks.append(1 + order.index(target))
    assert found["mrr"] == pytest.approx(np.mean([1 / rank for rank in ranks]))
    assert found["recall_at_k"] == pytest.approx({str(k): np.mean([rank <= k for rank in ranks]) for k in (1, 3, 100)})
    assert found["recall_at_k"]["100"] == 1.0
    json.dumps(found)


def test_by_hand():
    documents = np.eye(3, dtype=np.float32)
    queries = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.48, 0.6, 0.64]], np.float32)
    found = retrieval_figures(queries, documents, np.array([0, 1, 0]), ks=(1, 2))
    assert found["recall_at_k"] == pytest.approx({"1": 1 / 3, "2": 2 / 3})
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert (found["rows"], found["documents"]) == (3, 3)


@pytest.mark.parametrize("block", [1, 7, 1 << 24])
def test_what_is_passed_over_is_as_good_as_not_there(monkeypatch, block):
    monkeypatch.setattr(retrieval, "BLOCK", block)
    random = np.random.default_rng(5)
    queries, documents, right = unit_vectors(random, 30), unit_vectors(random, 20), random.integers(0, 20, 30)
    pairs = [(query, place) for query in range(30) for place in random.permutation(20)[:6] if place != right[query]]
    found = retrieval_figures(queries, documents, right, passed_over=np.array(pairs)[random.permutation(len(pairs))])
    scores = queries @ documents.T
    scores[tuple(np.array(pairs).T)] = -2
    assert found["mrr"] == pytest.approx(np.mean(1 / (scores >= scores[np.arange(30), right, None]).sum(axis=1)))


def test_embeddings_that_are_all_alike_find_nothing():
    alike = np.tile(unit_vectors(np.random.default_rng(0), 1), (50, 1))
    found = retrieval_figures(alike, alike, np.arange(50))
    assert found["recall_at_k"] == {"1": 0.0, "5": 0.0, "10": 0.0}
    assert found["mrr"] == pytest.approx(1 / 50)


@pytest.mark.parametrize("width", [3, 64, 384])
def test_the_same_document_twice_is_a_tie_wherever_it_lies(width):
    # A matrix product may sum its last columns in another order than the rest: the bits of equal rows then differ.
    random = np.random.default_rng(width)
    for count in range(1, 40):
        document = unit_vectors(random, count, width)
        found = retrieval_figures(document, np.concatenate([document, document]), np.arange(count), ks=(1, 2))
        assert found["recall_at_k"] == {"1": 0.0, "2": 1.0}


def test_one_query_and_one_document():
    one = np.ones((1, 1), np.float32)
    found = retrieval_figures(one, one, np.array([0]))
    assert found == {"recall_at_k": {"1": 1.0, "5": 1.0, "10": 1.0}, "mrr": 1.0, "rows": 1, "documents": 1}


def test_memory_is_bounded_by_the_block(monkeypatch):
    monkeypatch.setattr(retrieval, "BLOCK", 1 << 16)
    vectors = unit_vectors(np.random.default_rng(0), 2000)
    tracemalloc.start()
    retrieval_figures(vectors, vectors, np.arange(2000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All scores at once would be 16 MB; a block is 256 KiB, and its comparison 64 KiB.
    assert peak < 1_000_000
