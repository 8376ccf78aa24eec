"""What tasks share whose answer to a text is labelled spans of it: how rows hold them, and how tokens are taught them.

The other way, from a network's scores to spans, is `kerasft.text.labelled_spans`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.columns import Cell
from kerasft.data.conll import checked_spans
from kerasft.data.pipeline import Encoded, TokenTargets
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError, did_you_mean
from kerasft.tasks.task import Scheme, Task, refuse_settings

_NO_TARGET = -1
_ROWS = 256

Span = tuple[int, int, str]
"""First character, the one behind the last, label."""


@dataclass(frozen=True)
class SpanColumn:
    """The column in which rows have their spans, and the functions of a `Task` that follow from it.

    Attributes:
        name: of the column.
        what: one span is called in messages.
    """

    name: str
    what: str

    @property
    def cell(self) -> Cell:
        """How its values are taken."""
        return Cell(
            blank=True, lists=True, fault=self.fault, mend="Count characters from 0, the end behind the last one."
        )

    def fault(self, value: str, texts: Mapping[str, str]) -> str | None:
        """Why a value is no list of spans of its text; None when it is one."""
        from kerasft.text.word_kinds import in_word

        text, behind = texts["text"], 0
        try:
            spans = checked_spans(value, f"{self.what}s")
        except KerasftError as error:
            return str(error)
        for start, end, label in spans:
            where = f"the {self.what} [{start}, {end}]"
            if not 0 <= start < end <= len(text):
                return f"{where} is outside its text of {len(text)} characters"
            if start < behind:
                return f"{where} begins before the one ahead of it ends"
            if not label.strip():
                return f"{where} has no label"
            if not any(in_word(text, place) for place in range(start, end)):
                return f"{where} holds no word"
            behind = end
        return None

    def spans(self, rows: Rows) -> list[list[Span]]:
        """The spans of each row."""
        return [checked_spans(value) for value in rows.column(self.name)]

    def counts(self, rows: Rows) -> Counter:
        """Label -> the spans that have it."""
        return Counter(label for spans in self.spans(rows) for _, _, label in spans)

    def describe(self, rows: Rows) -> str:
        """`LOC 200, PER 300 spans`."""
        return ", ".join(f"{label} {number}" for label, number in sorted(self.counts(rows).items())) + f" {self.what}s"

    def learn(self, sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
        """The label names, and warnings for the user.

        Raises:
            KerasftError: no training row has a span, or one has a label that the recipe does not name or training
                lacks.
        """
        refuse_settings(recipe, task, ("pooling",))
        train = sets["train"]
        counts = self.counts(train)
        if not counts:
            raise KerasftError(
                f"None of {len(train):,} training rows has a {self.what}: expected [[start, end, label], …]."
            )
        # A split may have left all spans of a rare label on its other side; a label of another file is not taken as
        # one.
        parts = [rows for rows in sets.values() if rows.read_with(train)]
        labels = tuple(recipe.labels or sorted({label for rows in parts for label in self.counts(rows)}))
        for name, rows in sets.items():
            where = "in `labels`" if recipe.labels else "among the training labels"
            self._refuse_unknown(rows, labels, f"of the {name} data is not {where}")
        warnings = audit_sets(sets, task.text_columns, None)
        if len(train) < SMALL:
            warnings.append(f"Only {len(train)} training rows: under {SMALL:,}, results vary with the seed.")
        if absent := [label for label in labels if label not in counts]:
            more = f" or {len(absent) - 1} other labels" if absent[1:] else ""
            warnings.append(f"No training row has '{absent[0]}'{more}: it cannot be learnt.")
        return Scheme(labels), warnings

    def check(self, rows: Rows, scheme: Scheme) -> None:
        """Raises `KerasftError` for a label that is not in the scheme."""
        self._refuse_unknown(rows, scheme.labels, "is unknown to the model")

    def _refuse_unknown(self, rows: Rows, labels: Sequence[str], state: str) -> None:
        for number, spans in enumerate(self.spans(rows)):
            for _, _, label in spans:
                if label not in labels:
                    raise KerasftError(f"{rows.place(number)}: label '{label}' {state}.{did_you_mean(label, labels)}")

    def targets(self, rows: Rows, scheme: Scheme, encoded: Encoded) -> TokenTargets:
        """The tag of each word, at the place of its first token in each window; nothing at the other places.

        A word is in a span when they share a character.

        Raises:
            KerasftError: a label is not in the scheme.
        """
        self.check(rows, scheme)
        return _tag_targets(rows.column("text"), self.spans(rows), scheme.labels, encoded)


def outputs(scheme: Scheme) -> int:
    """The tags: O, and two for each label."""
    return 1 + 2 * len(scheme.labels)


def _tag_targets(
    texts: Sequence[str], spans: Sequence[Sequence[Span]], labels: Sequence[str], encoded: Encoded
) -> TokenTargets:
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
    """The spans that were answered, as `SpanColumn.spans` has the true ones."""
    columns = (answers[name] for name in ("starts", "ends", "labels"))
    return [
        [(int(start), int(end), label.decode()) for start, end, label in zip(*parts, strict=True)][:number]
        for *parts, number in zip(*columns, answers["count"].tolist(), strict=True)
    ]
