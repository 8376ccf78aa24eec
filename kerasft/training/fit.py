"""`fit`: from labelled text to a run. Read top to bottom."""

import contextlib
import gc
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasft import run as runs
from kerasft.backbones.lock import only_one
from kerasft.data.prepare import Sets
from kerasft.errors import KerasftError
from kerasft.lora import merge_lora
from kerasft.training.cluster import find_cluster
from kerasft.training.devices import choose_xla
from kerasft.training.order import new_order, resumed_order
from kerasft.training.phases import cacheable, frontier
from kerasft.training.progress import Say, say
from kerasft.training.ready import Ready, examples, ready, saying_how_to_go_on, since
from kerasft.training.record import describe_run, write_history, write_proof_rows, write_skipped
from kerasft.training.source import save_adapted


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
    on_bad_row: str | None = None,
    resume: str | Path | None = None,
    keep_cache: bool = False,
    callbacks: Sequence[Any] = (),
    remember: Mapping[str, Any] = MappingProxyType({}),
    report: Say = say,
    **settings: Any,
) -> runs.Run | None:
    """Fine-tunes a backbone on labelled text.

    Args:
        task: a name of `kerasft.TASKS`; may come from the recipe.
        data: a file (CSV, TSV, JSONL, Parquet), a folder or glob of them, `-` for standard input, or rows in memory;
            the task's starter data when None.
        eval_data: held-out rows; when None, a share of `data` by content.
        test_data: rows that are only looked at in the end.
        backbone: a catalogue name, a keras-nlp preset, `hf://…`, `kaggle://…`, a folder, or one with random weights,
            such as `new:gpt2?layers=4&hidden=256&heads=4`.
        recipe: a YAML file, the name of one of `kerasft.recipes`, or a mapping of recipe keys.
        seed: of the split, the new weights and the order of rows.
        output: the run folder, which must not exist; `runs/<task>-<n>` when None.
        on_bad_row: `error` (the default), or `skip` to leave bad rows out and list them in the run.
        resume: a run folder that was left in the middle. It goes on with its own recipe and data; of `settings` only
            those of the machine (`strategy`, `devices`, …) may be given, and `data` only where it came from memory.
        keep_cache: leave the prefix cache in the run folder, for the next run on the same rows and weights.
        callbacks: Keras callbacks, such as those of MLflow or W&B; epochs are numbered over all phases. With several
            workers each runs its own.
        remember: goes into `run.json` as it is.
        report: is given each line of progress.
        **settings: recipe keys; they win over `recipe`.

    Returns:
        The run; None on a worker that is not the chief.

    Raises:
        KerasftError: a mistake in the arguments, the recipe or the data; nothing is written then. A loss that is not
            finite: the run folder then holds the best weights of the epochs that were complete.
        Stopped: a signal asked the run to stop; a checkpoint is written.
    """
    began = time.monotonic()
    sources = {"data": data, "eval_data": eval_data, "test_data": test_data}
    if resume is None:
        order = new_order(task, backbone, recipe, seed, settings, output, sources, on_bad_row or "error")
    else:
        named = {"task": task, "backbone": backbone, "recipe": recipe, "seed": seed, "output": output}
        named["on_bad_row"] = on_bad_row
        order = resumed_order(resume, named, settings, sources)
    if data is None and resume is None:
        report(f"No data given: training on kerasft's own starter data ({order.sources['data'].name}).")
    if order.finished:
        cluster = find_cluster()
        if cluster is not None and not cluster.is_chief:
            return None
        report(f"Run {order.folder} has finished its training.")
        # Killed in its last moment, it has left them.
        shutil.rmtree(order.folder / "checkpoints", ignore_errors=True)
        return runs.load_run(order.folder)
    with contextlib.ExitStack() as alone:
        with ready(order, report) as here:
            seconds = _train(here, alone, keep_cache, callbacks, remember)
        if not here.chief:
            return None
        sets = here.sets
        # The network that was trained goes before the one that was saved is built.
        del here
        gc.collect()
        with saying_how_to_go_on(order.folder, report):
            return _measure(order.folder, sets, seconds, began)


def _train(
    here: Ready,
    alone: contextlib.ExitStack,
    keep_cache: bool,
    callbacks: Sequence[Any],
    remember: Mapping[str, Any],
) -> dict[str, Any]:
    """Makes the run folder of a new run, and keeps other processes out of it until `alone` is closed."""
    from kerasft.training.callbacks import run_callbacks
    from kerasft.training.keeper import make_keeper

    keeper = make_keeper()
    calls = run_callbacks(callbacks, own=[keeper])
    if here.chief:
        if not here.order.record:
            _create(here, remember)
        alone.enter_context(only_one(here.folder / ".lock", waiting=lambda: _refuse(here.folder, "is being trained")))
        if (here.folder / "metrics.json").is_file():
            _refuse(here.folder, "has just been finished")
    return _run_phases(here, keep_cache, calls, keeper)


def _refuse(folder: Path, state: str) -> None:
    raise KerasftError(f"Run {folder} {state} by another process.")


def _run_phases(here: Ready, keep_cache: bool, calls, keeper) -> dict[str, Any]:
    """Encodes the rows and runs the phases that are left; gives the seconds of each part."""
    from kerasft.network import full_model
    from kerasft.training.caching import with_cache, without_cache
    from kerasft.training.job import Job
    from kerasft.training.keep import put_back
    from kerasft.training.phase import run_phase
    from kerasft.training.tracking import Tracker

    recipe, folder = here.recipe, here.folder
    started = time.monotonic()
    train, held_out = examples(here, folder / "tokens")
    seconds: dict[str, Any] = {"tokenise": since(started)}

    state, resumed = _begin(here)
    job = Job(
        network=here.network,
        whole=full_model(here.network),
        task=here.task,
        recipe=recipe,
        scheme=here.sets.scheme,
        text=here.text,
        strategy=here.strategy,
        chief=here.chief,
        xla=choose_xla(recipe.machine, here.strategy, bool(here.task.contrast)),
        folder=folder / "checkpoints",
        stop=here.stop,
        report=here.report,
        tracker=Tracker(folder if here.chief else None, state.updates + 1, report=here.report),
        calls=calls,
    )
    phases = recipe.learning.phases
    try:
        job.check_stop()
        put_back(job, resumed)
        started = time.monotonic()
        train, held_out = with_cache(job, state, train, held_out, folder / "cache")
        state.seconds["cache"] += since(started)
        fresh = cacheable([frontier(phase, len(here.network.backbone.blocks)) for phase in phases])
        while state.phase <= len(phases):
            number = state.phase - 1
            sides = (train, held_out) if fresh[number] else (without_cache(train), without_cache(held_out))
            run_phase(job, state, phases[number], keeper, *sides, resumed)
            resumed = {}
        calls.end_run()
    except BaseException:
        # What went wrong is what counts: no second error may hide it.
        with contextlib.suppress(Exception):
            _leave(job, state, folder)
        raise
    else:
        _leave(job, state, folder)
    finally:
        shutil.rmtree(folder / "tokens", ignore_errors=True)
    if not keep_cache:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    return {**seconds, **state.seconds, "phases": state.phases, "best_phase": state.best_phase}


def _leave(job, state, folder: Path) -> None:
    """Leaves curves, history and the best weights so far; a diverged run keeps its last good ones too."""
    from kerasft.training.keep import restore_best

    job.tracker.close()
    if job.chief and state.history:
        write_history(folder, state.history)
    if state.best_file:
        restore_best(job, state)
        merge_lora(job.network)
        if job.chief:
            runs.save_weights(folder, job.whole)


def _create(here: Ready, remember: Mapping[str, Any]) -> None:
    """Makes the run folder: from its first moment it says all that is needed to go on with it."""
    from kerasft.backbones.load import copy_definition

    with runs.new_run(here.folder) as beside:
        copy_definition(here.source, beside / "backbone")
        definition = describe_run(here.sets, here.strategy.num_replicas_in_sync)
        sources = {"sources": here.order.described_sources(), "on_bad_row": here.order.on_bad_row}
        runs.save_definition(beside, here.recipe, {**definition, **sources, **remember})
        write_skipped(beside, here.sets)
        write_proof_rows(beside, here.task, here.sets.held_out)


def _begin(here: Ready) -> tuple[Any, Mapping[str, np.ndarray]]:
    """Where to begin: at the newest checkpoint of a resumed run, else at the beginning."""
    from kerasft.training.checkpoint import State, load_checkpoint

    theirs, mine = here.order.folder / "checkpoints", here.folder / "checkpoints"
    found = load_checkpoint(theirs) if here.order.record else None
    if found is None:
        return State(), {}
    state, arrays = found
    if not here.chief and state.best_file:
        # A worker that is not the chief keeps its own copy of the best weights.
        mine.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(theirs / state.best_file, mine / state.best_file)
    here.report(f"Going on after {state.updates} updates, in phase {state.phase}.")
    return state, arrays


def _measure(folder: Path, sets: Sets, seconds: dict[str, Any], began: float) -> runs.Run:
    """Measures the run as it was saved, in float32 whatever it was trained in, and writes `metrics.json`."""
    from kerasft.answering import written
    from kerasft.network import full_model
    from kerasft.training.answers import answers_of
    from kerasft.weights import network_weights

    started = time.monotonic()
    run = runs.open_run(folder)
    model = full_model(run.network)
    task, figures = run.task, {}
    # The held-out rows come first: the test rows are answered with what was tuned on them.
    for key, rows in {"metrics": sets.held_out, "test_metrics": sets.test}.items():
        if rows is not None:
            answer = answers_of(run, model, rows)
            if task.tune and key == "metrics":
                run = runs.keep_scheme(run, task.tune(rows, answer(run.scheme), run.scheme))
            figures[key] = task.measure(rows, {**answer(run.scheme), **written(run, rows)}, run.scheme)
    evaluated = since(started)
    started = time.monotonic()
    if task.adapts:
        _save_adapted(run)
    phases = seconds["phases"]
    runs.write_json(
        folder / "metrics.json",
        {
            "task": task.name,
            **figures,
            "seconds": {
                "total": since(began),
                "tokenise": seconds["tokenise"],
                "cache": round(seconds["cache"], 2),
                "phases": [phase["seconds"] for phase in phases],
                "evaluate": evaluated,
                **({"backbone": since(started)} if task.adapts else {}),
                "export": 0.0,
            },
            "best_phase": seconds["best_phase"],
            "parameters": sum(int(np.prod(weight.shape)) for weight in network_weights(run.network)),
            "phases": phases,
        },
    )
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for left in folder.glob(".*"):
        # The lock, which a finished run needs no more, and what a process that was killed may have left half written.
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return run


def _save_adapted(run: runs.Run) -> None:
    """Leaves the trained backbone in the run, for `--backbone` of other runs."""
    folder = run.folder / runs.ADAPTED
    try:
        save_adapted(run, folder)
    except OSError as error:
        raise KerasftError(f"The adapted backbone could not be written to {folder}: {error.strerror}.") from None
