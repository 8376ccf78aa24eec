"""Which of the most probable tokens may be drawn: top-k, top-p and min-p, each with a number a row."""

from typing import NamedTuple

import tensorflow as tf


class Filters(NamedTuple):
    """The numbers of B rows.

    Attributes:
        top_k: int32[B], the k most probable tokens (Fan et al. 2018); 0 for all.
        top_p: float32[B], of these the fewest, most probable first, that have at least this share of their sum
            (Holtzman et al. 2020); 1 for all.
        min_p: float32[B], of these the tokens at least this many times as probable as the best one (Nguyen et al.
            2024); 0 for all.
    """

    top_k: tf.Tensor
    top_p: tf.Tensor
    min_p: tf.Tensor


class Kept(NamedTuple):
    """What filters leave of sorted tokens.

    Attributes:
        count: int32[B], the first so many of the sorted tokens; at least 1.
        whole: bool[B], whether there is none to be kept beyond those that were shown.
    """

    count: tf.Tensor
    whole: tf.Tensor


def keep(scores: tf.Tensor, log_total: tf.Tensor, vocabulary: tf.Tensor | int, filters: Filters) -> Kept:
    """Applies the filters to the first tokens of a sorted vocabulary.

    Args:
        scores: float32[B, K], log-probabilities up to a constant of the row: the K highest of the row, highest first.
        log_total: float32[B], the logarithm of the sum of all V `exp(score)`.
        vocabulary: V.
        filters: sound ones.

    Returns:
        How many of the K are kept. With K = V, or where `whole` says so, these are all.
    """
    shown = tf.shape(scores)[1]
    rank = tf.range(shown)
    is_off = tf.equal(filters.top_k, 0) | (filters.top_k >= vocabulary)
    top_k = tf.where(is_off, vocabulary, filters.top_k)[:, tf.newaxis]
    by_rank = rank < top_k

    shares = tf.exp(scores - log_total[:, tf.newaxis])
    kept_share = tf.reduce_sum(tf.where(by_rank, shares, 0.0), axis=1)
    # Of top_p, "these" are what top_k left, whose sum is only known when all of them are shown.
    total = tf.where(is_off, 1.0, kept_share)
    takes_all = filters.top_p >= 1.0
    before = tf.cumsum(shares, axis=1, exclusive=True)
    by_share = takes_all[:, tf.newaxis] | (before < (filters.top_p * total)[:, tf.newaxis])
    knows_total = takes_all | is_off | (filters.top_k <= shown)

    by_best = scores >= scores[:, :1] + tf.math.log(filters.min_p)[:, tf.newaxis]
    # The best token is kept whatever rounding does.
    count = tf.reduce_sum(tf.cast((by_rank & by_share & by_best) | tf.equal(rank, 0), tf.int32), axis=1)
    whole = tf.equal(shown, vocabulary) | (knows_total & ((count < shown) | (~is_off & (filters.top_k <= shown))))
    return Kept(count, whole)


def are_off(filters: Filters, vocabulary: int) -> tf.Tensor:
    """bool[B]: whether a row may draw any token."""
    every = tf.equal(filters.top_k, 0) | (filters.top_k >= vocabulary)
    return every & (filters.top_p >= 1.0) & tf.equal(filters.min_p, 0.0)
