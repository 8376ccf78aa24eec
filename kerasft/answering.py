"""Answers and figures from a run (through Keras) or from an export (through the SavedModel alone)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.data.inputs import Values, input_specs, input_tensors, inputs_of, some
from kerasft.data.prepare import read_for, with_columns
from kerasft.data.read import Read
from kerasft.data.rows import Rows, end_to_end
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
        answer: (input -> B texts as bytes, or B whole numbers) -> output name -> array[B, …].
        run: that it was opened from; None for an export.
    """

    task: Task
    scheme: Scheme
    columns: Mapping[str, str]
    answer: Callable[[Values], Mapping[str, np.ndarray]]
    run: Run | None = None


def open_answerer(target: Run | str | Path) -> Answerer:
    """Opens a run or an export.

    Args:
        target: a `Run`, a run folder, a version folder, or the folder with the versions (the latest is taken).

    Raises:
        KerasftError: it is neither.
    """
    if isinstance(target, Run):
        return target.answerer
    start_tensorflow()
    folder = Path(target)
    if not folder.is_dir():
        raise KerasftError(f"{folder} is not there: expected a run folder or an export (…/saved_models/NAME/VERSION).")
    if (folder / "recipe.yaml").is_file():
        return load_run(folder).answerer
    return _export_answerer(version_folder(folder))


def run_answerer(run: Run) -> Answerer:
    """Makes what answers for a run; `Run.answerer` keeps it."""
    import tensorflow as tf

    if run.task.writes:
        return _writing_answerer(run)
    from kerasft.export.saved_model import answer_function

    answers = answer_function(run.task, run.text, run.network, run.recipe.max_length)

    @tf.function(input_signature=[input_specs(run.task)])
    def graph(inputs):
        return answers(inputs, run.scheme, run.task.respond)

    def answer(inputs):
        outputs = graph(input_tensors(inputs, run.task))
        return {name: value.numpy() for name, value in outputs.items()}

    return Answerer(run.task, run.scheme, run.recipe.columns, answer, run)


def _writing_answerer(run: Run) -> Answerer:
    """Of what would be exported: the same generator, with the same knobs."""
    from kerasft.generation.service import DEFAULT, make_service

    service = make_service(run.task, run.text, run.network.backbone, run.scheme, run.recipe.max_length)

    def answer(inputs):
        outputs = service.signatures[DEFAULT].function(**input_tensors(inputs, run.task))
        return {name: value.numpy() for name, value in outputs.items()}

    return Answerer(run.task, run.scheme, run.recipe.columns, answer, run)


def _export_answerer(folder: Path) -> Answerer:
    if not (folder / PROOF).is_file():
        raise KerasftError(f"{folder} is a SavedModel, but not an export of kerasft: it has no {PROOF}.")
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the ops in the graph

    proof = read_json(folder / PROOF)
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]

    task = with_columns(find_task(proof["task"]), proof["text_columns"])

    def answer(inputs):
        outputs = signature(**input_tensors(inputs, task))
        return {name: value.numpy() for name, value in outputs.items()}

    # The signature holds its variables weakly: `loaded` must live as long as the function does.
    answer.loaded = loaded
    return Answerer(task, scheme_of(proof["scheme"]), proof["columns"], answer)


def answer_all(answerer: Answerer, inputs: Values) -> dict[str, np.ndarray]:
    """Answers any number of rows, in batches of like length.

    Args:
        answerer: run or export.
        inputs: of the task -> N values, texts as str.

    Returns:
        Output name -> array[N, …], in the order of the rows; where batches differ in width, filled up as the task does.
    """
    from kerasft.training.answers import joined

    columns = [inputs[name] for name in answerer.task.text_columns]
    order = np.argsort([sum(map(len, texts)) for texts in zip(*columns, strict=True)], kind="stable")
    parts = []
    for start in range(0, max(len(order), 1), _BATCH_ROWS):
        batch = some(inputs, order[start : start + _BATCH_ROWS])
        # As for `kerasft tokens`: an undecodable byte of an argument comes as a surrogate, and goes as that byte.
        for name in answerer.task.text_columns:
            batch[name] = [text.encode("utf-8", errors="surrogateescape") for text in batch[name]]
        parts.append(answerer.answer(batch))
    back = np.argsort(order)
    return {name: value[back] for name, value in joined(parts).items()}


def _read(answerer: Answerer, data: Any, columns: Mapping[str, str], labelled: bool) -> Read:
    def read(mapping):
        return read_for(answerer.task, data, labelled, columns=mapping)

    stored = {name: column for name, column in answerer.columns.items() if labelled or name in answerer.task.inputs}
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
    check = task.windows.check if task.windows else task.targets
    if check:
        check(rows, answerer.scheme)
    return {"task": task.name, "metrics": task.measure(rows, _answers(answerer, rows), answerer.scheme)}


def _answers(answerer: Answerer, rows: Rows) -> Mapping[str, np.ndarray]:
    """What `Task.measure` takes."""
    task = answerer.task
    if task.draws is None:
        return _answers_of_rows(answerer, rows)
    if task.writes is None or not answerer.scheme.numbers["eval_texts"]:
        return _judged(answerer, rows)
    written = answer_all(answerer, task.writes.requests(rows))
    return {**written, **(_judged(answerer, rows) if answerer.run else {})}


def written(run: Run, rows: Rows) -> Mapping[str, np.ndarray]:
    """What the run of a task that writes answers to the first rows, as many as its recipe wants; else nothing."""
    count = min(run.recipe.writing.eval_texts, len(rows)) if run.task.writes else 0
    if not count:
        return {}
    return answer_all(run.answerer, run.task.writes.requests(rows.take(range(count))))


def _judged(answerer: Answerer, rows: Rows) -> Mapping[str, np.ndarray]:
    """What a task is measured by that foretells tokens."""
    from kerasft.network import full_model
    from kerasft.training.answers import judged_rows

    run = answerer.run
    if run is None:
        raise KerasftError(
            f"Task '{answerer.task.name}' is measured by how its network foretells tokens, which an export does not "
            "tell: evaluate the run that it came from."
        )
    return judged_rows(run, full_model(run.network), rows)


def _answers_of_rows(answerer: Answerer, rows: Rows) -> dict[str, np.ndarray]:
    """The answers as `Task.measure` takes them; where a row has several texts, each is asked for by itself."""
    task = answerer.task
    if task.contrast is None:
        return answer_all(answerer, inputs_of(rows, task))
    from kerasft.training.answers import grouped

    views = task.contrast.views(rows, False)
    (column,) = task.text_columns
    return grouped(answer_all(answerer, {column: end_to_end(views).to_pylist()}), len(views))


def predict(target: Run | str | Path, data: Any, columns: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Answers of a run or an export, as a server gives them.

    Args:
        target: a `Run` or the folder of a run or an export.
        data: a list of strings (for tasks with one input) or of mappings, or a source as `fit` takes it; labels
            are not needed.
        columns: task column -> the file's column, where they differ.

    Returns:
        One dict a row: the inputs and the outputs of `serving_default`.
    """
    answerer = open_answerer(target)
    task = answerer.task
    names = task.inputs
    if isinstance(data, (list, tuple)) and all(isinstance(row, str) for row in data):
        if len(names) != 1:
            raise KerasftError(
                f"Task '{task.name}' takes rows with {', '.join(names)}; found plain strings. "
                "Pass them as a file with these columns (--data), or as a list of mappings."
            )
        inputs = {names[0]: [_checked(text, number) for number, text in enumerate(data, 1)]}
    else:
        inputs = inputs_of(_read(answerer, data, columns or {}, labelled=False).rows, task)
    outputs = answer_all(answerer, inputs)
    return [
        {name: _plain(values[row]) for name, values in [*inputs.items(), *outputs.items()]}
        for row in range(len(inputs[names[0]]))
    ]


def _checked(text: str, number: int) -> str:
    """A text that can be sent: half of a surrogate pair has no bytes, unless it stands for a byte of an argument."""
    try:
        text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        raise KerasftError(f"Text {number} has half of a surrogate pair, which is no character: repair it.") from None
    return text


def _plain(value):
    """A NumPy value as JSON has it; bytes are UTF-8."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, str):
        return value
    # str() of a float32 has just the digits that tell it apart, where float() would show the error of the conversion.
    return float(str(value)) if isinstance(value, np.floating) else value.item()
