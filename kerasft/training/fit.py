"""`fit`: from labelled text to a run. Read top to bottom."""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasft import run as runs
from kerasft.atomic import new_file
from kerasft.backbones.locate import locate, resolve
from kerasft.data.prepare import Sets, balanced_weights, describe_classes, label_ids, prepare_sets, starter_file
from kerasft.errors import KerasftError
from kerasft.start import start_tensorflow
from kerasft.tasks import find_task
from kerasft.tasks.task import Task
from kerasft.training.phases import batch_size, cacheable, frontier, plan
from kerasft.training.progress import Bar, Say, say
from kerasft.training.recipe import Phase, Recipe, make_recipe, read_settings
from kerasft.training.record import describe_run, write_history, write_proof_rows, write_skipped


def fit(
    task: str | None = None,
    data: Any = None,
    *,
    eval_data: Any = None,
    test_data: Any = None,
    backbone: str | None = None,
    recipe: str | Path | Mapping[str, Any] | None = None,
    seed: int | None = None,
    output: str | Path | None = None,
    on_bad_row: str = "error",
    report: Say = say,
    **settings: Any,
) -> runs.Run:
    """Fine-tunes a backbone on labelled text.

    Args:
        task: a name of `kerasft.TASKS`; may come from the recipe.
        data: a file (CSV, TSV, JSONL, Parquet), a folder or glob of them, `-` for standard input, or rows in memory;
            the task's starter data when None.
        eval_data: held-out rows; when None, a share of `data` by content.
        test_data: rows that are only looked at in the end.
        backbone: a catalogue name, a keras-nlp preset, `hf://…`, `kaggle://…` or a folder.
        recipe: a YAML file or a mapping of recipe keys.
        seed: of the split, the new weights and the order of rows.
        output: the run folder, which must not exist; `runs/<task>-<n>` when None.
        on_bad_row: `error`, or `skip` to leave bad rows out and list them in the run.
        report: is given each line of progress.
        **settings: recipe keys; they win over `recipe`.

    Returns:
        The run.

    Raises:
        KerasftError: a mistake in the arguments, the recipe or the data; nothing is written then. A loss that is not
            finite: the run folder then holds the last good weights.
    """
    began = time.monotonic()
    recipe = _gather(task, backbone, recipe, seed, settings)
    task = find_task(recipe.task)
    resolve(recipe.backbone)
    folder = Path(output) if output else runs.next_folder(Path("runs"), task.name)
    if folder.exists():
        raise KerasftError(f"Run folder {folder} exists and is never overwritten. Pass another --output.")
    if data is None:
        data = starter_file(task)
        if data is None:
            raise KerasftError(f"Task '{task.name}' has no starter data. Pass --data with columns {_columns(task)}.")
        report(f"No data given: training on kerasft's own starter data ({data.name}).")
    sets = prepare_sets(task, recipe, data, eval_data, test_data, on_bad_row)
    _report_sets(sets, task, report)
    source = locate(recipe.backbone, report)

    # Only now TensorFlow: a mistake above is told in a second.
    start_tensorflow()
    import keras

    from kerasft.training.strategy import choose_strategy

    keras.utils.set_random_seed(recipe.seed)
    strategy = choose_strategy()
    # Entering the default strategy's scope is of no use and, in Keras, not free of side effects.
    scope = strategy.scope() if strategy.num_replicas_in_sync > 1 else contextlib.nullcontext()
    with scope:
        return _train(began, recipe, task, sets, source, folder, strategy.num_replicas_in_sync, report)


def _train(
    began: float, recipe: Recipe, task: Task, sets: Sets, source: Path, folder: Path, replicas: int, report: Say
) -> runs.Run:
    from kerasft.backbones.load import copy_definition, load_backbone, load_text_functions
    from kerasft.data.audit import audit_lengths
    from kerasft.data.pipeline import encode
    from kerasft.network import Network, full_model
    from kerasft.training.phase import Best, Examples, network_weights, run_phase

    text = load_text_functions(source)
    max_length = min(recipe.max_length, text.max_length)
    if max_length < recipe.max_length:
        report(f"Backbone {recipe.backbone} takes {max_length} tokens at most: max_length is {max_length}.")
    backbone = load_backbone(source)
    phases = plan(recipe, len(backbone.blocks))
    recipe = recipe.model_copy(
        update={
            "max_length": max_length,
            "batch_size": batch_size(recipe, len(sets.train)),
            "phases": phases,
            "epochs": None,
            "learning_rate": None,
        }
    )
    network = Network(backbone, runs.make_head(task, recipe, backbone, text, len(sets.labels)))
    full_model(network)
    report(
        f"Backbone {recipe.backbone}: {backbone.family}, {len(backbone.blocks)} blocks of {backbone.hidden_size}"
        + (f", on {replicas} devices in step" if replicas > 1 else "")
    )

    started = time.monotonic()
    encoded = {
        name: encode(text, [rows.column(column) for column in task.text_columns], max_length)
        for name, rows in (("train", sets.train), ("eval", sets.held_out), ("test", sets.test))
        if rows is not None
    }
    for warning in audit_lengths(np.concatenate([part.uncut for part in encoded.values()]), max_length):
        report(f"Warning: {warning}")
    seconds: dict[str, Any] = {"tokenise": _since(started), "cache": 0.0, "phases": []}

    train_labels = label_ids(sets.train, task.label_column, sets.labels)
    balanced = recipe.class_weights == "balanced"
    train = Examples(
        encoded["train"], train_labels, balanced_weights(train_labels, len(sets.labels)) if balanced else None
    )
    held_out = Examples(encoded["eval"], label_ids(sets.held_out, task.label_column, sets.labels))

    runs.create_folder(folder)
    copy_definition(source, folder / "backbone")
    definition = describe_run(task, sets, replicas)
    runs.save_definition(folder, recipe, definition)
    write_skipped(folder, sets)
    write_proof_rows(folder, task, sets.held_out)

    best, history, phase_records = Best(), [], []
    # Even a run that diverges in its first epoch has good weights: those that it began with.
    best.offer(network, best.rank, phase=0)
    cache_folder = folder / "cache"
    try:
        started = time.monotonic()
        train, held_out = _cached(network, phases, train, held_out, cache_folder, report)
        seconds["cache"] = _since(started)
        fresh = cacheable([frontier(phase, len(backbone.blocks)) for phase in phases])
        for number, phase in enumerate(phases, start=1):
            sides = (train, held_out) if fresh[number - 1] else (_uncached(train), _uncached(held_out))
            entry, lines = run_phase(
                network, task, recipe, phase, number, *sides, sets.labels, best, len(history), report
            )
            phase_records.append(entry)
            seconds["phases"].append(entry["seconds"])
            history += lines
            write_history(folder, history)
    except KeyboardInterrupt:
        report(f"Stopped: {folder} keeps the best weights so far; it is not a finished run.")
        raise
    finally:
        shutil.rmtree(cache_folder, ignore_errors=True)
        # A diverged or interrupted run keeps its last good weights too.
        best.restore(network)
        with new_file(folder / runs.WEIGHTS) as beside:
            full_model(network).save_weights(beside)

    started = time.monotonic()
    figures = _figures(network, task, recipe, sets, encoded)
    seconds["evaluate"] = _since(started)
    seconds["export"] = 0.0
    seconds["total"] = _since(began)
    runs.write_json(
        folder / "metrics.json",
        {
            "task": task.name,
            "metrics": figures["eval"],
            **({"test_metrics": figures["test"]} if "test" in figures else {}),
            "seconds": seconds,
            "best_phase": best.phase,
            "parameters": sum(int(np.prod(weight.shape)) for weight in network_weights(network)),
            "phases": phase_records,
        },
    )
    return runs.load_run(folder)


def _gather(task, backbone, recipe, seed, settings) -> Recipe:
    """One recipe from a file or mapping, the named arguments and the settings; the later win."""
    where = str(recipe) if isinstance(recipe, (str, Path)) else "the recipe"
    keys = dict(read_settings(recipe) if isinstance(recipe, (str, Path)) else recipe or {})
    named = {"task": task, "backbone": backbone, "seed": seed}
    keys.update({name: value for name, value in named.items() if value is not None})
    keys.update(settings)
    if "task" not in keys:
        raise KerasftError("No task given. Pass --task NAME (`kerasft tasks` lists them), or 'task:' in the recipe.")
    return make_recipe(keys, where)


def _columns(task: Task) -> str:
    return ", ".join(f"'{name}'" for name in (*task.text_columns, task.label_column))


def _report_sets(sets: Sets, task: Task, report: Say) -> None:
    for note in sets.notes:
        report(note)
    if sets.skipped:
        report(f"Skipped {len(sets.skipped)} bad rows; skipped.jsonl in the run folder lists them.")
    report(f"Training on {len(sets.train)} rows ({describe_classes(sets.train, task.label_column)}).")
    for warning in sets.warnings:
        report(f"Warning: {warning}")


def _cached(network, phases: Sequence[Phase], train, held_out, folder: Path, report: Say):
    """Fills the prefix cache for the phases that leave a part frozen, where the disk has room."""
    from kerasft.training.prefix_cache import cache_bytes, fill_cache, has_room

    blocks = len(network.backbone.blocks)
    lines = [frontier(phase, blocks) for phase in phases]
    boundaries = sorted({line.block for line, fresh in zip(lines, cacheable(lines), strict=True) if fresh})
    if not boundaries:
        return train, held_out
    needed = cache_bytes([train.encoded, held_out.encoded], boundaries, network.backbone.hidden_size)
    if not has_room(folder.parent, needed):
        report(
            f"The prefix cache would take {needed / 1e6:.0f} MB and the disk is short: "
            "frozen blocks are run each epoch instead."
        )
        return train, held_out
    began = time.monotonic()
    with Bar("prefix cache", len(train.labels) + len(held_out.labels)) as bar:
        cached = [
            dataclasses.replace(part, cache=fill_cache(network, part.encoded, boundaries, folder / name, bar.move))
            for name, part in (("train", train), ("eval", held_out))
        ]
    report(f"Prefix cache: {needed / 1e6:.0f} MB at {len(boundaries)} boundaries in {time.monotonic() - began:.1f} s")
    return cached


def _uncached(part):
    return dataclasses.replace(part, cache=None)


def _figures(network, task: Task, recipe: Recipe, sets: Sets, encoded) -> dict[str, dict]:
    """The task's figures on the held-out rows and, where given, the test rows."""
    from kerasft.data.pipeline import token_batch
    from kerasft.network import full_model
    from kerasft.training.phase import answers, predict_logits

    model = full_model(network)
    model.compile(jit_compile=False)
    figures = {}
    for name, rows in (("eval", sets.held_out), ("test", sets.test)):
        if rows is not None:
            part = encoded[name]
            logits = predict_logits(
                model, lambda chosen, part=part: token_batch(part, chosen), part.lengths, recipe.batch_size
            )
            figures[name] = task.measure(
                rows.column(task.label_column), answers(task, logits, sets.labels), sets.labels
            )
    return figures


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)
