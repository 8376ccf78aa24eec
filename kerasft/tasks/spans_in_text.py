"""What tasks share whose answer to a text is labelled spans of it: how rows hold them, and how tokens are taught them.

The other way, from a network's scores to spans, is `kerasft.text.labelled_spans`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.conll import checked_spans
from kerasft.data.pipeline import Encoded, TokenTargets
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError, did_you_mean
from kerasft.tasks.task import Task, refuse_settings

MEND = "Count characters from 0, the end behind the last one."
_NO_TARGET = -1
_ROWS = 256

Span = tuple[int, int, str]


def span_fault(value: str, text: str, what: str) -> str | None:
    """Why a value is no list of spans of a text; None when it is one. `what` is a span's name in the message."""
    try:
        spans = checked_spans(value, f"{what}s")
    except KerasftError as error:
        return str(error)
    behind = 0
    for start, end, label in spans:
        if not 0 <= start < end <= len(text):
            return f"the {what} [{start}, {end}] is outside its text of {len(text)} characters"
        if start < behind:
            return f"the {what} [{start}, {end}] begins before the one ahead of it ends"
        if not label.strip() or not text[start:end].strip():
            return f"the {what} [{start}, {end}] has {'no label' if not label.strip() else 'only white space'}"
        behind = end
    return None


def true_spans(rows: Rows, column: str) -> list[list[Span]]:
    """The spans of each row: first character, the one behind the last, label."""
    return [checked_spans(value) for value in rows.column(column)]


def label_counts(rows: Rows, column: str) -> Counter:
    """Label -> the spans that have it."""
    return Counter(label for spans in true_spans(rows, column) for _, _, label in spans)


def learn_labels(sets: Mapping[str, Rows], recipe, task: Task, what: str) -> tuple[tuple[str, ...], list[str]]:
    """The label names, and warnings for the user.

    Raises:
        KerasftError: no training row has a span, or one has a label that the recipe does not name or training lacks.
    """
    refuse_settings(recipe, task, ("pooling",))
    column, train = task.label_column, sets["train"]
    counts = label_counts(train, column)
    if not counts:
        raise KerasftError(
            f"None of {len(sets['train']):,} training rows has a {what}: expected [[start, end, label], …]."
        )
    # A split may have left all spans of a rare label on its other side; a label of another file is not taken as one.
    split_off = [rows for rows in sets.values() if rows.origins is train.origins]
    labels = tuple(recipe.labels or sorted({label for rows in split_off for label in label_counts(rows, column)}))
    for name, rows in sets.items():
        if unknown := _unknown(rows, column, labels):
            place, label = unknown
            raise KerasftError(
                f"{place}: label '{label}' of the {name} data is not among the training labels."
                f"{did_you_mean(label, labels)}"
            )
    warnings = audit_sets(sets, task.text_columns, None)
    if len(sets["train"]) < SMALL:
        warnings.append(f"Only {len(sets['train'])} training rows: under {SMALL:,}, results vary with the seed.")
    if absent := [label for label in labels if label not in counts]:
        more = f" or {len(absent) - 1} other labels" if absent[1:] else ""
        warnings.append(f"No training row has '{absent[0]}'{more}: it cannot be learnt.")
    return labels, warnings


def check_labels(rows: Rows, column: str, labels: Sequence[str]) -> None:
    """Raises `KerasftError` for a label that is none of `labels`."""
    if unknown := _unknown(rows, column, labels):
        place, label = unknown
        raise KerasftError(f"{place}: label '{label}' is unknown to the model.{did_you_mean(label, labels)}")


def _unknown(rows: Rows, column: str, labels: Sequence[str]) -> tuple[str, str] | None:
    """The place and the label of the first span whose label is none of `labels`."""
    for number, spans in enumerate(true_spans(rows, column)):
        for _, _, label in spans:
            if label not in labels:
                return rows.place(number), label
    return None


def tag_targets(
    texts: Sequence[str], spans: Sequence[Sequence[Span]], labels: Sequence[str], encoded: Encoded
) -> TokenTargets:
    """The tag of each word, at the place of its first token in each window; nothing at the other places.

    Args:
        texts: N texts.
        spans: theirs; a word is in a span when they share a character.
        labels: the label names.
        encoded: the texts' windows.
    """
    places = encoded.places
    flat = np.full(len(places.char_starts), _NO_TARGET, np.int32)
    bounds = np.searchsorted(places.row, np.arange(len(texts) + 1))
    for number, (starts, ends, tags) in enumerate(_tags_of_words(texts, spans, labels)):
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
        flat[first:last][inside] = tags[word[inside]]
    return TokenTargets(flat, encoded.starts, _NO_TARGET)


def _tags_of_words(
    texts: Sequence[str], spans: Sequence[Sequence[Span]], labels: Sequence[str]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each text the words' first characters, those behind their last ones, and their tags."""
    import tensorflow as tf

    from kerasft.text.word_places import find_words

    ids = {label: number for number, label in enumerate(labels)}
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


def found_spans(answers: Mapping[str, np.ndarray]) -> list[list[Span]]:
    """The spans that were answered, as `true_spans` has the true ones."""
    columns = (answers[name] for name in ("starts", "ends", "labels"))
    return [
        [(int(start), int(end), label.decode()) for start, end, label in zip(*parts, strict=True)][:number]
        for *parts, number in zip(*columns, answers["count"].tolist(), strict=True)
    ]


def describe(rows: Rows, column: str) -> str:
    """`LOC 200, PER 300`."""
    return ", ".join(f"{label} {number}" for label, number in sorted(label_counts(rows, column).items()))
