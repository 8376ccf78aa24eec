"""What any way of writing gives for B prompts, and the words for why each answer ended."""

from typing import NamedTuple

import tensorflow as tf

WRITING, STOP, LENGTH, STOP_STRING, ERROR = range(5)
REASONS = ("", "stop", "length", "stop_string", "error")


class Answers(NamedTuple):
    """Tokens behind the prompts.

    Attributes:
        tokens: int32[B, N]; N is the longest answer, short ones are filled up with -1. An end-of-text token, and those
            that a stop string is made of, are among them.
        log_probability: float32[B, N], the model's own for each token, natural logarithms; 0 where there is none.
        reason: int32[B]: `STOP` (the end-of-text token), `LENGTH` (`max_new_tokens`, or the end of the context),
            `STOP_STRING`, or `ERROR` (nothing is written: a knob means nothing).
        cut: int32[B], the byte of the text at which a stop string begins; -1 without one.
    """

    tokens: tf.Tensor
    log_probability: tf.Tensor
    reason: tf.Tensor
    cut: tf.Tensor


def answers_from(
    tokens: tf.Tensor, log_probability: tf.Tensor, counts: tf.Tensor, reason: tf.Tensor, cut: tf.Tensor
) -> Answers:
    """Cuts buffers to the longest answer and clears what is behind each.

    Args:
        tokens: int32[B, M].
        log_probability: float32[B, M].
        counts: int32[B], the tokens of each answer, up to M.
        reason: int32[B].
        cut: int32[B].
    """
    longest = tf.reduce_max(tf.concat([counts, [0]], axis=0))
    is_token = tf.range(longest) < counts[:, tf.newaxis]
    return Answers(
        tokens=tf.where(is_token, tokens[:, :longest], -1),
        log_probability=tf.where(is_token, log_probability[:, :longest], 0.0),
        reason=reason,
        cut=cut,
    )
