"""A task's served inputs: its text columns, string[B], and its number columns, int32[B]."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasft.backbones.view import TextFunctions
from kerasft.data.plain import whole_number
from kerasft.data.rows import Rows
from kerasft.tasks.task import Task

Values = Mapping[str, Sequence[Any] | np.ndarray]
"""Input -> N values: str or bytes of a text column, whole numbers of a number column."""


def numbers_of(rows: Rows, task: Task) -> dict[str, np.ndarray]:
    """Number column -> int32[N], of rows that were read for the task."""
    return {
        name: np.array([whole_number(value) for value in rows.column(name)], np.int32) for name in task.number_columns
    }


def inputs_of(rows: Rows, task: Task) -> dict[str, Any]:
    """Every input of rows that were read for the task: texts as str, numbers as int32[N]."""
    return {name: rows.column(name) for name in task.text_columns} | numbers_of(rows, task)


def marked_of(values: Mapping[str, Any], task: Task) -> Any | None:
    """The places of the words that the task marks in its text; None for a task that marks none."""
    return values[task.windows.marked] if task.windows and task.windows.marked else None


def some(values: Values, rows: Sequence[int] | np.ndarray) -> dict[str, Any]:
    """The inputs of some rows, by their numbers."""
    return {
        name: column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows]
        for name, column in values.items()
    }


def input_specs(task: Task) -> dict[str, Any]:
    """Input -> the `tf.TensorSpec` of a batch."""
    import tensorflow as tf

    texts = {name: tf.TensorSpec([None], tf.string) for name in task.text_columns}
    return texts | {name: tf.TensorSpec([None], tf.int32) for name in task.number_columns}


def input_tensors(values: Values, task: Task) -> dict[str, Any]:
    """Input -> the tensor of a batch, for a function that takes `input_specs`."""
    import tensorflow as tf

    return {name: tf.constant(values[name], spec.dtype) for name, spec in input_specs(task).items()}


def read_inputs(text: TextFunctions, tensors: Mapping[str, Any], task: Task, max_length: int):
    """A batch of a task that reads its last text in windows.

    Args:
        text: the family's functions.
        tensors: input -> tensor.
        task: whose inputs they are.
        max_length: places of a window.

    Returns:
        `kerasft.text.reading.Reading`.
    """
    from kerasft.text.reading import read

    texts = {name: tensors[name] for name in task.text_columns}
    return read(text, texts, max_length, task.windows.overlap, marked_of(tensors, task))
