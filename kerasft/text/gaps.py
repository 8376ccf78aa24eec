"""Texts with gaps: `[MASK]` in a raw text, what the network takes of it, and the words that fill it. Graph ops only.

The text is split at the literal `[MASK]` before it is tokenised: elsewhere, and in every other task, a text that spells
a special token out is a text like any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kerasft.backbones.view import BEGINS, CONTINUES, Filling, TextFunctions
from kerasft.data.masking import CHOSEN, TOKENS

MASK = "[MASK]"
_KINDS = (BEGINS, CONTINUES)
_IMPOSSIBLE = -1e9
# In the packed rows: special tokens and filling are 0 or more, a token of the text is this, a gap the next.
_TOKEN, _GAP = -1, -2


@dataclass(frozen=True)
class Gaps:
    """A batch of B rows with gaps, P in the row that has most of those that are read.

    Attributes:
        parts: ragged string[B, (S)], the text between the gaps: one part more than gaps.
        inputs: what the network takes, int32[B, T] each, and `chosen` int32[B, P].
        kinds: int32[B, P], which pieces may fill each gap.
        count: int32[B], the gaps of each row that are read.
        filling: the family's pieces.
        truncated: bool[B], whether the end of a text is not read.
    """

    parts: tf.RaggedTensor
    inputs: Mapping[str, tf.Tensor]
    kinds: tf.Tensor
    count: tf.Tensor
    filling: Filling
    truncated: tf.Tensor


def read_gaps(text: TextFunctions, texts: Mapping[str, tf.Tensor], max_length: int) -> Gaps:
    """Tokenises texts, with a mask token for each `[MASK]`.

    Args:
        text: the family's functions.
        texts: the one text column -> string[B].
        max_length: tokens kept of each row, special tokens and masks included.

    Returns:
        The batch.
    """
    (column,) = texts.values()
    filling = text.filling()
    parts = tf.strings.split(tf.ensure_shape(column, [None]), MASK)
    rows = parts.nrows()
    row = parts.value_rowids()
    gap_behind = _gap_behind(parts)
    tokens, kinds = _tokens(text, parts.values, gap_behind, filling)

    def joined(of_parts: tf.RaggedTensor, gap: int) -> tf.RaggedTensor:
        size = tf.cast(gap_behind, tf.int64)
        gaps = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(size)], gap), size, validate=False)
        both = tf.concat([of_parts, gaps], axis=1)
        return tf.RaggedTensor.from_row_splits(
            both.values, tf.gather(both.row_splits, parts.row_splits), validate=False
        )

    ids = joined(tokens, filling.mask)
    marks = joined(tokens.with_values(tf.fill(tf.shape(tokens.values), _TOKEN)), _GAP)
    inputs = dict(text.pack([ids], max_length=max_length))
    found = tf.where(tf.equal(text.pack([marks], max_length=max_length)[TOKENS], _GAP))
    places = tf.RaggedTensor.from_value_rowids(tf.cast(found[:, 1], tf.int32), found[:, 0], rows, validate=False)
    inputs[CHOSEN] = places.to_tensor(0)
    kinds = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(kinds, gap_behind), tf.boolean_mask(row, gap_behind), rows, validate=False
    )
    return Gaps(
        parts=parts,
        inputs=inputs,
        kinds=kinds.to_tensor(BEGINS)[:, : tf.shape(inputs[CHOSEN])[1]],
        count=tf.cast(places.row_lengths(), tf.int32),
        filling=filling,
        truncated=text.lengths([ids]) > max_length,
    )


def _gap_behind(parts: tf.RaggedTensor) -> tf.Tensor:
    """bool[number of parts]: whether a gap is behind a part, as behind all but the last of each row."""
    number = tf.range(tf.size(parts.values, out_type=tf.int64))
    return number + 1 < tf.gather(parts.row_splits, parts.value_rowids() + 1)


def _tokens(text: TextFunctions, parts: tf.Tensor, gap_behind: tf.Tensor, filling: Filling):
    """The tokens of each part, ragged; and which pieces may fill the gap behind it, int32[number of parts]."""
    size = tf.strings.length(parts)
    if filling.takes_blank:
        last = tf.strings.substr(parts, tf.maximum(size - 1, 0), tf.ones_like(size))
        blank = gap_behind & tf.equal(last, " ")
        # The blank is a part of the piece that is hidden.
        cut = tf.strings.substr(parts, tf.zeros_like(size), size - tf.cast(blank, tf.int32))
        return text.tokenize(cut).ids, tf.where(blank, BEGINS, CONTINUES)
    tokens = text.tokenize(parts)
    # One token more, that ends nowhere: what a part without tokens has last.
    ids = tf.concat([tokens.ids.values, [0]], axis=0)
    ends = tf.concat([tokens.byte_ends.values, [-1]], axis=0)
    last = tf.where(tokens.ids.row_lengths() > 0, tokens.ids.row_limits() - 1, tf.size(ids, out_type=tf.int64) - 1)
    in_word = tf.equal(tf.gather(ends, last), size) & tf.gather(tf.constant(filling.letters), tf.gather(ids, last))
    return tokens.ids, tf.where(in_word, CONTINUES, BEGINS)


def best_pieces(logits: tf.Tensor, filling: Filling, most: int) -> tf.Tensor:
    """The best pieces for each place, among those that begin a word and among those that go on with one.

    Args:
        logits: float32[B, P, V].
        filling: which piece is of which kind.
        most: K, pieces of each kind.

    Returns:
        float32[B, P, 4 K]: for each kind the K probabilities, of all pieces of that kind, then the K ids (exact in
        float32 up to 16 million). Where there are fewer pieces of the kind, probability and id are 0.
    """
    pieces = logits.shape[-1]
    # An embedding may have rows that no piece of the vocabulary uses.
    kinds = np.pad(filling.kinds, (0, pieces - len(filling.kinds)))
    found = []
    for kind in _KINDS:
        of_kind = tf.where(tf.constant(kinds == kind), tf.cast(logits, tf.float32), _IMPOSSIBLE)
        best, ids = tf.math.top_k(of_kind, k=min(most, pieces))
        best, ids = (tf.pad(value, [[0, 0], [0, 0], [0, most - min(most, pieces)]]) for value in (best, ids))
        real = tf.range(most) < int((kinds == kind).sum())
        shares = tf.exp(best - tf.reduce_logsumexp(of_kind, axis=-1, keepdims=True))
        found += [tf.where(real, shares, 0.0), tf.cast(tf.where(real, ids, 0), tf.float32)]
    return tf.concat(found, axis=-1)


def fill(found: tf.Tensor, gaps: Gaps, most: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The words for each gap.

    Args:
        found: float32[B, P, 4 K], of `best_pieces`; P may be wider than the batch needs.
        gaps: the batch.
        most: K.

    Returns:
        `words` string[B, P, K] and their `scores` float32[B, P, K], best first, "" and 0.0 where there is none; and
        the texts with their gaps filled with the best word, string[B]: gaps that are not read stay as they are.
    """
    width = tf.shape(gaps.kinds)[1]
    by_kind = tf.reshape(found[:, :width], [tf.shape(found)[0], width, len(_KINDS), 2, most])
    chosen = tf.gather(by_kind, gaps.kinds - BEGINS, batch_dims=2)
    real = tf.sequence_mask(gaps.count, width)[:, :, tf.newaxis] & (chosen[:, :, 0] > 0)
    scores = tf.where(real, chosen[:, :, 0], 0.0)
    ids = tf.cast(tf.where(real, chosen[:, :, 1], 0.0), tf.int32)
    words = tf.where(real, tf.gather(tf.constant(list(gaps.filling.words)), ids), "")
    return words, scores, _filled(gaps, words[:, :, :1])


def _filled(gaps: Gaps, best: tf.Tensor) -> tf.Tensor:
    """string[B]: the texts with the best words, string[B, P, 1], in their gaps."""
    parts, rows = gaps.parts, tf.shape(best)[0]
    row = parts.value_rowids()
    gap_behind = _gap_behind(parts)
    # A column more, for the gaps behind those that are read.
    first = tf.concat([tf.reshape(best, tf.shape(best)[:2]), tf.fill([rows, 1], "")], axis=1)
    first = tf.where(tf.equal(first, ""), MASK, first)
    number = tf.range(tf.size(row, out_type=tf.int64)) - tf.gather(parts.row_starts(), row)
    place = tf.minimum(number, tf.cast(tf.shape(first)[1] - 1, tf.int64))
    behind = tf.where(gap_behind, tf.gather_nd(first, tf.stack([row, place], axis=1)), "")
    joined = tf.strings.unsorted_segment_join(tf.strings.join([parts.values, behind]), row, rows)
    # A request's bytes need not be UTF-8, but JSON must.
    return tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8", errors="replace")
