"""Random numbers that depend on a row's seed, the place in the row and the token, and on nothing else.

TensorFlow's stateless generators take one seed for a whole tensor; a batch has one a row. So a number here is a hash
of what it stands for: two multiply-and-shift rounds on 32 bits, with the constants that C. Wellons found by search
("lowbias32", https://nullprogram.com/blog/2018/07/31/).
"""

import numpy as np
import tensorflow as tf

_FIRST, _SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_PLACE, _KEY = np.uint32(0x9E3779B9), np.uint32(0x85EBCA6B)  # any odd numbers
_NO_KEY = np.uint32(0)


def gumbel(seeds: tf.Tensor, places: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """Standard Gumbel numbers: the token with the highest sum of log-probability and this number is a draw from the
    probabilities (Gumbel 1954).

    A draw by the cumulative sum would take one number a row. But then whatever moves the last bit of a logit, such as
    the size of the batch, moves the borders of all tokens; here it only matters where the two best sums are equal up to
    that bit. So the same seed gives the same text in any batch.

    Args:
        seeds: int64[B].
        places: int32[B].
        tokens: int32[B, K].

    Returns:
        float32[B, K].
    """
    first, second = (key[:, tf.newaxis] for key in _keys(seeds, places))
    bits = _mix(tf.bitwise.bitwise_xor(tf.cast(tokens, tf.uint32), first), second)
    # The highest sums come from the smallest of these, which float32 resolves down to 2 ** -33.
    share = tf.cast(bits, tf.float32) * np.float32(2.0**-32) + np.float32(2.0**-33)
    return -tf.math.log(-tf.math.log1p(-tf.minimum(share, np.float32(1 - 2.0**-24))))


def _keys(seeds: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Two uint32[B] from int64[B] and int32[B]."""
    low = tf.cast(tf.bitwise.bitwise_and(seeds, 0xFFFFFFFF), tf.uint32)
    high = tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(seeds, np.int64(32)), 0xFFFFFFFF), tf.uint32)
    place = _mix(tf.bitwise.bitwise_xor(tf.cast(places, tf.uint32), _PLACE))
    seed = _mix(tf.bitwise.bitwise_xor(low, _mix(tf.bitwise.bitwise_xor(high, _KEY))))
    first = _mix(tf.bitwise.bitwise_xor(seed, place))
    return first, _mix(tf.bitwise.bitwise_xor(first, _KEY), place)


def _mix(bits: tf.Tensor, key: tf.Tensor | np.uint32 = _NO_KEY) -> tf.Tensor:
    """A bijection of uint32 in which every bit of the input changes about half the bits of the output."""
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, np.uint32(16))) * _FIRST
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, np.uint32(15)))
    bits = tf.bitwise.bitwise_xor(bits, key) * _SECOND
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, np.uint32(16)))
