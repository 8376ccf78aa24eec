"""Answers and figures from a run (through Keras) or from an export (through the SavedModel alone)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.data.prepare import read_for, with_columns
from kerasft.data.read import Read
from kerasft.errors import KerasftError
from kerasft.export.versions import PROOF, version_folder
from kerasft.run import Run, load_run, read_json
from kerasft.start import start_tensorflow
from kerasft.tasks import find_task
from kerasft.tasks.task import Scheme, Task, scheme_of

_BATCH_ROWS = 32


@dataclass(frozen=True)
class Answerer:
    """Something that answers.

    Attributes:
        task: what it learnt, with the text columns that its rows had.
        scheme: what the task has learnt of its answers.
        columns: task column -> column of the file it was trained on.
        answer: (text column -> string[B]) -> output name -> array[B, …].
    """

    task: Task
    scheme: Scheme
    columns: Mapping[str, str]
    answer: Callable[[Mapping[str, Sequence[bytes]]], Mapping[str, np.ndarray]]


def open_answerer(target: Run | str | Path) -> Answerer:
    """Opens a run or an export.

    Args:
        target: a `Run`, a run folder, a version folder, or the folder with the versions (the latest is taken).

    Raises:
        KerasftError: it is neither.
    """
    if isinstance(target, Run):
        return _run_answerer(target)
    start_tensorflow()
    folder = Path(target)
    if not folder.is_dir():
        raise KerasftError(f"{folder} is not there: expected a run folder or an export (…/saved_models/NAME/VERSION).")
    if (folder / "recipe.yaml").is_file():
        return _run_answerer(load_run(folder))
    return _export_answerer(version_folder(folder))


def _run_answerer(run: Run) -> Answerer:
    import tensorflow as tf

    from kerasft.export.saved_model import answer_function

    answers = answer_function(run.task, run.text, run.network, run.recipe.max_length)
    column = {name: tf.TensorSpec([None], tf.string) for name in run.task.text_columns}

    @tf.function(input_signature=[column])
    def graph(texts):
        return answers(texts, run.scheme, run.task.respond)

    def answer(texts):
        outputs = graph({name: tf.constant(list(values), tf.string) for name, values in texts.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    return Answerer(run.task, run.scheme, run.recipe.columns, answer)


def _export_answerer(folder: Path) -> Answerer:
    if not (folder / PROOF).is_file():
        raise KerasftError(f"{folder} is a SavedModel, but not an export of kerasft: it has no {PROOF}.")
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the ops in the graph

    proof = read_json(folder / PROOF)
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]

    def answer(texts):
        outputs = signature(**{name: tf.constant(list(values), tf.string) for name, values in texts.items()})
        return {name: value.numpy() for name, value in outputs.items()}

    # The signature holds its variables weakly: `loaded` must live as long as the function does.
    answer.loaded = loaded
    task = with_columns(find_task(proof["task"]), proof["text_columns"])
    return Answerer(task, scheme_of(proof["scheme"]), proof["columns"], answer)


def answer_all(answerer: Answerer, columns: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Answers any number of rows, in batches of like length.

    Args:
        answerer: run or export.
        columns: text column -> N strings.

    Returns:
        Output name -> array[N, …], in the order of the rows; where batches differ in width, filled up as the task does.
    """
    from kerasft.training.answers import joined

    first = next(iter(columns.values()))
    order = np.argsort([sum(map(len, texts)) for texts in zip(*columns.values(), strict=True)], kind="stable")
    parts = []
    for start in range(0, max(len(first), 1), _BATCH_ROWS):
        rows = order[start : start + _BATCH_ROWS]
        # As for `kerasft tokens`: an undecodable byte of an argument comes as a surrogate, and goes as that byte.
        texts = {
            name: [values[row].encode("utf-8", errors="surrogateescape") for row in rows]
            for name, values in columns.items()
        }
        parts.append(answerer.answer(texts))
    back = np.argsort(order)
    return {name: value[back] for name, value in joined(parts).items()}


def _read(answerer: Answerer, data: Any, columns: Mapping[str, str], labelled: bool) -> Read:
    def read(mapping):
        return read_for(answerer.task, data, labelled, columns=mapping)

    stored = {
        name: column for name, column in answerer.columns.items() if labelled or name in answerer.task.text_columns
    }
    try:
        return read({**stored, **columns})
    except KerasftError as fault:
        # The file may use the task's own names although the training file did not. Standard input is gone once read.
        if not stored or columns or data == "-":
            raise
        try:
            return read({})
        except KerasftError:
            raise fault from None


def evaluate(target: Run | str | Path, data: Any, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Figures of a run or an export on labelled data.

    Args:
        target: a `Run` or the folder of a run or an export.
        data: as `fit` takes it.
        columns: task column -> the file's column, where they differ.

    Returns:
        `{"task": …, "metrics": …}` as in `metrics.json`.

    Raises:
        KerasftError: faulty data, or a label that the model does not know.
    """
    answerer = open_answerer(target)
    rows = _read(answerer, data, columns or {}, labelled=True).rows
    # Looks at every label before an hour goes into the answers.
    task = answerer.task
    if task.check or task.overlap is None:
        (task.check or task.targets)(rows, answerer.scheme)
    answers = answer_all(answerer, {name: rows.column(name) for name in answerer.task.text_columns})
    return {"task": answerer.task.name, "metrics": answerer.task.measure(rows, answers, answerer.scheme)}


def predict(target: Run | str | Path, data: Any, columns: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Answers of a run or an export, as a server gives them.

    Args:
        target: a `Run` or the folder of a run or an export.
        data: a list of strings (for tasks with one text column) or of mappings, or a source as `fit` takes it; labels
            are not needed.
        columns: task column -> the file's column, where they differ.

    Returns:
        One dict a row: the text columns and the outputs of `serving_default`.
    """
    answerer = open_answerer(target)
    names = answerer.task.text_columns
    if isinstance(data, (list, tuple)) and all(isinstance(row, str) for row in data):
        if len(names) != 1:
            raise KerasftError(
                f"Task '{answerer.task.name}' takes rows with {', '.join(names)}; found plain strings. "
                "Pass them as a file with these columns (--data), or as a list of mappings."
            )
        texts = {names[0]: list(data)}
    else:
        rows = _read(answerer, data, columns or {}, labelled=False).rows
        texts = {name: rows.column(name) for name in names}
    outputs = answer_all(answerer, texts)
    return [
        {**{name: texts[name][row] for name in names}, **{name: _plain(value[row]) for name, value in outputs.items()}}
        for row in range(len(texts[names[0]]))
    ]


def _plain(value):
    """A NumPy value as JSON has it; bytes are UTF-8."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    # str() of a float32 has just the digits that tell it apart, where float() would show the error of the conversion.
    return float(str(value)) if isinstance(value, np.floating) else value.item()
