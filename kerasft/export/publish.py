"""Publish: write the SavedModel beside, prove it in a fresh process, rename it into place; or publish nothing."""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.atomic import new_folder
from kerasft.data.inputs import Values
from kerasft.errors import KerasftError
from kerasft.export.examples import serialized_example
from kerasft.export.hostile import HOSTILE_TEXTS, hostile_numbers
from kerasft.export.versions import PROOF, model_folder, place
from kerasft.run import Run, load_run, read_json, write_json
from kerasft.start import start_tensorflow
from kerasft.training.progress import Say, say

TOLERANCE = 1e-5
_EXAMPLE_EVERY = 4
_STORED_BYTES = 1000  # of a hostile text; the longer ones would fill the proof


def export(
    run: Run | str | Path, export_dir: str | Path = "saved_models", name: str | None = None, report: Say = say
) -> Path:
    """Publishes a run as `export_dir/name/<version>/`.

    Args:
        run: the run or its folder.
        export_dir: where exports live.
        name: of the model; the task's when None.
        report: is given each line of progress.

    Returns:
        The version folder; its number is the next free one.

    Raises:
        KerasftError: the proof failed; nothing is published then, and the message says what differed.
    """
    start_tensorflow()
    run = run if isinstance(run, Run) else load_run(run)
    began = time.monotonic()
    parent = model_folder(Path(export_dir), name or run.task.name)
    try:
        with new_folder(parent, "unproven") as beside:
            version = _write_and_prove(run, beside, parent.name, report)
            final = place(beside, parent)
    except OSError as error:
        raise KerasftError(f"The export to {parent} was not published: {error.strerror or error}.") from error
    seconds = round(time.monotonic() - began, 2)
    _note_seconds(run, seconds)
    report(f"Published {final} ({version['size']['bytes'] / 1e6:.1f} MB) in {seconds:.1f} s")
    return final


@dataclass(frozen=True)
class _Export:
    """What is written, and what it is proven by.

    Attributes:
        save: (folder) -> None.
        cases: () -> what it must answer, and what of that is stored.
        weights: bytes of the variables.
        more: of `proof.json`.
        timeout: seconds for the proof.
    """

    save: Callable[[Path], None]
    cases: Callable[[], tuple[list, dict[str, Any]]]
    weights: int
    more: dict[str, Any] = field(default_factory=dict)
    timeout: float = 900.0


def _of_network(run: Run) -> _Export:
    from kerasft.export import saved_model

    def save(folder: Path) -> None:
        saved_model.save(run.task, run.text, run.network, run.scheme, run.recipe.max_length, folder)

    weights = sum(weight.numpy().nbytes for weight in saved_model.network_weights(run.network))
    return _Export(save, lambda: _cases(run), weights)


def _of_service(run: Run) -> _Export:
    """Of a task that writes: its generator is asked and checked while the network is there, which then is let go."""
    from kerasft.export.proof_writing import TIMEOUT, on_cpu, writing_proof
    from kerasft.export.saved_model import save_service
    from kerasft.generation.service import make_service

    run.__dict__.pop("answerer", None)  # it has a copy of the weights
    with on_cpu():
        service = make_service(run.task, run.text, run.network.backbone, run.scheme, run.recipe.max_length)
    cases, hostile, writing = writing_proof(run, service)
    # Loaded again when it is asked for: a large model need not be in memory twice while it is written and proven.
    run.let_go()
    weights = sum(variable.dtype.size * variable.shape.num_elements() for variable in service.variables)
    return _Export(partial(save_service, service), lambda: (cases, hostile), weights, {"writing": writing}, TIMEOUT)


def _write_and_prove(run: Run, folder: Path, name: str, report: Say) -> dict[str, Any]:
    import tensorflow as tf

    from kerasft.export.batching_params import write_batching_params
    from kerasft.export.proof import prove
    from kerasft.export.samples import write_samples
    from kerasft.export.servable import inspect
    from kerasft.export.warm_file import read_warm_file, write_warm_file
    from kerasft.export.warm_requests import warm_requests, word_sizes

    made = _of_service(run) if run.task.writes else _of_network(run)
    try:
        made.save(folder)
    except tf.errors.OpError as error:
        raise KerasftError(f"The SavedModel could not be written: {error.message.splitlines()[0]}") from error
    inspection = inspect(folder)
    if inspection.problems:
        raise KerasftError(f"Not published: a stock TensorFlow Serving could not run it: {inspection.problems[0]}.")
    if inspection.oversize:
        raise KerasftError(f"Not published: {inspection.oversize}.")

    max_length = run.recipe.max_length
    requests = warm_requests(run.task, inspection.signatures, max_length, word_sizes(run.text))
    write_warm_file(folder, requests)
    write_batching_params(folder, max_length, run.task.writes is not None)
    cases, hostile = made.cases()
    report(f"Proving it in a fresh process: TensorFlow's C++ loader, XLA off, {len(cases)} cases")
    replayed = read_warm_file(folder)
    record, answers = prove(folder, cases, tolerance=TOLERANCE, timeout=made.timeout, also=replayed)
    # None at all where a test does without the proof.
    write_samples(folder, name, [(request, answer.outputs) for request, answer in zip(requests, answers, strict=False)])
    proof = {
        # As `--task` takes it: a task of the user's own is found again by its module.
        "task": run.recipe.task,
        "text_columns": list(run.task.text_columns),
        "number_columns": list(run.task.number_columns),
        "scheme": run.scheme.as_json(),
        "columns": dict(run.recipe.columns),
        "backbone": run.recipe.backbone,
        "versions": run.record["versions"],
        "data": run.record["data"],
        "metrics": run.metrics["metrics"],
        "lowest_tf_serving": inspection.lowest_release,
        **made.more,
        "proof": record,
        "hostile": hostile,
    }
    write_json(folder / PROOF, proof)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    proof["size"] = {"bytes": size, "weights_bytes": made.weights, "ratio": round(size / made.weights, 4)}
    write_json(folder / PROOF, proof)
    return proof


def _cases(run: Run) -> tuple[list, dict[str, Any]]:
    """What the export must answer, computed by the Keras model outside any export; and what of it is stored."""
    from kerasft.export import saved_model
    from kerasft.export.proof import Case

    columns, numbers = run.task.text_columns, run.task.number_columns
    rows = read_json(run.folder / "proof_rows.json")
    texts = [text for _, text in HOSTILE_TEXTS]
    if run.task.asks:
        # Ahead, for the first rows are asked alone too.
        texts = [run.task.asks.pose(text, number) for number, text in enumerate(texts)] + texts
    strange = {name: texts[shift:] + texts[:shift] for shift, name in enumerate(columns)}
    odd = hostile_numbers(strange[columns[-1]])
    feeds: dict[str, Any] = {name: [row[name].encode() for row in rows] + strange[name] for name in columns}
    feeds |= {name: np.array([row[name] for row in rows] + odd, np.int32) for name in numbers}
    answers = _keras_answers(run, feeds)

    def case(what: str, part: slice, name: str = saved_model.SERVING) -> Case:
        chosen = {column: values[part] for column, values in feeds.items()}
        asked = chosen if name == saved_model.SERVING else {"inputs": _examples(chosen)}
        return Case(name, asked, answers(name, part), what)

    cases = [case("held-out rows", slice(0, len(rows))), case("hostile texts", slice(len(rows), None))]
    # The other signatures share the first one's graph: a part of the rows proves what they add.
    cases += [
        case("every fourth of both as tf.Example", slice(0, None, _EXAMPLE_EVERY), name) for name in run.task.apis
    ]

    short = [row for row in range(len(texts)) if all(len(strange[name][row]) <= _STORED_BYTES for name in columns)]
    chosen = len(rows) + np.array(short, np.int64)
    stored = {
        "signature": saved_model.SERVING,
        "texts_base64": {name: [base64.b64encode(strange[name][row]).decode() for row in short] for name in columns},
        "numbers": {name: [odd[row] for row in short] for name in numbers},
        "outputs": {name: _storable(value.tolist()) for name, value in answers(saved_model.SERVING, chosen).items()},
    }
    return cases, stored


def _keras_answers(run: Run, feeds: Values) -> Callable[[str, slice | np.ndarray], dict[str, np.ndarray]]:
    """Through the training pipeline: encode, the Keras model, respond, each on its own.

    Returns:
        (signature, some of the rows) -> the outputs that these rows get in one batch.
    """
    from kerasft.data.encode import encode
    from kerasft.data.inputs import marked_of, some
    from kerasft.data.pipeline import token_batch
    from kerasft.export.saved_model import SERVING, TRUNCATED
    from kerasft.network import full_model
    from kerasft.training.answers import Asked, asked_answers

    task, max_length = run.task, run.recipe.max_length
    if task.asks:
        model = full_model(run.network)

        def of_requests(name: str, part: slice | np.ndarray) -> dict[str, np.ndarray]:
            chosen = some(feeds, np.arange(len(feeds[task.text_columns[0]]))[part])
            return asked_answers(task, run.text, model, max_length, run.scheme, chosen)

        return of_requests
    texts = [feeds[name] for name in task.text_columns]
    overlap = task.windows.overlap if task.windows else None
    encoded = encode(run.text, texts, max_length, overlap=overlap, marked=marked_of(feeds, task))
    asked = Asked(task, run.text, max_length, feeds, encoded)
    logits = asked.logits(full_model(run.network), lambda rows: token_batch(encoded, rows), batch_size=32)
    every = np.arange(len(encoded.uncut))
    truncated = encoded.uncut > max_length if task.windows is None else encoded.places.truncated

    def answers(name: str, part: slice | np.ndarray) -> dict[str, np.ndarray]:
        if name == SERVING:
            return {**asked.answers(logits, run.scheme, every[part]), TRUNCATED: truncated[part]}
        return asked.answers(logits, run.scheme, every[part], task.apis[name])

    return answers


def _examples(feeds: Values) -> list[bytes]:
    rows = zip(*feeds.values(), strict=True)
    return [serialized_example(dict(zip(feeds, row, strict=True))) for row in rows]


def _storable(value: Any) -> Any:
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def _note_seconds(run: Run, seconds: float) -> None:
    metrics = run.metrics
    times = metrics["seconds"]
    times["total"] = round(times["total"] - times["export"] + seconds, 2)
    times["export"] = seconds
    write_json(run.folder / "metrics.json", metrics)
