"""What a request may say of how its rows are written: one number a row, checked row by row in the graph."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf


class Knobs(NamedTuple):
    """The knobs of B rows.

    Attributes:
        temperature: float32[B], from 0 on; logits are divided by it. 0: the best token each time, and no draw.
        top_k: int32[B], from 0 on; as in `kerasft.generation.filters.Filters`. 0 is off.
        top_p: float32[B], above 0 and up to 1; 1 is off.
        min_p: float32[B], from 0 to 1; 0 is off.
        repetition_penalty: float32[B], above 0; 1 is off.
        seed: int64[B], any. The same seed gives the same text for the same prompt and knobs.
        max_new_tokens: int32[B], from 0 on. More than the model has places are as many as it has.
    """

    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor
    min_p: tf.Tensor
    repetition_penalty: tf.Tensor
    seed: tf.Tensor
    max_new_tokens: tf.Tensor


DTYPES = Knobs(tf.float32, tf.int32, tf.float32, tf.float32, tf.float32, tf.int64, tf.int32)
DEFAULTS = Knobs(
    temperature=0.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0, seed=0, max_new_tokens=64
)  # greedy

_RULES: Mapping[str, tuple[Callable, str]] = {
    "temperature": (lambda value: tf.math.is_finite(value) & (value >= 0.0), "a number from 0 on"),
    "top_k": (lambda value: value >= 0, "a number from 0 on (0 for all tokens)"),
    "top_p": (lambda value: (value > 0.0) & (value <= 1.0), "a number above 0 and up to 1"),
    "min_p": (lambda value: (value >= 0.0) & (value <= 1.0), "a number from 0 to 1"),
    "repetition_penalty": (lambda value: tf.math.is_finite(value) & (value > 0.0), "a number above 0 (1 for none)"),
    "max_new_tokens": (lambda value: value >= 0, "a number from 0 on"),
}


def knobs_for(rows: tf.Tensor, **given) -> Knobs:
    """Fills in the knobs that are not given.

    Args:
        rows: B.
        given: by name, one number for all rows or an array [B].

    Returns:
        Knobs of B rows, not checked yet.

    Raises:
        ValueError: an unknown name; numbers of another count than B fail in the graph.
    """
    found = DEFAULTS._replace(**given)
    return Knobs(
        *(
            tf.broadcast_to(tf.convert_to_tensor(value, dtype), [rows])
            for value, dtype in zip(found, DTYPES, strict=True)
        )
    )


def check_knobs(knobs: Knobs) -> tuple[Knobs, tf.Tensor]:
    """Finds the rows with a knob that means nothing.

    Args:
        knobs: any.

    Returns:
        Knobs that are sound in every row, and what is wrong with each row's own: string[B], "" where nothing is, else
        one sentence on the first such knob.
    """
    errors = tf.fill(tf.shape(knobs.seed), "")
    for name, (is_sound, expected) in reversed(_RULES.items()):
        value = getattr(knobs, name)
        shown = tf.strings.as_string(value, shortest=value.dtype.is_floating)
        said = tf.strings.join([f"{name}: expected {expected}, found ", shown, "."])
        errors = tf.where(is_sound(value), errors, said)
    is_right = tf.equal(errors, "")
    sound = (tf.where(is_right, value, default) for value, default in zip(knobs, DEFAULTS, strict=True))
    return Knobs(*sound), errors
