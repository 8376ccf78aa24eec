"""Figures of a ranking: how near the top of each query's documents the relevant ones are."""

from collections.abc import Hashable, Sequence

import numpy as np

NDCG_DEPTH = 10


def ranking_figures(groups: Sequence[Hashable], relevance: np.ndarray, scores: np.ndarray) -> dict:
    """Everything said of a ranking.

    Among equal scores the least relevant document counts as ranked first: a model that cannot tell documents apart
    gains nothing from the order in which they happen to lie in the data.

    Args:
        groups: the query of each of the N rows, in any order; at least one row.
        relevance: float[N], how relevant the row's document is to its query; above 0 is relevant, and below 0 counts
            as 0.
        scores: float[N], higher is ranked before.

    Returns:
        Means over the queries that have a relevant document, 0 when none has: `mrr`, the reciprocal rank of the first
        relevant document; `map`, the average precision; `ndcg_at_10`, the normalised discounted cumulative gain of the
        first 10 documents (Järvelin and Kekäläinen 2002), with the gain 2^relevance - 1 and the discount
        log2(1 + rank) of Burges et al. 2005. Then `queries`, all of them; `queries_without_relevant`, those left out
        of the means; `rows`.
    """
    numbers: dict[Hashable, int] = {}
    group = np.array([numbers.setdefault(name, len(numbers)) for name in groups])
    relevance = np.maximum(np.asarray(relevance, np.float64), 0.0)
    # By query, then by score from the highest; among equals the least relevant first.
    order = np.lexsort((relevance, -np.asarray(scores, np.float64), group))
    group, relevance = group[order], relevance[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    rank = np.arange(len(group)) - first[group] + 1
    some = np.maximum.reduceat(relevance, first) > 0
    return {
        "mrr": _mean(np.maximum.reduceat((relevance > 0) / rank, first)[some]),
        "ndcg_at_10": _mean(_ndcg(relevance, group, rank, first)[some]),
        "map": _mean(_average_precision(relevance > 0, group, rank, first)[some]),
        "queries": len(first),
        "queries_without_relevant": int((~some).sum()),
        "rows": len(group),
    }


def _average_precision(relevant: np.ndarray, group: np.ndarray, rank: np.ndarray, first: np.ndarray) -> np.ndarray:
    """For each query the mean, over its relevant documents, of the share of relevant ones among those up to there.

    Args:
        relevant: bool[N], sorted by query and then by rank, as are the next two.
        group: int[N], the query's number, from 0.
        rank: int[N], from 1 in each query.
        first: int[Q], the place of each query's first row.

    Returns:
        float64[Q]; 0 for a query without a relevant document.
    """
    running = np.cumsum(relevant)
    of_earlier_queries = (running - relevant)[first]
    precision = (running - of_earlier_queries[group]) / rank
    return np.add.reduceat(precision * relevant, first) / np.maximum(np.add.reduceat(relevant.astype(int), first), 1)


def _ndcg(relevance: np.ndarray, group: np.ndarray, rank: np.ndarray, first: np.ndarray) -> np.ndarray:
    """For each query the discounted gain over the highest possible; arguments and answer as above."""
    # 2^relevance - 1, over 2^highest: the ratio stays the same, and no relevance is too large or small for a float.
    highest = np.maximum.reduceat(relevance, first)[group]
    gain = np.exp2(relevance - highest) * -np.expm1(-relevance * np.log(2))
    discount = np.where(rank <= NDCG_DEPTH, 1 / np.log2(1 + rank), 0.0)
    ideal = np.add.reduceat(gain[np.lexsort((-relevance, group))] * discount, first)
    return np.add.reduceat(gain * discount, first) / np.where(ideal > 0, ideal, 1.0)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
