"""From a score for each tag of each word to spans: the best legal sequence, in graph ops.

Tags are BIO (Ramshaw and Marcus 1995): 0 is O, then B and I of each label in turn. Legal is a sequence in which each I
follows a B or an I of its own label; the best one is found by dynamic programming (Viterbi 1967).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

OUTSIDE = 0
_NEVER = -1e9


def tag_names(labels: Sequence[str]) -> list[str]:
    """`O, B-x, I-x, B-y, …` by id."""
    return ["O", *(f"{prefix}-{label}" for label in labels for prefix in "BI")]


def _transitions(tags: int) -> np.ndarray:
    """float32[C, C]: 0 where a tag may follow another, else far below any score."""
    allowed = np.ones((tags, tags), bool)
    for inside in range(2, tags, 2):
        allowed[:, inside] = False
        allowed[[inside - 1, inside], inside] = True
    return np.where(allowed, 0.0, _NEVER).astype(np.float32)


def best_tags(scores: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """The legal tag sequence with the highest sum of scores.

    Args:
        scores: float32[B, N, C].
        lengths: int32[B], the words of each row.

    Returns:
        int32[B, N]; O behind the row's end.
    """
    tags = scores.shape[-1]
    # One word more, behind every row's end: there is then always something to stack.
    scores = tf.pad(scores, [[0, 0], [0, 1], [0, 0]])
    transitions = tf.constant(_transitions(tags))
    steps = tf.shape(scores)[1]
    by_word = tf.transpose(scores, [1, 0, 2])
    beginning = np.zeros(tags, np.float32)
    beginning[2::2] = _NEVER
    rows = tf.shape(scores)[0]

    def forward(word, best, came_from):
        options = best[:, :, tf.newaxis] + tf.where(word > 0, transitions, tf.constant(beginning)[tf.newaxis])
        # Behind the row's end nothing changes any more.
        going = (word < lengths)[:, tf.newaxis]
        reached = tf.reduce_max(options, axis=1) + by_word[word]
        back = tf.where(going, tf.argmax(options, axis=1, output_type=tf.int32), tf.range(tags)[tf.newaxis])
        return word + 1, tf.where(going, reached, best), came_from.write(word, back)

    empty = tf.TensorArray(tf.int32, size=steps, element_shape=[None, tags])
    _, best, came_from = tf.while_loop(lambda word, *_: word < steps, forward, (0, tf.zeros([rows, tags]), empty))

    def backward(word, tag, found):
        found = found.write(word, tag)
        return word - 1, tf.gather(came_from.read(word), tag, batch_dims=1), found

    last = tf.argmax(best, axis=1, output_type=tf.int32)
    found = tf.TensorArray(tf.int32, size=steps, element_shape=[None])
    _, _, found = tf.while_loop(lambda word, *_: word >= 0, backward, (steps - 1, last, found))
    path = tf.transpose(tf.reshape(found.stack(), [steps, rows]))
    real = tf.range(steps)[tf.newaxis] < lengths[:, tf.newaxis]
    return tf.where(real, path, OUTSIDE)[:, :-1]


class Spans(NamedTuple):
    """E spans of B rows, in order.

    Attributes:
        row: int64[E].
        first: int64[E], the first word.
        last: int64[E], the last word.
        label: int32[E], its label's id.
    """

    row: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor
    label: tf.Tensor


def spans_of(tags: tf.Tensor) -> Spans:
    """The spans that legal tags int32[B, N] make: each B with the I's behind it."""
    begins = tf.equal(tags % 2, 1)
    goes_on = tf.equal(tags % 2, 0) & (tags > 0)
    behind = tf.concat([goes_on[:, 1:], tf.zeros_like(goes_on[:, :1])], axis=1)
    ends = (tags > 0) & tf.logical_not(behind)
    # Each B has one end before the next B: in reading order they pair up.
    start, end = tf.where(begins), tf.where(ends)
    return Spans(start[:, 0], start[:, 1], end[:, 1], (tf.gather_nd(tags, start) - 1) // 2)
