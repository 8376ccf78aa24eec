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
