"""Token classification: entities, chunks or parts of speech in a text, as spans of its characters."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.columns import Cell
from kerasft.data.conll import NATIVE, checked_spans
from kerasft.data.pipeline import Encoded, TokenTargets
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError, did_you_mean
from kerasft.evaluation.spans import span_figures
from kerasft.heads import token_head
from kerasft.tasks.task import Scheme, Task, refuse_settings

OVERLAP = 32
_NO_TARGET = -1
_ROWS = 256


def fault(value: str, texts: Mapping[str, str]) -> str | None:
    """Why a value is no list of spans of its text; None when it is one."""
    try:
        spans = checked_spans(value)
    except KerasftError as error:
        return str(error)
    text, behind = texts["text"], 0
    for start, end, label in spans:
        if not 0 <= start < end <= len(text):
            return f"the span [{start}, {end}] is outside its text of {len(text)} characters"
        if start < behind:
            return f"the span [{start}, {end}] begins before the one ahead of it ends"
        if not label.strip() or not text[start:end].strip():
            return f"the span [{start}, {end}] has {'no label' if not label.strip() else 'only white space'}"
        behind = end
    return None


def _spans(rows: Rows) -> list[list[tuple[int, int, str]]]:
    return [checked_spans(value) for value in rows.column("spans")]


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """The label names.

    Raises:
        KerasftError: no training row has a span, or one has a label that the recipe does not name.
    """
    refuse_settings(recipe, task, ("pooling",))
    counts = Counter(label for spans in _spans(sets["train"]) for _, _, label in spans)
    if not counts:
        raise KerasftError(
            f"None of {len(sets['train']):,} training rows has a span: expected [[start, end, label], …]."
        )
    labels = tuple(recipe.labels or sorted(counts))
    for name, rows in sets.items():
        for number, spans in enumerate(_spans(rows)):
            for _, _, label in spans:
                if label not in labels:
                    raise KerasftError(
                        f"{rows.place(number)}: label '{label}' of the {name} data is not among the training labels."
                        f"{did_you_mean(label, labels)}"
                    )
    warnings = audit_sets(sets, task.text_columns, None)
    if len(sets["train"]) < SMALL:
        warnings.append(f"Only {len(sets['train'])} training rows: under {SMALL:,}, results vary with the seed.")
    return Scheme(labels), warnings


def targets(rows: Rows, scheme: Scheme, encoded: Encoded) -> TokenTargets:
    """The tag of each word, at the place of its first token in each window; nothing at the other places.

    Raises:
        KerasftError: a label is not in the scheme.
    """
    check(rows, scheme)
    places = encoded.places
    flat = np.full(len(places.char_starts), _NO_TARGET, np.int32)
    bounds = np.searchsorted(places.row, np.arange(len(rows) + 1))
    tags = _tags_of_words(rows, scheme)
    for number, (starts, ends, row_tags) in enumerate(tags):
        first, last = encoded.starts[bounds[number]], encoded.starts[bounds[number + 1]]
        here, behind = places.char_starts[first:last], places.char_ends[first:last]
        # A place is of the first word that its token shares a character with, if it is the first of these.
        word = np.searchsorted(ends, here, side="right")
        inside = (here >= 0) & (word < len(starts))
        inside[inside] = starts[word[inside]] < behind[inside]
        earliest = np.full(len(starts), np.iinfo(np.int32).max)
        np.minimum.at(earliest, word[inside], here[inside])
        inside[inside] = here[inside] == earliest[word[inside]]
        # Several tokens may share a character.
        inside[1:] &= ~(inside[:-1] & (here[1:] == here[:-1]))
        flat[first:last][inside] = row_tags[word[inside]]
    return TokenTargets(flat, encoded.starts, _NO_TARGET)


def check(rows: Rows, scheme: Scheme) -> None:
    """Raises `KerasftError` for a label that is not in the scheme."""
    for number, spans in enumerate(_spans(rows)):
        for _, _, label in spans:
            if label not in scheme.labels:
                place = rows.place(number)
                raise KerasftError(
                    f"{place}: label '{label}' is unknown to the model.{did_you_mean(label, scheme.labels)}"
                )


def _tags_of_words(rows: Rows, scheme: Scheme):
    """For each row the words' first and last characters, and their tags: a word is in a span when they share one."""
    import tensorflow as tf

    from kerasft.text.word_places import find_words

    ids = {label: number for number, label in enumerate(scheme.labels)}
    texts, spans = rows.column("text"), _spans(rows)
    for begin in range(0, len(texts), _ROWS):
        found = find_words(tf.constant(texts[begin : begin + _ROWS], tf.string))
        all_starts, all_ends = found.char_starts.values.numpy(), found.char_ends.values.numpy()
        splits = found.char_starts.row_splits.numpy()
        for number in range(len(splits) - 1):
            starts, ends = (of[splits[number] : splits[number + 1]] for of in (all_starts, all_ends))
            tags = np.zeros(len(starts), np.int32)
            for start, end, label in spans[begin + number]:
                first, behind = np.searchsorted(ends, start, side="right"), np.searchsorted(starts, end)
                tags[first:behind] = 2 + 2 * ids[label]
                tags[first : min(first + 1, behind)] = 1 + 2 * ids[label]
            yield starts, ends, tags


def count(targets: TokenTargets) -> np.ndarray:
    """float32[N], the tagged words of each window."""
    tagged = np.concatenate([[0], np.cumsum(targets.flat != _NO_TARGET)])
    return np.diff(tagged[targets.starts]).astype(np.float32)


def loss(label_smoothing: float):
    """Cross-entropy of tags int32[B, T] and logits float[B, T, C], the mean over the tagged places of each row."""
    import keras

    def mean_cross_entropy(tags, logits):
        ops = keras.ops
        tagged = ops.cast(tags >= 0, "float32")
        wanted = ops.one_hot(ops.maximum(tags, 0), logits.shape[-1])
        each = keras.losses.categorical_crossentropy(wanted, logits, from_logits=True, label_smoothing=label_smoothing)
        return ops.sum(each * tagged, axis=-1) / ops.maximum(ops.sum(tagged, axis=-1), 1.0)

    return mean_cross_entropy


def respond(logits, scheme: Scheme, reading):
    """The spans in each text, and the tag of each word.

    Args:
        logits: float[W, T, C] of the windows' places.
        scheme: the label names.
        reading: the batch.

    Returns:
        Of the spans, K in the row that has most: `spans` string[B, K], the text of each; `labels` string[B, K];
        `scores` float32[B, K], the mean probability of its words' tags; `starts` and `ends` int32[B, K] in characters
        (code points) of the raw text, `byte_starts` and `byte_ends` in bytes; `count` int32[B]. Of the words, N in the
        row that has most: `words` and `tags` string[B, N]. Short rows are filled with "", 0 and -1 for places.
    """
    import tensorflow as tf

    from kerasft.text.raw import cut
    from kerasft.text.reading import by_token
    from kerasft.text.tags import best_tags, spans_of, tag_names
    from kerasft.text.word_places import find_words

    text = reading.texts["text"]
    words = find_words(text)
    names = tag_names(scheme.labels)
    chances = tf.nn.softmax(_by_word(by_token(reading, tf.cast(logits, tf.float32)), reading, words, len(names)))
    lengths = tf.cast(words.char_starts.row_lengths(), tf.int32)
    tags = best_tags(tf.math.log(tf.maximum(chances, 1e-30)), lengths)
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
    real = tf.sequence_mask(lengths, tf.shape(tags)[1])
    return {
        "spans": padded(cut(tf.gather(text, found.row), starts, ends), ""),
        "labels": padded(tf.gather(tf.constant(list(scheme.labels)), found.label), ""),
        "scores": padded(scores, 0.0),
        "starts": padded(at(words.char_starts, found.first), -1),
        "ends": padded(at(words.char_ends, found.last), -1),
        "byte_starts": padded(starts, -1),
        "byte_ends": padded(ends, -1),
        "count": tf.math.unsorted_segment_sum(tf.ones_like(found.label), found.row, rows),
        "words": _words(text, words),
        "tags": tf.where(real, tf.gather(tf.constant(names), tags), ""),
    }


def _by_word(of_tokens, reading, words, tags: int):
    """float32[B, N, C]: each word has the scores of its own first token.

    A token is the own one of the first word that it shares a character with. A word without one (the second of two
    ideographs in a token) goes on as the word before it: in its span, or outside.
    """
    import tensorflow as tf

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


def _words(text, words):
    import tensorflow as tf

    from kerasft.text.raw import cut

    whole = tf.gather(text, words.byte_starts.value_rowids())
    parts = cut(whole, words.byte_starts.values, words.byte_ends.values)
    return words.byte_starts.with_values(parts).to_tensor("")


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.spans.span_figures`; a span is right when its characters and its label are."""
    predicted = [
        [(int(start), int(end), label.decode()) for start, end, label in zip(*parts, strict=True)][:number]
        for *parts, number in zip(
            answers["starts"], answers["ends"], answers["labels"], answers["count"].tolist(), strict=True
        )
    ]
    return span_figures(_spans(rows), predicted)


def describe(rows: Rows) -> str:
    """`PER 300, LOC 200 spans`."""
    counts = Counter(label for spans in _spans(rows) for _, _, label in spans)
    return ", ".join(f"{label} {number}" for label, number in sorted(counts.items())) + " spans"


TASK = Task(
    name="token-classification",
    summary="a text -> the entities, chunks or words of a kind in it, with their places",
    text_columns=("text",),
    label_column="spans",
    learn=learn,
    targets=targets,
    outputs=lambda scheme: 1 + 2 * len(scheme.labels),
    head=token_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="f1",
    describe=describe,
    example={"text": "Ada moved to Turin.", "spans": [[0, 3, "person"], [13, 18, "place"]]},
    answer={
        "spans": ["Ada", "Turin"],
        "labels": ["person", "place"],
        "scores": [0.99, 0.97],
        "starts": [0, 13],
        "ends": [3, 18],
        "byte_starts": [0, 13],
        "byte_ends": [3, 18],
        "count": 2,
        "words": ["Ada", "moved", "to", "Turin", "."],
        "tags": ["B-person", "O", "O", "B-place", "O"],
        "truncated": False,
    },
    cell=Cell(blank=True, lists=True, fault=fault, mend="Count characters from 0, the end behind the last one."),
    native=NATIVE,
    overlap=OVERLAP,
    check=check,
    count=count,
    starter="token-classification.jsonl",
)
