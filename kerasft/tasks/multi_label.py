"""Multi-label classification: one text -> any number of labels, none included."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from kerasft.data.audit import FEWEST_TEXTS, SMALL, audit_sets
from kerasft.data.columns import Cell
from kerasft.data.plain import json_of
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError, did_you_mean
from kerasft.evaluation.multi_label import best_thresholds, multi_label_figures
from kerasft.heads import pooled_head
from kerasft.tasks.task import Scheme, Task
from kerasft.tasks.text_classification import scored_classes

SEPARATOR = ";"


def names_of(value: str) -> frozenset[str]:
    """The labels of one row: a JSON list, or names with `;` between them; an empty text for none."""
    names = json_of(value) if value.startswith("[") else value.split(SEPARATOR)
    return frozenset(str(name).strip() for name in names) - {""}


def fault(value: str, texts: Mapping[str, str]) -> str | None:
    """Why a value is no set of labels; None when it is one."""
    if not value.startswith("["):
        return None
    try:
        names = json_of(value)
    except ValueError:
        return "the labels begin as a JSON list but are none"
    return None if all(isinstance(name, str | int | float) for name in names) else "the labels are not a list of names"


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """The label names, and a threshold of one half for each until `tune` knows better.

    Raises:
        KerasftError: no labels, or one with too few texts to learn it.
    """
    # A split may have left all rows of a small label on its other side; a label of another file is not taken as one.
    train = sets["train"]
    parts = [part for part in sets.values() if part.read_with(train)]
    counts = sum((_rows_by_label(part) for part in parts), Counter())
    labels = tuple(recipe.labels or sorted(counts))
    if not labels:
        raise KerasftError("No row has a label: expected names with ';' between them, or lists.")
    if unknown := sorted(counts.keys() - set(labels)):
        raise KerasftError(f"Label '{unknown[0]}' is not in `labels`.{did_you_mean(unknown[0], labels)}")
    for part in sets.values():
        if not part.read_with(train):
            targets(part, Scheme(labels))
    few = [label for label in labels if counts[label] < FEWEST_TEXTS]
    if few:
        raise KerasftError(
            f"Label '{few[0]}' has fewer than {FEWEST_TEXTS} rows{f', {len(few) - 1} more too' if few[1:] else ''}: "
            "add rows, or take the label out of the data."
        )
    warnings = audit_sets(sets, task.text_columns, None)
    if len(train) < SMALL:
        warnings.append(f"Only {len(train)} training rows: under {SMALL:,}, results vary with the seed.")
    learnt = _rows_by_label(train)
    absent = [label for label in labels if not learnt[label]]
    if absent:
        warnings.append(
            f"No training row has '{absent[0]}'{f' or {len(absent) - 1} other labels' if absent[1:] else ''}."
        )
    return Scheme(labels, {"thresholds": [0.5] * len(labels)}), warnings


def _rows_by_label(rows: Rows) -> Counter:
    return Counter(label for value in rows.column("labels") for label in names_of(value))


def targets(rows: Rows, scheme: Scheme) -> np.ndarray:
    """float32[N, C], 1 for each label that a row has.

    Raises:
        KerasftError: a label is not in the scheme.
    """
    places = {name: number for number, name in enumerate(scheme.labels)}
    found = np.zeros((len(rows), len(places)), np.float32)
    for number, value in enumerate(rows.column("labels")):
        for name in names_of(value):
            if name not in places:
                raise KerasftError(
                    f"{rows.place(number)}: label '{name}' is unknown to the model.{did_you_mean(name, scheme.labels)}"
                )
            found[number, places[name]] = 1
    return found


def loss(label_smoothing: float):
    """Binary cross-entropy of float32[B, C] and logits float[B, C], summed over the labels of a row.

    The sum, not the mean: with many labels, of which a row has one or two, the mean's gradients are too small to move
    the backbone at the learning rates that suit it.
    """
    import keras

    def summed_cross_entropy(targets, logits):
        smoothed = targets * (1.0 - label_smoothing) + 0.5 * label_smoothing
        logits = keras.ops.cast(logits, "float32")
        return keras.ops.sum(keras.ops.softplus(logits) - smoothed * logits, axis=-1)

    return summed_cross_entropy


def respond(logits, scheme: Scheme):
    """The labels above their thresholds, the likeliest first, and every label's probability.

    Args:
        logits: float[B, C].
        scheme: the C label names and their thresholds.

    Returns:
        `labels` string[B, K] and `scores` float32[B, K], K the most labels that a row of the batch has, short rows
        filled with "" and 0; `count` int32[B], the labels of each row; `probabilities` float32[B, C] in the order of
        the scheme's labels.
    """
    import tensorflow as tf

    probabilities = tf.sigmoid(tf.cast(logits, tf.float32))
    chosen = probabilities >= tf.constant(scheme.numbers["thresholds"], tf.float32)
    count = tf.reduce_sum(tf.cast(chosen, tf.int32), axis=1)
    # Those not chosen come last, for no probability is below 0.
    best, places = tf.math.top_k(tf.where(chosen, probabilities, -1.0), k=tf.reduce_max(tf.concat([count, [0]], 0)))
    real = best >= 0.0
    names = tf.gather(tf.constant(list(scheme.labels)), places)
    return {
        "labels": tf.where(real, names, ""),
        "scores": tf.where(real, best, 0.0),
        "count": count,
        "probabilities": probabilities,
    }


def classify(logits, scheme: Scheme):
    """Every label with its probability, in TF Serving's Classify shape.

    Args:
        logits: float[B, C].
        scheme: the C label names.

    Returns:
        `classes` string[B, C], `scores` float32[B, C], both in the order of the labels.
    """
    import tensorflow as tf

    return scored_classes(tf.sigmoid(tf.cast(logits, tf.float32)), scheme)


def tune(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> Scheme:
    """A threshold for each label: the one with the best F1 on the held-out rows."""
    thresholds = best_thresholds(targets(rows, scheme) > 0, np.asarray(answers["probabilities"]))
    return Scheme(scheme.labels, {"thresholds": [float(np.float32(value)) for value in thresholds]})


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.multi_label.multi_label_figures`."""
    truth = [names_of(value) for value in rows.column("labels")]
    return multi_label_figures(truth, answers["probabilities"], np.array(scheme.numbers["thresholds"]), scheme.labels)


def describe(rows: Rows) -> str:
    """`anger 260, joy 255; 40 without a label`."""
    values = [names_of(value) for value in rows.column("labels")]
    counts = _rows_by_label(rows)
    listed = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
    without = sum(not value for value in values)
    return listed + (f"; {without} without a label" if without else "")


TASK = Task(
    name="multi-label",
    summary="one text -> any number of labels",
    text_columns=("text",),
    label_column="labels",
    learn=learn,
    targets=targets,
    outputs=lambda scheme: len(scheme.labels),
    head=pooled_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="micro_f1",
    describe=describe,
    example={"text": "Kind people at the desk, but the street kept us awake.", "labels": ["noise", "staff"]},
    answer={
        "labels": ["staff", "noise"],
        "scores": [0.93, 0.81],
        "count": 2,
        "probabilities": [0.81, 0.93, 0.04],
        "truncated": False,
    },
    apis={"classify": classify},
    tune=tune,
    cells={
        "labels": Cell(blank=True, lists=True, fault=fault, mend="Write names with ';' between them, or a JSON list.")
    },
    starter="multi-label.csv",
)
