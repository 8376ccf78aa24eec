"""Token ids -> text, in the graph."""

import tensorflow as tf


def join_pieces(pieces: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """The bytes that tokens stand for, side by side.

    Args:
        pieces: string[V], the bytes of each token.
        tokens: int32[B, N]; ids below 0 stand for nothing.

    Returns:
        string[B], which may end, or begin, within a character.
    """
    found = tf.where(tokens < 0, "", tf.gather(pieces, tf.maximum(tokens, 0)))
    return tf.strings.reduce_join(found, axis=1)


def valid_text(strings: tf.Tensor) -> tf.Tensor:
    """Bytes -> valid UTF-8: what is none becomes U+FFFD, as often as Python's `bytes.decode(errors="replace")` writes
    it; a server cannot send other bytes as JSON.

    Args:
        strings: string[B], any bytes.

    Returns:
        string[B].
    """
    return tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8", errors="replace")


def whole_length(strings: tf.Tensor) -> tf.Tensor:
    """How much of a growing text can be shown: all but the beginning of a character at its end.

    Args:
        strings: string[B], any bytes.

    Returns:
        int32[B], bytes: up to 3 fewer than a string has.
    """
    length = tf.strings.length(strings)
    last = tf.strings.substr(tf.strings.join(["\0\0\0", strings]), length, tf.fill(tf.shape(length), 3))
    codes = tf.cast(tf.io.decode_raw(last, tf.uint8, fixed_length=3), tf.int32)
    first, second, third = codes[:, 0], codes[:, 1], codes[:, 2]

    def goes_on(code):
        return tf.equal(tf.bitwise.bitwise_and(code, 0xC0), 0x80)

    def begins(code, least):
        """Of a character with this many bytes or more: 2 from 0xC2 on, 3 from 0xE0 on, 4 from 0xF0 on."""
        return (code >= least) & (code <= 0xF4)

    one = begins(third, 0xC2)
    two = begins(second, 0xE0) & goes_on(third)
    three = begins(first, 0xF0) & goes_on(second) & goes_on(third)
    return length - tf.where(one, 1, tf.where(two, 2, tf.where(three, 3, 0)))
