"""What a task that answers with places in a text knows of a batch beside the network's outputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from kerasft.backbones.view import Mark, TextFunctions
from kerasft.text.bert import Tokens
from kerasft.text.marked import MarkedWord, find_marked, marked_places, windows_with
from kerasft.text.windows import Windows, windows
from kerasft.text.word_places import WordPlaces, find_words

# Enough for a book chapter; a request may not make the server work without end.
MOST_WINDOWS = 64
# In the packed rows: special tokens and filling are 0 or more, other texts' tokens this, the last text's below it.
_OTHER = -1


@dataclass(frozen=True)
class Reading:
    """A batch of B rows as W windows of T places.

    Attributes:
        texts: text column -> string[B].
        tokens: the tokens of the last text of each row, ragged int32[B, (T)] each.
        inputs: what the network takes, int32[W, T] each, `padding_mask` among them.
        row: int32[W], the row of each window.
        token: int32[W, T], the token of its row's last text that a place holds; -1 for special tokens, other texts and
            filling.
        truncated: bool[B], whether a part of a text is in no window.
        words: those of the last text of each row; None for a task that marks none.
        word: the marked ones; None likewise.
        marked: bool[W, T], the places that hold its tokens; None likewise.
    """

    texts: Mapping[str, tf.Tensor]
    tokens: Tokens
    inputs: Mapping[str, tf.Tensor]
    row: tf.Tensor
    token: tf.Tensor
    truncated: tf.Tensor
    words: WordPlaces | None = None
    word: MarkedWord | None = None
    marked: tf.Tensor | None = None

    def of_places(self, of_tokens: tf.RaggedTensor) -> tf.Tensor:
        """[W, T]: what each place's token has in ragged [B, (T)], such as an offset; -1 where a place has no token."""
        start = tf.gather(of_tokens.row_starts(), self.row)[:, tf.newaxis]
        place = start + tf.cast(tf.maximum(self.token, 0), start.dtype)
        # One value more, so that there is something to point at where there are no tokens at all.
        values = tf.concat([of_tokens.values, tf.zeros([1], of_tokens.dtype)], axis=0)
        return tf.where(self.token >= 0, tf.gather(values, place), tf.cast(-1, of_tokens.dtype))


def read(
    text: TextFunctions,
    texts: Mapping[str, tf.Tensor],
    max_length: int,
    overlap: int,
    marked: tf.Tensor | None = None,
) -> Reading:
    """Tokenises rows and lays them out in windows over their last text; other texts are whole in each.

    Args:
        text: the family's functions.
        texts: text column -> string[B], in the task's order.
        max_length: places of a window.
        overlap: tokens that neighbouring windows share.
        marked: int32[B], a character of the last text of each row: the word there is marked for the network as the
            family does it, and only the windows that hold it are kept.

    Returns:
        The batch. Graph ops only. Other texts are cut where all of them leave the last one less than half a window.
    """
    found = [text.tokenize(column) for column in texts.values()]
    segments = [tokens.ids for tokens in found]
    words = None if marked is None else find_words([*texts.values()][-1])
    word = None if words is None else find_marked(words, found[-1], marked)
    mark = Mark() if word is None else text.mark(segments[-1], word.behind)
    batch = tf.shape(segments[-1].row_splits)[0] - 1
    nothing = tf.RaggedTensor.from_uniform_row_length(tf.zeros([0], tf.int32), 0, nrows=tf.cast(batch, tf.int64))
    special = text.lengths([nothing for _ in [*segments, *mark.front]])
    most = (max_length - special) // 2 // max(len(segments) - 1 + len(mark.front), 1)
    short = [_first(segment, most) for segment in segments[:-1]]
    ahead = [*short, *(_last(segment, most) for segment in mark.front)]
    used = tf.add_n([special, *(tf.cast(segment.row_lengths(), tf.int32) for segment in ahead)])

    def laid_out(*rows: tf.RaggedTensor) -> Windows:
        room = tf.maximum(max_length - used, 1)
        if word is None:
            return windows(rows, room, overlap, MOST_WINDOWS)
        # However many there are: two at most are kept.
        return windows_with(word, windows(rows, room, overlap, tf.int32.max))

    parts = laid_out(*ahead, segments[-1])
    numbered = laid_out(*map(_others, ahead), _numbers(segments[-1]))
    inputs = dict(text.pack(parts.segments, max_length=max_length))
    places = text.pack(numbered.segments, max_length=max_length)["token_ids"]
    token = tf.where(places < _OTHER, _OTHER - 1 - places, -1)
    its_places = None if word is None else marked_places(word, parts.row, token)
    if mark.input:
        inputs[mark.input] = tf.where(its_places, 1, inputs[mark.input])
    shortened = [segment.row_lengths() > kept.row_lengths() for segment, kept in zip(segments[:-1], short, strict=True)]
    return Reading(
        texts=texts,
        tokens=found[-1],
        inputs=inputs,
        row=parts.row,
        token=token,
        truncated=tf.reduce_any(tf.stack([parts.cut, *shortened]), axis=0),
        words=words,
        word=word,
        marked=its_places,
    )


def _first(segment: tf.RaggedTensor, most: tf.Tensor) -> tf.RaggedTensor:
    start = segment.row_starts()
    kept = tf.minimum(segment.row_lengths(), tf.cast(most, start.dtype))
    places = tf.ragged.range(start, start + kept, row_splits_dtype=start.dtype)
    return places.with_values(tf.gather(segment.values, places.values))


def _last(segment: tf.RaggedTensor, most: tf.Tensor) -> tf.RaggedTensor:
    end = segment.row_limits()
    kept = tf.minimum(segment.row_lengths(), tf.cast(most, end.dtype))
    places = tf.ragged.range(end - kept, end, row_splits_dtype=end.dtype)
    return places.with_values(tf.gather(segment.values, places.values))


def _others(segment: tf.RaggedTensor) -> tf.RaggedTensor:
    return segment.with_values(tf.fill(tf.shape(segment.values), _OTHER))


def _numbers(segment: tf.RaggedTensor) -> tf.RaggedTensor:
    """Token 0 of each row as -2, the next as -3, and so on."""
    numbers = tf.ragged.range(segment.row_lengths(), row_splits_dtype=segment.row_splits.dtype).values
    return segment.with_values(_OTHER - 1 - tf.cast(numbers, tf.int32))


def by_token(reading: Reading, values: tf.Tensor) -> tf.RaggedTensor:
    """From places in windows to tokens of the text: the mean over the windows that hold a token.

    Args:
        reading: the batch.
        values: float32[W, T, C].

    Returns:
        Ragged float32[B, (T), C] with the splits of the text's tokens; zeros for tokens in no window.
    """
    splits = reading.tokens.ids.row_splits
    inside = reading.token >= 0
    row = tf.gather(splits, reading.row)
    number = tf.boolean_mask(row[:, tf.newaxis] + tf.cast(reading.token, splits.dtype), inside)
    total = tf.size(reading.tokens.ids.values, out_type=splits.dtype)
    kept = tf.boolean_mask(values, inside)
    sums = tf.math.unsorted_segment_sum(kept, number, total)
    times = tf.math.unsorted_segment_sum(tf.ones_like(number, tf.float32), number, total)
    return tf.RaggedTensor.from_row_splits(sums / tf.maximum(times, 1.0)[:, tf.newaxis], splits, validate=False)
