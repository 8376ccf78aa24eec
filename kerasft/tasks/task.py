"""What a task is: columns, head, loss, figures, response. It knows nothing of epochs, files or families."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """A task as plain functions.

    Attributes:
        name: what `--task` takes.
        summary: one line for `kerasft tasks`.
        text_columns: the columns with text, in the order in which they are packed; also the names of the
            served inputs.
        label_column: the column with the answer to learn.
        head: (hidden size, number of labels, pooling, dropout) -> a functional `keras.Model` from
            hidden float32[B, T, H] and padding mask int32[B, T] to logits.
        loss: (label smoothing) -> a Keras loss over integer labels and logits.
        respond: (logits, label names) -> the named outputs of `serving_default`; graph ops only.
        classify: (logits, label names) -> `classes` string[B, C] and `scores` float32[B, C], TF Serving's Classify
            shape; graph ops only.
        measure: (true labels, `respond`'s outputs as arrays, label names) -> figures, JSON-able. It takes what is
            served, so that a run and its export are measured alike.
        headline: the key in `measure`'s answer that early stopping watches, larger is better.
        example: one row.
        labels: the default order of the label names, used when the data has exactly these.
        starter: the file in `kerasft/starter/` that `fit` takes without `--data`.
    """

    name: str
    summary: str
    text_columns: tuple[str, ...]
    label_column: str
    head: Callable[..., Any]
    loss: Callable[[float], Any]
    respond: Callable[..., Mapping[str, Any]]
    classify: Callable[..., Mapping[str, Any]]
    measure: Callable[..., dict]
    headline: str
    example: Mapping[str, str]
    labels: tuple[str, ...] = field(default=())
    starter: str | None = None


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
