"""Text classification: one text -> one label."""

from collections.abc import Mapping, Sequence

import numpy as np

from kerasft.data.audit import audit_sets, check_classes, class_counts
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError, did_you_mean
from kerasft.evaluation.classification import classification_figures
from kerasft.heads import pooled_head
from kerasft.tasks.task import Scheme, Task


def order_labels(found: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """Fixes the order of the labels: the task's own when the data has exactly those, else sorted.

    Args:
        found: the labels in the data, any order, repeats allowed.
        default: the task's order.

    Returns:
        Every label once.
    """
    distinct = set(found)
    return tuple(default) if distinct == set(default) else tuple(sorted(distinct))


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """The label names, the recipe's own or those of all rows, and what is odd about the rows.

    Raises:
        KerasftError: fewer than two classes, or one with too few texts to learn it.
    """
    # A split may have left all rows of a small class on its other side; a label of another file is not taken as one.
    parts = [rows for rows in sets.values() if rows.read_with(sets["train"])]
    found = [label for rows in parts for label in rows.column(task.label_column)]
    labels = recipe.labels or order_labels(found, task.labels)
    warnings = check_classes(sets, task.label_column, labels)
    return Scheme(labels), warnings + audit_sets(sets, task.text_columns, task.label_column)


def targets(rows: Rows, scheme: Scheme) -> np.ndarray:
    """int32[N], the place of each row's label in the scheme.

    Raises:
        KerasftError: a label is not among them.
    """
    places = {name: number for number, name in enumerate(scheme.labels)}
    names = rows.column("label")
    for number, name in enumerate(names):
        if name not in places:
            raise KerasftError(
                f"{rows.place(number)}: label '{name}' is unknown to the model.{did_you_mean(name, scheme.labels)}"
            )
    return np.array([places[name] for name in names], np.int32)


def balance(targets: np.ndarray, scheme: Scheme) -> np.ndarray:
    """float32[N]: rows / (classes * rows of the row's class), so that every class weighs the same in all."""
    classes = len(scheme.labels)
    counts = np.bincount(targets, minlength=classes)
    return (len(targets) / (classes * np.maximum(counts, 1)))[targets].astype(np.float32)


def loss(label_smoothing: float):
    """Cross-entropy over integer labels int[B] and logits float[B, C]; see Szegedy et al. 2016 for the smoothing."""
    import keras

    def smoothed_cross_entropy(labels, logits):
        classes = keras.ops.shape(logits)[-1]
        targets = keras.ops.one_hot(keras.ops.cast(labels, "int32"), classes)
        return keras.losses.categorical_crossentropy(targets, logits, from_logits=True, label_smoothing=label_smoothing)

    return smoothed_cross_entropy


def respond(logits, scheme: Scheme):
    """The best label, its probability, and all probabilities.

    Args:
        logits: float[B, C].
        scheme: with the C label names.

    Returns:
        `label` string[B], `score` float32[B], `probabilities` float32[B, C] in the order of the labels.
    """
    import tensorflow as tf

    probabilities = tf.nn.softmax(tf.cast(logits, tf.float32), axis=-1)
    return {
        "label": tf.gather(tf.constant(list(scheme.labels)), tf.argmax(probabilities, axis=-1)),
        "score": tf.reduce_max(probabilities, axis=-1),
        "probabilities": probabilities,
    }


def classify(logits, scheme: Scheme):
    """Every class with its score, in TF Serving's Classify shape.

    Args:
        logits: float[B, C].
        scheme: with the C label names.

    Returns:
        `classes` string[B, C], `scores` float32[B, C], both in the order of the labels.
    """
    import tensorflow as tf

    return scored_classes(tf.nn.softmax(tf.cast(logits, tf.float32), axis=-1), scheme)


def scored_classes(probabilities, scheme: Scheme):
    """The labels beside their probabilities float32[B, C], a row each, as TF Serving's Classify API wants them."""
    import tensorflow as tf

    rows = tf.shape(probabilities)[0]
    return {"classes": tf.tile(tf.constant([list(scheme.labels)]), [rows, 1]), "scores": probabilities}


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.classification.classification_figures`."""
    return classification_figures(rows.column("label"), answers, scheme.labels)


def describe(rows: Rows) -> str:
    """`negative 260, positive 255`."""
    return ", ".join(f"{name} {count}" for name, count in class_counts(rows.column("label")).items())


TASK = Task(
    name="text-classification",
    summary="one text -> one label",
    text_columns=("text",),
    label_column="label",
    learn=learn,
    targets=targets,
    outputs=lambda scheme: len(scheme.labels),
    head=pooled_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="accuracy",
    describe=describe,
    example={"text": "The parcel never came.", "label": "delivery"},
    answer={"label": "delivery", "score": 0.94, "probabilities": [0.94, 0.06], "truncated": False},
    apis={"classify": classify},
    balance=balance,
    starter="topic.csv",
)
