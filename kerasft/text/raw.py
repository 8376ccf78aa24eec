"""Parts of raw texts, by their bytes."""

import tensorflow as tf


def cut(texts: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Cuts a part out of each text.

    Args:
        texts: string[N].
        starts: int32[N], the first byte.
        ends: int32[N], the byte behind the last.

    Returns:
        string[N], UTF-8: bytes that are no text are replaced by U+FFFD, for JSON has none.
    """
    parts = tf.strings.substr(texts, starts, tf.maximum(ends - starts, 0))
    return tf.strings.unicode_transcode(parts, "UTF-8", "UTF-8", errors="replace")
