"""Prompts as the model reads them: cut from the left where they leave no room for an answer, none of them empty."""

from typing import NamedTuple

import tensorflow as tf


class Prompts(NamedTuple):
    """B prompts.

    Attributes:
        tokens: int32[B, T], each from place 0 on, filled up with zeros.
        lengths: int32[B], at least 1.
        room: int32[B], the tokens that may follow.
        truncated: bool[B], whether the first tokens of the prompt are not read.
    """

    tokens: tf.Tensor
    lengths: tf.Tensor
    room: tf.Tensor
    truncated: tf.Tensor


def place_prompts(prompts: tf.RaggedTensor, wanted: tf.Tensor, end: int, context: int) -> Prompts:
    """Lays prompts out beside each other.

    Args:
        prompts: int32[B, (T)], token ids. The end-of-text token stands for an empty one, as before every text that the
            model has seen.
        wanted: int32[B], how many tokens shall follow.
        end: id of the end-of-text token.
        context: the places that the model has.

    Returns:
        The prompts. One that is too long keeps its last tokens: so many that the wanted ones fit behind them, but half
        of the context at least. Where fewer than wanted fit, `room` says how many.
    """
    lengths = tf.cast(prompts.row_lengths(), tf.int32)
    is_empty = tf.equal(lengths, 0)
    kept = tf.minimum(lengths, tf.maximum(context - tf.clip_by_value(wanted, 0, context), max(context // 2, 1)))
    padded = tf.cast(prompts.to_tensor(), tf.int32)
    width = tf.reduce_max(tf.concat([kept, [1]], axis=0))
    places = lengths[:, tf.newaxis] - kept[:, tf.newaxis] + tf.range(width)
    is_token = tf.range(width) < kept[:, tf.newaxis]
    # One column more, so that there is a place 0 when all prompts are empty.
    tokens = tf.gather(tf.pad(padded, [[0, 0], [0, 1]]), tf.where(is_token, places, 0), batch_dims=1)
    tokens = tf.where(is_empty[:, tf.newaxis], end, tf.where(is_token, tokens, 0))
    used = tf.maximum(kept, 1)
    return Prompts(tokens, used, tf.minimum(wanted, context - used), kept < lengths)
