"""Text classification: one text -> one label."""

from kerasft.evaluation.classification import classification_figures
from kerasft.heads import pooled_head
from kerasft.tasks.task import Task


def loss(label_smoothing: float):
    """Cross-entropy over integer labels int[B] and logits float[B, C]; see Szegedy et al. 2016 for the smoothing."""
    import keras

    def smoothed_cross_entropy(labels, logits):
        classes = keras.ops.shape(logits)[-1]
        targets = keras.ops.one_hot(keras.ops.cast(labels, "int32"), classes)
        return keras.losses.categorical_crossentropy(targets, logits, from_logits=True, label_smoothing=label_smoothing)

    return smoothed_cross_entropy


def respond(logits, labels):
    """The best label, its probability, and all probabilities.

    Args:
        logits: float[B, C].
        labels: the C label names.

    Returns:
        `label` string[B], `score` float32[B], `probabilities` float32[B, C] in the order of `labels`.
    """
    import tensorflow as tf

    probabilities = tf.nn.softmax(tf.cast(logits, tf.float32), axis=-1)
    return {
        "label": tf.gather(tf.constant(list(labels)), tf.argmax(probabilities, axis=-1)),
        "score": tf.reduce_max(probabilities, axis=-1),
        "probabilities": probabilities,
    }


def classify(logits, labels):
    """Every class with its score, in TF Serving's Classify shape.

    Args:
        logits: float[B, C].
        labels: the C label names.

    Returns:
        `classes` string[B, C], `scores` float32[B, C], both in the order of `labels`.
    """
    import tensorflow as tf

    probabilities = tf.nn.softmax(tf.cast(logits, tf.float32), axis=-1)
    rows = tf.shape(probabilities)[0]
    return {"classes": tf.tile(tf.constant([list(labels)]), [rows, 1]), "scores": probabilities}


TASK = Task(
    name="text-classification",
    summary="one text -> one label",
    text_columns=("text",),
    label_column="label",
    head=pooled_head,
    loss=loss,
    respond=respond,
    classify=classify,
    measure=classification_figures,
    headline="accuracy",
    example={"text": "The parcel never came.", "label": "delivery"},
)
