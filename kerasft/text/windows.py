"""Long texts as overlapping windows, so that a model with few positions reads all of them.

Devlin et al. 2019 read SQuAD's paragraphs so: windows of the network's length, each beginning a fixed number of tokens
after the one before.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf


class Windows(NamedTuple):
    """W windows over B rows, a row's windows one after the other; each row has at least one.

    Attributes:
        segments: for each text ragged int32[W, (T)]: all but the last whole, of the last the window's part.
        row: int32[W], the row of each window.
        first: int32[W], the token of the last text at which each window begins.
        cut: bool[B], whether the row needs more windows than it may have.
    """

    segments: tuple[tf.RaggedTensor, ...]
    row: tf.Tensor
    first: tf.Tensor
    cut: tf.Tensor


def windows(segments: Sequence[tf.RaggedTensor], room: tf.Tensor, overlap: int, most: int) -> Windows:
    """Cuts the last text of each row into windows.

    Args:
        segments: one ragged int32[B, (T)] a text, without special tokens.
        room: int32[B], tokens of the last text that one window of the row holds; 1 or more.
        overlap: tokens that neighbouring windows share, half of the room at most.
        most: windows that one row may have.

    Returns:
        The windows, as many as are needed for every token up to the cut.
    """
    *short, long = segments
    length = tf.cast(long.row_lengths(), tf.int32)
    step = room - tf.minimum(overlap, room // 2)
    needed = 1 + (tf.maximum(length - room, 0) + step - 1) // step
    count = tf.minimum(needed, most)
    row = tf.repeat(tf.range(tf.size(count)), count)
    first = tf.ragged.range(count).values * tf.gather(step, row)
    size = tf.minimum(tf.gather(length, row) - first, tf.gather(room, row))
    start = tf.gather(long.row_starts(), row) + tf.cast(first, long.row_splits.dtype)
    inside = tf.ragged.range(start, start + tf.cast(size, start.dtype), row_splits_dtype=start.dtype)
    parts = [_rows(segment, row) for segment in short] + [inside.with_values(tf.gather(long.values, inside.values))]
    return Windows(tuple(parts), row, first, needed > most)


def chosen(found: Windows, kept: tf.Tensor) -> Windows:
    """Some of the windows, by kept bool[W]; `cut` says which rows have lost one."""
    number = tf.where(kept)[:, 0]
    lost = tf.math.unsorted_segment_sum(tf.cast(~kept, tf.int32), found.row, tf.size(found.cut)) > 0
    parts = tuple(_rows(segment, number) for segment in found.segments)
    return Windows(parts, tf.gather(found.row, number), tf.gather(found.first, number), found.cut | lost)


def _rows(segment: tf.RaggedTensor, row: tf.Tensor) -> tf.RaggedTensor:
    """Some rows of a ragged tensor, with repeats."""
    start = tf.gather(segment.row_starts(), row)
    places = tf.ragged.range(start, start + tf.gather(segment.row_lengths(), row), row_splits_dtype=start.dtype)
    return places.with_values(tf.gather(segment.values, places.values))
