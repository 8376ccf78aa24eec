"""Byte-pair encoding: words -> ids, by merging in every word its lowest-ranked pair until no pair is left.

Sennrich et al. 2016 (https://arxiv.org/abs/1508.07909), over bytes. All words of a batch are merged in one loop; words
that are one token each, most words of a text, are looked up instead. Nothing but constants and stateless ops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

_NEVER = np.int32(2**31 - 1)  # the rank of two tokens that do not merge
_HASHES = 2**31 - 1


@dataclass(frozen=True)
class Merges:
    """What the encoding needs of a vocabulary.

    Attributes:
        tokens: the bytes of each token, by id; None where an id stands for no bytes (a special token).
        pairs: (left id, right id, id of both together), best rank first, each pair once.
    """

    tokens: Sequence[bytes | None]
    pairs: Sequence[tuple[int, int, int]]


@dataclass(frozen=True)
class Encoded:
    """The T tokens of W words.

    Attributes:
        ids: int32[T].
        splits: int32[W + 1], where each word's tokens start.
    """

    ids: tf.Tensor
    splits: tf.Tensor


class BytePairs:
    """Encodes words by one vocabulary.

    Args:
        merges: its merges.
    """

    def __init__(self, merges: Merges):
        pairs = np.array(merges.pairs, np.int64).reshape(-1, 3)
        self._size = np.int64(len(merges.tokens))
        keys = pairs[:, 0] * self._size + pairs[:, 1]
        ranks = np.argsort(keys)
        one_by_one = _one_by_one(pairs, len(merges.tokens))
        byte_ids = {token: number for number, token in enumerate(merges.tokens) if token is not None}
        # Outside any graph under construction, so that all functions share one copy.
        with tf.init_scope(), tf.device("CPU:0"):
            # One more of each, that no pair has: a search past the end must find something.
            self._keys = tf.constant(np.append(keys[ranks], np.iinfo(np.int64).max))
            self._ranks = _small_constant(np.append(ranks, 0))
            self._merged = _small_constant(np.append(pairs[:, 2], 0))
            self._one_by_one = tf.constant(one_by_one) if one_by_one.any() else None
            self._bytes = tf.constant([byte_ids[bytes([byte])] for byte in range(256)], tf.int32)
            self._tabulate(merges.tokens)

    def _tabulate(self, tokens: Sequence[bytes | None]) -> None:
        """Finds the tokens that, as whole words, are encoded to themselves alone, and sorts them by a hash."""
        ids = np.array([number for number, token in enumerate(tokens) if token is not None], np.int32)
        strings = tf.constant([tokens[number] for number in ids])
        merged = self._merge(strings)
        splits = merged.splits.numpy()
        alone = np.flatnonzero(splits[1:] - splits[:-1] == 1)
        hashes = _hash(strings).numpy()[alone]
        # Of words with one hash the first is found; the others are merged, like words that are in no table.
        order = np.argsort(hashes, kind="stable")
        self._hashes = tf.constant(hashes[order])
        self._words = tf.gather(strings, alone[order])
        self._word_ids = _small_constant(ids[alone[order]])

    def encode(self, words: tf.Tensor) -> Encoded:
        """Encodes words.

        Args:
            words: str[W], none empty, any bytes.

        Returns:
            Their tokens, in order.
        """
        place = tf.minimum(_search(self._hashes, _hash(words)), tf.size(self._hashes) - 1)
        known = tf.equal(tf.gather(self._words, place), words)
        merged = self._merge(tf.gather(words, _where(~known)))

        # One list of the W ids found and of those merged; each word is a range of it.
        pool = tf.concat([_look_up(self._word_ids, place), merged.ids], axis=0)
        count = tf.size(words)
        unknown = tf.cumsum(tf.cast(~known, tf.int32), exclusive=True)
        first = tf.where(known, tf.range(count), count + tf.gather(merged.splits, unknown))
        behind = tf.where(known, first + 1, count + tf.gather(merged.splits, unknown + tf.cast(~known, tf.int32)))
        ranges = tf.raw_ops.RaggedRange(starts=first, limits=behind, deltas=1, Tsplits=tf.int32)
        return Encoded(tf.gather(pool, ranges.rt_dense_values), ranges.rt_nested_splits)

    def _merge(self, words: tf.Tensor) -> Encoded:
        """Encodes words by merging.

        The state of the loop is flat: `ids` int32[n], the tokens of all words; `word` int32[n], the word of each;
        `rank` int32[n], that of the pair which each token makes with the next one. A token of no word ends the list.
        """
        text = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)
        ids = tf.concat([tf.gather(self._bytes, tf.cast(text, tf.int32)), [0]], axis=0)
        starts = tf.cumsum(tf.strings.length(words))
        word = tf.cumsum(tf.scatter_nd(starts[:, tf.newaxis], tf.ones_like(starts), tf.shape(ids)))
        places = tf.range(tf.size(ids) - 1)
        rank = tf.concat([self._pair_ranks(ids, word, places), [_NEVER]], axis=0)

        def unfinished(ids, word, rank):
            return tf.reduce_min(rank) < _NEVER

        ids, word, rank = tf.while_loop(
            unfinished,
            self._merge_once,
            (ids, word, rank),
            shape_invariants=(tf.TensorShape([None]),) * 3,
            parallel_iterations=1,
        )
        return Encoded(ids[:-1], tf.searchsorted(word, tf.range(tf.size(words) + 1)))

    def _merge_once(self, ids: tf.Tensor, word: tf.Tensor, rank: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Merges the best pair of every word: all its occurrences, or the first where one may change the next."""
        best = tf.gather(tf.math.segment_min(rank, word), word)
        chosen = _where(tf.equal(rank, best) & (rank < _NEVER))
        if self._one_by_one is not None:
            in_word = tf.gather(word, chosen)
            is_first = tf.concat([tf.ones_like(chosen[:1], tf.bool), tf.not_equal(in_word[1:], in_word[:-1])], axis=0)
            at_once = ~tf.gather(self._one_by_one, tf.gather(rank, chosen))
            chosen = tf.gather(chosen, _where(is_first | at_once))
        chosen = _without_overlaps(chosen)
        merged = _look_up(self._merged, tf.gather(rank, chosen))
        column = tf.expand_dims(chosen, 1)
        ids = tf.tensor_scatter_nd_update(ids, column, merged)
        dropped = tf.scatter_nd(column + 1, tf.ones_like(merged), tf.shape(ids, tf.int64))
        kept = _where(tf.equal(dropped, 0))
        ids, word, rank = tf.gather(ids, kept), tf.gather(word, kept), tf.gather(rank, kept)
        # Each merge before a place has moved it by one. The pairs on both sides of a new token are new.
        places = chosen - tf.range(tf.size(chosen, tf.int64))
        places = tf.concat([places, tf.maximum(places - 1, 0)], axis=0)
        rank = tf.tensor_scatter_nd_update(rank, tf.expand_dims(places, 1), self._pair_ranks(ids, word, places))
        return ids, word, rank

    def _pair_ranks(self, ids: tf.Tensor, word: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Ranks of the pairs that the tokens at some places, the last one excepted, make with the next ones."""
        nexts = places + 1
        left, right = (tf.cast(tf.gather(ids, place), tf.int64) for place in (places, nexts))
        keys = left * self._size + right
        found = _search(self._keys, keys)
        is_pair = tf.equal(tf.gather(self._keys, found), keys)
        is_pair &= tf.equal(tf.gather(word, places), tf.gather(word, nexts))
        return tf.where(is_pair, _look_up(self._ranks, found), _NEVER)


def _small_constant(values: np.ndarray) -> tf.Tensor:
    """Numbers from 0 on, in no more bytes than they need: they are a part of every export."""
    return tf.constant(values.astype(np.min_scalar_type(values.max())))


def _look_up(table: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """int32 from a small constant."""
    return tf.cast(tf.gather(table, places), tf.int32)


def _hash(words: tf.Tensor) -> tf.Tensor:
    """int32 of each word. Only speed hangs on it: what it finds is compared with the word."""
    return tf.cast(tf.strings.to_hash_bucket_fast(words, _HASHES), tf.int32)


def _one_by_one(pairs: np.ndarray, size: int) -> np.ndarray:
    """Marks the pairs whose token is in a pair of better rank, which then comes before their next occurrence: bool[M].

    Training gives such merges only where it makes one token in two ways; GPT-2 has none.
    """
    ranks = np.arange(len(pairs))
    best_use = np.full(size, len(pairs))
    for side in (0, 1):
        np.minimum.at(best_use, pairs[:, side], ranks)
    return best_use[pairs[:, 2]] < ranks


def _without_overlaps(chosen: tf.Tensor) -> tf.Tensor:
    """Drops every second place of a run of neighbours: of "aaa", the left two letters are the pair that merges."""
    is_first = tf.concat([tf.ones_like(chosen[:1], tf.bool), chosen[1:] - chosen[:-1] > 1], axis=0)
    run = tf.cumsum(tf.cast(is_first, tf.int32)) - 1
    within = chosen - tf.gather(tf.gather(chosen, _where(is_first)), run)
    return tf.gather(chosen, _where(tf.equal(tf.bitwise.bitwise_and(within, 1), 0)))


def _where(mask: tf.Tensor) -> tf.Tensor:
    """The places where a mask is true: int64. Like `_search`, with fewer ops than the public function of this kind,
    for it is the number of ops that a small batch costs."""
    return tf.squeeze(tf.where(mask), 1)


def _search(table: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """The first place in a sorted table whose entry is not below each value: int32."""
    found = tf.raw_ops.LowerBound(sorted_inputs=tf.expand_dims(table, 0), values=tf.expand_dims(values, 0))
    return tf.squeeze(found, 0)
