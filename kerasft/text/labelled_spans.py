"""From scores of tokens to labelled spans of words, with their places in the raw text. Graph ops only."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from kerasft.text.raw import cut
from kerasft.text.reading import Reading, by_token
from kerasft.text.tags import OUTSIDE, best_tags, spans_of, tag_names
from kerasft.text.word_places import WordPlaces, find_words


class Labelled(NamedTuple):
    """What was found in B texts.

    Attributes:
        words: the words of each text.
        tags: int32[B, N], the tag of each; O behind a row's end.
        texts: string[B, K], the text of each span, K in the row that has most; short rows are filled with "".
        answer: `labels` string[B, K]; `scores` float32[B, K], the mean probability of a span's words' tags; `starts`
            and `ends` int32[B, K] in characters (code points) of the raw text, `byte_starts` and `byte_ends` in bytes;
            short rows filled with "", 0 and -1; `count` int32[B].
    """

    words: WordPlaces
    tags: tf.Tensor
    texts: tf.Tensor
    answer: Mapping[str, tf.Tensor]


def find_spans(logits: tf.Tensor, labels: Sequence[str], reading: Reading, asked: tf.Tensor | None = None) -> Labelled:
    """Finds the best spans that do not overlap.

    Args:
        logits: float[W, T, C], scores of the tags of `labels` at the windows' places.
        labels: the label names.
        reading: the batch.
        asked: bool[B], the rows to look at: others have no spans. All when None.

    Returns:
        The spans of the last text of each row.
    """
    *_, text = reading.texts.values()
    words = _read_words(find_words(text) if reading.words is None else reading.words, reading)
    chances = tf.nn.softmax(_by_word(_of_tokens(logits, reading), reading, words, len(tag_names(labels))))
    lengths = tf.cast(words.char_starts.row_lengths(), tf.int32)
    tags = best_tags(tf.math.log(tf.maximum(chances, 1e-30)), lengths)
    if asked is not None:
        tags = tf.where(asked[:, tf.newaxis], tags, OUTSIDE)
    found = spans_of(tags)
    rows = tf.size(text, out_type=tf.int64)

    # B is never possible for a word without a token of its own: such words say nothing of how sure a span is.
    inside = tags > 0
    own = tf.boolean_mask(tf.cast(chances[..., 1] > 0, tf.float32), inside)
    number = tf.cumsum(tf.cast(tf.boolean_mask(tf.equal(tags % 2, 1), inside), tf.int32)) - 1
    spans = tf.size(found.label)
    sums = tf.math.unsorted_segment_sum(
        tf.boolean_mask(tf.gather(chances, tags, batch_dims=2), inside) * own, number, spans
    )
    scores = sums / tf.maximum(tf.math.unsorted_segment_sum(own, number, spans), 1.0)

    def at(of: tf.RaggedTensor, word):
        return tf.gather(of.values, tf.gather(of.row_starts(), found.row) + word)

    def padded(values, fill):
        by_row = tf.RaggedTensor.from_value_rowids(values, found.row, nrows=rows, validate=False)
        return by_row.to_tensor(fill)

    starts, ends = at(words.byte_starts, found.first), at(words.byte_ends, found.last)
    answer = {
        "labels": padded(tf.gather(tf.constant(list(labels)), found.label), ""),
        "scores": padded(scores, 0.0),
        "starts": padded(at(words.char_starts, found.first), -1),
        "ends": padded(at(words.char_ends, found.last), -1),
        "byte_starts": padded(starts, -1),
        "byte_ends": padded(ends, -1),
        "count": tf.math.unsorted_segment_sum(tf.ones_like(found.label), found.row, rows),
    }
    return Labelled(words, tags, padded(cut(tf.gather(text, found.row), starts, ends), ""), answer)


def _read_words(words: WordPlaces, reading: Reading) -> WordPlaces:
    """The words of a text up to where it was read: what is cut off is not walked through, however long it is."""
    places = words.char_starts
    most = tf.reduce_max(tf.pad(reading.token, [[0, 0], [0, 1]], constant_values=-1), axis=1)
    last = tf.math.unsorted_segment_max(most, reading.row, places.nrows())
    ends = reading.tokens.char_ends
    # One value more, for texts without a token.
    token = tf.where(last >= 0, tf.cast(ends.row_starts(), tf.int32) + last, tf.size(ends.values))
    end = tf.gather(tf.concat([ends.values, [0]], axis=0), token)
    row = places.value_rowids()
    kept = ~tf.gather(reading.truncated, row) | (places.values < tf.gather(end, row))
    rows = tf.boolean_mask(row, kept)

    def those(of: tf.RaggedTensor) -> tf.RaggedTensor:
        values = tf.boolean_mask(of.values, kept)
        return tf.RaggedTensor.from_value_rowids(values, rows, nrows=places.nrows(), validate=False)

    return WordPlaces(*map(those, words))


def _of_tokens(logits: tf.Tensor, reading: Reading) -> tf.RaggedTensor:
    """Ragged float32[B, (T), C]: the mean over the windows that hold a token; O for a token that is in none."""
    logits = tf.cast(logits, tf.float32)
    found = by_token(reading, tf.concat([logits, tf.ones_like(logits[..., :1])], axis=-1))
    scores, read = found.values[:, :-1], found.values[:, -1:] > 0
    outside = tf.one_hot([OUTSIDE], logits.shape[-1], on_value=0.0, off_value=-1e9)
    return found.with_values(tf.where(read, scores, outside))


def _by_word(of_tokens: tf.RaggedTensor, reading: Reading, words: WordPlaces, tags: int) -> tf.Tensor:
    """float32[B, N, C]: each word has the scores of its own first token.

    A token is the own one of the first word that it shares a character with. A word without one (the second of two
    ideographs in a token) goes on as the word before it: in its span, or outside.
    """
    starts, ends = reading.tokens.char_starts, reading.tokens.char_ends
    last = tf.concat([ends.values, words.char_ends.values, [0]], axis=0)
    # Rows laid end to end on one line of characters.
    spread = tf.cast(tf.reduce_max(last), tf.int64) + 2
    token_row, word_row = (tf.cast(of.value_rowids(), tf.int64) * spread for of in (starts, words.char_starts))
    word_ends = tf.cast(words.char_ends.values, tf.int64) + word_row
    number = tf.size(word_ends)
    word = tf.searchsorted(word_ends, tf.cast(starts.values, tf.int64) + token_row, side="right")
    word_starts = tf.concat([tf.cast(words.char_starts.values, tf.int64) + word_row, [tf.int64.max]], axis=0)
    shared = tf.gather(word_starts, word) < tf.cast(ends.values, tf.int64) + token_row
    token = tf.boolean_mask(tf.range(tf.size(word)), shared)
    first = tf.math.unsorted_segment_min(token, tf.boolean_mask(word, shared), number)
    goes_on = tf.constant([0.0] + [-1e9, 0.01] * (tags // 2))
    rows = tf.concat([of_tokens.values, goes_on[tf.newaxis]], axis=0)
    scores = tf.gather(rows, tf.minimum(first, tf.size(word)))
    return words.char_starts.with_values(scores).to_tensor(shape=[None, None, tags])


def word_texts(text: tf.Tensor, words: WordPlaces) -> tf.Tensor:
    """The words of texts string[B] as string[B, N], short rows filled with ""."""
    whole = tf.gather(text, words.byte_starts.value_rowids())
    parts = cut(whole, words.byte_starts.values, words.byte_ends.values)
    return words.byte_starts.with_values(parts).to_tensor("")
