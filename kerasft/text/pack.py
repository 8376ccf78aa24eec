"""Packs one or two texts' tokens into the rows that BERT takes: [CLS] a [SEP], or [CLS] a [SEP] b [SEP]."""

from collections.abc import Sequence

import tensorflow as tf

from kerasft.errors import KerasftError


def pack(
    segments: Sequence[tf.RaggedTensor], start_id: int, end_id: int, pad_id: int, max_length: int
) -> dict[str, tf.Tensor]:
    """Truncates, joins and pads, with core ops that every TensorFlow Serving release has.

    Args:
        segments: one or two ragged int32[B, (T)], token ids without special tokens.
        start_id: id of [CLS].
        end_id: id of [SEP].
        pad_id: id of [PAD].
        max_length: the most tokens that a row may have, special ones included. Longer rows are cut by `kept_lengths`.

    Returns:
        `token_ids`, `segment_ids` (1 for the second text and its [SEP], else 0) and `padding_mask` (1 for tokens, 0 for
        padding), each int32[B, T]; T is the longest row of the batch, and that of an empty text when there are no rows.

    Raises:
        KerasftError: `max_length` has no room for the special tokens.
    """
    lengths = kept_lengths(segments, max_length)
    batch = tf.shape(lengths[0])
    start, end = (_column(token, batch) for token in (start_id, end_id))
    parts = [start]
    for segment, length in zip(segments, lengths, strict=True):
        parts += [_first(segment, length), end]
    rows = tf.concat(parts, axis=1)

    length = tf.add_n(lengths) + _special(segments)
    width = tf.reduce_max(tf.concat([length, [_special(segments)]], axis=0))
    token_ids = rows.to_tensor(pad_id, shape=tf.stack([-1, width]))
    position = tf.range(width)
    padding_mask = position < length[:, tf.newaxis]
    in_second = padding_mask & (position >= lengths[0][:, tf.newaxis] + 2)
    return {
        "token_ids": token_ids,
        "segment_ids": tf.cast(in_second, tf.int32),
        "padding_mask": tf.cast(padding_mask, tf.int32),
    }


def kept_lengths(segments: Sequence[tf.RaggedTensor], max_length: int) -> list[tf.Tensor]:
    """Counts the tokens of each text that `pack` keeps: longest first, as the `tokenizers` library truncates.

    Where both texts must be cut, each keeps half, and the longer one (the second, when they are equal) the odd token.

    Args:
        segments: one or two ragged int32[B, (T)].
        max_length: the most tokens that a row may have, special ones included.

    Returns:
        int32[B] for each text.

    Raises:
        KerasftError: `max_length` has no room for the special tokens.
    """
    room = max_length - _special(segments)
    if room < 0:
        raise KerasftError(
            f"max_length must be at least {_special(segments)} for {len(segments)} text(s) and the special tokens; "
            f"found {max_length}. Raise max_length."
        )
    lengths = [tf.cast(segment.row_lengths(), tf.int32) for segment in segments]
    if len(lengths) == 1:
        return [tf.minimum(lengths[0], room)]

    first, second = lengths
    shorter = tf.minimum(first, second)
    longer = tf.minimum(tf.maximum(first, second), tf.maximum(shorter, room - shorter))
    both_cut = shorter + longer > room
    shorter = tf.where(both_cut, room // 2, shorter)
    longer = tf.where(both_cut, room - room // 2, longer)
    swapped = first > second
    return [tf.where(swapped, longer, shorter), tf.where(swapped, shorter, longer)]


def packed_lengths(segments: Sequence[tf.RaggedTensor], max_length: int | None = None) -> tf.Tensor:
    """Counts the tokens of each row, special ones included.

    Args:
        segments: one or two ragged int32[B, (T)].
        max_length: cut as `pack` does; None: do not cut. The difference of the two is what a row loses.

    Returns:
        int32[B].
    """
    if max_length is None:
        lengths = [tf.cast(segment.row_lengths(), tf.int32) for segment in segments]
    else:
        lengths = kept_lengths(segments, max_length)
    return tf.add_n(lengths) + _special(segments)


def _special(segments: Sequence[tf.RaggedTensor]) -> int:
    if len(segments) not in (1, 2):
        raise ValueError(f"Expected one or two segments; found {len(segments)}.")
    return len(segments) + 1


def _column(token: int, batch: tf.Tensor) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_uniform_row_length(tf.fill(batch, token), 1, nrows=tf.cast(batch[0], tf.int64))


def _first(segment: tf.RaggedTensor, length: tf.Tensor) -> tf.RaggedTensor:
    """The first `length` values of each row."""
    start = segment.row_starts()
    length = tf.cast(length, start.dtype)
    positions = tf.ragged.range(start, start + length, row_splits_dtype=start.dtype)
    return positions.with_values(tf.gather(segment.values, positions.values))
