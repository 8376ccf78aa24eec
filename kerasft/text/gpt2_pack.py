"""Packs one or two texts' tokens into the rows that a causal model reads to classify: a <end>, or a <end> b <end>."""

from collections.abc import Sequence

import tensorflow as tf

from kerasft.errors import KerasftError
from kerasft.text.pack import pack, packed_lengths


def pack_for_reading(
    segments: Sequence[tf.RaggedTensor], end_id: int, pad_id: int, max_length: int
) -> dict[str, tf.Tensor]:
    """Truncates, puts an end-of-text token behind each text, and pads on the right.

    The last end-of-text token is where a classifier reads its answer, the "extract" token of Radford et al. 2018: it
    is behind the whole text, survives the cut, and is there for an empty text too. (Hugging Face's GPT-2 classifiers
    read at the text's own last token instead, and find none in an empty text.)

    Args:
        segments: one or two ragged int32[B, (T)], token ids.
        end_id: id of the end-of-text token.
        pad_id: any id; GPT-2 has none of its own for padding.
        max_length: the most tokens that a row may have, end-of-text tokens included. Longer rows lose the last tokens
            of a text, the longer one of two first.

    Returns:
        `token_ids` and `padding_mask` (1 for tokens, 0 for padding), each int32[B, T]; T is the longest row of the
        batch, and that of an empty text when there are no rows.

    Raises:
        KerasftError: `max_length` has no room for the end-of-text tokens.
    """
    if max_length < len(segments):
        raise KerasftError(
            f"max_length must be at least {len(segments)} for {len(segments)} text(s) and the end-of-text token of "
            f"each; found {max_length}. Raise max_length."
        )
    # BERT's rows, <start> a <end> b <end>, but for the start.
    rows = pack(segments, end_id, end_id, pad_id, max_length + 1)
    return {name: rows[name][:, 1:] for name in ("token_ids", "padding_mask")}


def read_lengths(segments: Sequence[tf.RaggedTensor]) -> tf.Tensor:
    """Counts the tokens that the rows have before the cut, end-of-text tokens included: int32[B]."""
    return packed_lengths(segments) - 1


def tokens_up_to(segment: tf.RaggedTensor, behind: tf.Tensor, most: int) -> tf.RaggedTensor:
    """The last tokens before a place of each row.

    Args:
        segment: ragged int32[B, (T)], token ids.
        behind: int32[B], the token behind the last one wanted; 0 for none.
        most: tokens of a row.

    Returns:
        Ragged int32[B, (T)].
    """
    start = segment.row_starts()
    end = start + tf.cast(behind, start.dtype)
    places = tf.ragged.range(tf.maximum(end - most, start), end, row_splits_dtype=start.dtype)
    return places.with_values(tf.gather(segment.values, places.values))
