"""Figures of retrieval by embeddings: how often the right document is among the nearest."""

from collections.abc import Sequence

import numpy as np

BLOCK = 1 << 24
"""The most scores held at once: 64 MiB."""

ROUNDING = 1e-6
"""Scores closer than this are equal: the same document, twice, can score differently in the last bits of a float32."""


def retrieval_figures(
    queries: np.ndarray,
    documents: np.ndarray,
    right: np.ndarray,
    ks: Sequence[int] = (1, 5, 10),
    passed_over: np.ndarray | None = None,
) -> dict:
    """Everything said of retrieval.

    Documents are ranked by their cosine with the query. Among equal scores the right document comes last: embeddings
    that are all alike find nothing.

    Args:
        queries: float32[N, D], at least one, unit vectors.
        documents: float32[M, D], unit vectors.
        right: int[N], for each query the index of the document to find.
        ks: the depths to look at.
        passed_over: int[P, 2], pairs of a query and a document that is neither right nor wrong for it: the query's own
            text, another right one. Not the document to find.

    Returns:
        `recall_at_k`, by k as text (`"1"`): the share of queries whose right document is among the k nearest; `mrr`,
        the mean reciprocal rank of the right document; `rows`, the queries; `documents`.
    """
    queries, documents = np.asarray(queries, np.float32), np.asarray(documents, np.float32)
    pairs = np.zeros((0, 2), np.int64) if passed_over is None else np.asarray(passed_over, np.int64)
    ranks = _ranks(queries, documents, np.asarray(right), pairs[np.argsort(pairs[:, 0], kind="stable")])
    return {
        "recall_at_k": {str(k): float((ranks <= k).mean()) for k in ks},
        "mrr": float((1 / ranks).mean()),
        "rows": len(queries),
        "documents": len(documents),
    }


def _ranks(queries: np.ndarray, documents: np.ndarray, right: np.ndarray, passed_over: np.ndarray) -> np.ndarray:
    """The rank of each query's right document, from 1; no more than `BLOCK` scores (or M, if more) at a time."""
    ranks = np.empty(len(queries), np.int64)
    rows = max(1, BLOCK // len(documents))
    for start in range(0, len(queries), rows):
        block = slice(start, start + rows)
        scores = queries[block] @ documents.T
        first, behind = np.searchsorted(passed_over[:, 0], [start, start + rows])
        query, document = passed_over[first:behind].T
        scores[query - start, document] = -np.inf
        reached = np.take_along_axis(scores, right[block, None], axis=1)
        ranks[block] = (scores >= reached - ROUNDING).sum(axis=1)
    return ranks
