"""Stop strings: the bytes that end an answer, wherever the borders of its tokens are."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

MOST = 256  # bytes of a stop string that a request brings: the search takes memory for each
_NEVER = 2**31 - 1


class Written(NamedTuple):
    """What is known of the text of B rows while it grows.

    Attributes:
        tail: string[B], its last bytes: as many as a stop string may have begun with.
        length: int32[B], its bytes.
        cut: int32[B], the byte at which the first stop string begins; -1 while there is none.
    """

    tail: tf.Tensor
    length: tf.Tensor
    cut: tf.Tensor


def nothing_written(rows: tf.Tensor) -> Written:
    """The state of B rows before their first token."""
    none = tf.zeros([rows], tf.int32)
    return Written(tf.fill([rows], ""), none, none - 1)


def text_so_far(texts: tf.Tensor, stops: tf.Tensor) -> Written:
    """The state of rows that have a text already.

    Args:
        texts: string[B].
        stops: string[B, S], as for `write`.

    Returns:
        The state. A stop string that begins in a text and ends behind it will be found.
    """
    length = tf.strings.length(texts)
    # By the row's own stop strings: what is found in one row hangs on no other.
    own = tf.concat([tf.strings.length(stops), tf.ones_like(length)[:, tf.newaxis]], axis=1)
    skipped = tf.maximum(length - (tf.reduce_max(own, axis=1) - 1), 0)
    return Written(tf.strings.substr(texts, skipped, length - skipped), length, tf.zeros_like(length) - 1)


def write(written: Written, pieces: tf.Tensor, stops: tf.Tensor) -> Written:
    """Adds the bytes of a token to each row, and looks for stop strings that end in them.

    Args:
        written: so far.
        pieces: string[B]; "" leaves a row as it is.
        stops: string[B, S], those of each row; an empty one stops nothing.

    Returns:
        The new state. Of several stop strings in a row that end in one token, the one that begins first counts.
    """

    def searched():
        tail = tf.strings.join([written.tail, pieces])
        size = tf.strings.length(tail)
        found = find_first(tail, stops)
        is_new = (found >= 0) & (written.cut < 0)
        kept = tf.maximum(tf.reduce_max(tf.strings.length(stops)) - 1, 0)
        skipped = tf.maximum(size - kept, 0)
        return Written(
            tail=tf.strings.substr(tail, skipped, tf.fill(tf.shape(skipped), kept)),
            length=written.length + tf.strings.length(pieces),
            cut=tf.where(is_new, written.length - tf.strings.length(written.tail) + found, written.cut),
        )

    return tf.cond(tf.reduce_any(tf.not_equal(stops, "")), searched, lambda: written)


def find_first(texts: tf.Tensor, stops: tf.Tensor) -> tf.Tensor:
    """Where the first stop string of each text begins.

    Args:
        texts: string[B], any bytes.
        stops: string[B, S], any bytes; an empty one is nowhere.

    Returns:
        int32[B], the byte; -1 where there is none.
    """
    return _first(texts, stops, lambda left, sizes: (sizes > 0) & (sizes <= left))


def begun_at_end(texts: tf.Tensor, stops: tf.Tensor) -> tf.Tensor:
    """How much of each text's end may yet become a stop string: the longest end that one of them begins with.

    Args:
        texts: string[B], any bytes.
        stops: string[B, S], any bytes.

    Returns:
        int32[B], bytes; fewer than the longest stop string has.
    """
    length = tf.strings.length(texts)
    most = tf.maximum(tf.reduce_max(tf.strings.length(stops)) - 1, 0)
    skipped = tf.maximum(length - most, 0)
    first = _first(
        tf.strings.substr(texts, skipped, length - skipped), stops, lambda left, sizes: (left > 0) & (left < sizes)
    )
    return tf.where(first < 0, 0, length - skipped - first)


def _first(texts: tf.Tensor, stops: tf.Tensor, counts: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """The first byte of each text from which on it is equal to a stop string, as far as both go; -1 for none.

    Args:
        counts: (bytes left of the text, bytes of the stop string) -> whether such a place is wanted.
    """
    text_sizes, stop_sizes = tf.strings.length(texts), tf.strings.length(stops)[:, :, tf.newaxis]
    text, stop = _bytes(texts), _bytes(stops)
    starts, steps = tf.range(tf.shape(text)[1]), tf.range(tf.shape(stop)[2])
    places = tf.minimum(starts[:, tf.newaxis] + steps, tf.size(starts) - 1)
    windows = tf.gather(text, places, axis=1)[:, tf.newaxis]
    left = text_sizes[:, tf.newaxis, tf.newaxis] - starts
    compared = tf.minimum(left, stop_sizes)[..., tf.newaxis]
    is_equal = tf.reduce_all(tf.equal(windows, stop[:, :, tf.newaxis]) | (steps >= compared), axis=3)
    found = tf.where(is_equal & counts(left, stop_sizes), starts, _NEVER)
    first = tf.reduce_min(found, axis=[1, 2])
    return tf.where(tf.equal(first, _NEVER), -1, first)


def _bytes(strings: tf.Tensor) -> tf.Tensor:
    """uint8[..., W], zeros behind the end; W is the longest, and at least 1."""
    width = tf.reduce_max(tf.concat([tf.reshape(tf.strings.length(strings), [-1]), [1]], axis=0))
    return tf.io.decode_raw(strings, tf.uint8, fixed_length=width)
