"""Prompts as the model reads them: cut from the left where they leave no room for an answer, none of them empty."""

from typing import NamedTuple

import tensorflow as tf


class Prompts(NamedTuple):
    """B prompts.

    Attributes:
        tokens: int32[B, T], each up to the last column; what is before is never seen.
        starts: int32[B], the column of each prompt's first token; below T.
        room: int32[B], the tokens that may follow.
        truncated: bool[B], whether the first tokens of the prompt are not read.
    """

    tokens: tf.Tensor
    starts: tf.Tensor
    room: tf.Tensor
    truncated: tf.Tensor


def place_prompts(prompts: tf.RaggedTensor, wanted: tf.Tensor, end: int, context: int) -> Prompts:
    """Lays prompts out beside each other, their right ends in one column.

    Args:
        prompts: int32[B, (T)], token ids. The end-of-text token stands for an empty one, as before every text that the
            model has seen.
        wanted: int32[B], how many tokens shall follow, from 0 on.
        end: id of the end-of-text token.
        context: the places that the model has.

    Returns:
        The prompts. One that is too long keeps its last tokens: so many that the wanted ones fit behind them, but half
        of the context at least. Where fewer than wanted fit, `room` says how many.
    """
    lengths = tf.cast(prompts.row_lengths(), tf.int32)
    kept = tf.minimum(lengths, tf.maximum(context - tf.minimum(wanted, context), max(context // 2, 1)))
    used = tf.maximum(kept, 1)
    width = tf.reduce_max(tf.concat([used, [1]], axis=0))
    places = lengths[:, tf.newaxis] - width + tf.range(width)
    # One column more, so that there is a place 0 when all prompts are empty.
    padded = tf.pad(tf.cast(prompts.to_tensor(), tf.int32), [[0, 0], [0, 1]])
    tokens = tf.gather(padded, tf.maximum(places, 0), batch_dims=1)
    tokens = tf.where(tf.equal(lengths, 0)[:, tf.newaxis], end, tokens)
    return Prompts(tokens, width - used, tf.minimum(wanted, context - used), kept < lengths)
