"""All that must stand before the first update: rows, devices, precision, layers."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasft import run as runs
from kerasft.backbones.setting import is_new
from kerasft.data.prepare import Sets, prepare_sets
from kerasft.errors import KerasftError
from kerasft.lean import make_lean
from kerasft.lora import check_rank
from kerasft.start import start_tensorflow
from kerasft.tasks import find_task
from kerasft.tasks.task import Drawing, Task
from kerasft.training.cluster import find_cluster, naming_the_dead
from kerasft.training.devices import (
    agreed,
    choose_precision,
    choose_strategy,
    describe_devices,
    precision_policy,
    same_everywhere,
)
from kerasft.training.order import Order
from kerasft.training.phases import batch_size, check_sizes, check_together, plan
from kerasft.training.progress import Say
from kerasft.training.recipe import Phase, Recipe
from kerasft.training.source import define_source, find_source, load_source, vocabulary_fingerprint
from kerasft.training.stopping import Stop, Stopped, stoppable

_OTHER_VOCABULARY = (
    "This worker's vocabulary is not the chief's: give every worker the same backbone and the same release of the "
    "tokenizers library."
)


@dataclass(frozen=True)
class Ready:
    """What `fit` works with.

    Attributes:
        order: what was asked for.
        task: to learn, with the text columns that the rows have.
        sets: the rows.
        source: the backbone's folder.
        text: its text functions.
        network: its layers, with the task's head.
        recipe: with every choice made: phases, batch size, precision.
        strategy: a `tf.distribute.Strategy`, whose scope is entered.
        chief: whether this process writes the run's files and speaks.
        folder: the run's; for a worker that is not the chief, one that goes when it ends.
        stop: whether someone asked to stop.
        report: told of each line of progress.
    """

    order: Order
    task: Task
    sets: Sets
    source: Path
    text: Any
    network: Any
    recipe: Recipe
    strategy: Any
    chief: bool
    folder: Path
    stop: Stop
    report: Say


@contextlib.contextmanager
def ready(order: Order, report: Say) -> Iterator[Ready]:
    """Reads the rows, starts TensorFlow, loads the backbone.

    Raises:
        KerasftError: a mistake in recipe, data or devices; nothing is written then.
    """
    cluster = find_cluster() if order.recipe.machine.strategy in ("auto", "multiworker") else None
    chief = cluster is None or cluster.is_chief
    report = report if chief else _silent
    sets = prepare_sets(find_task(order.recipe.task), order.recipe, *order.sources.values(), order.on_bad_row)
    task = sets.task
    if task.contrast:
        check_together(order.recipe)
    order.check_data(sets)
    _report_sets(sets, report)
    found = find_source(order.recipe, order.folder if order.record else None, report)

    with contextlib.ExitStack() as stack:
        # Only now TensorFlow: a mistake above is told in a second.
        strategy = start_tensorflow(lambda: choose_strategy(order.recipe.machine, cluster))
        stop = stack.enter_context(stoppable(speaks=chief))
        stack.enter_context(naming_the_dead(cluster, order.folder))
        import keras

        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kerasft-")))
        source = define_source(order.recipe, found, task, sets.train, made, report)
        keras.utils.set_random_seed(order.recipe.seed)
        if strategy.num_replicas_in_sync > 1:
            # Entering the default strategy's scope is of no use and, in Keras, not free of side effects.
            stack.enter_context(strategy.scope())
        same_everywhere(strategy, chief, sets.train.fingerprint() + sets.held_out.fingerprint())
        same_everywhere(strategy, chief, vocabulary_fingerprint(source), _OTHER_VOCABULARY)
        precision = choose_precision(order.recipe.machine)
        if agreed(strategy, chief, [float(precision == "bf16")]) != [float(precision == "bf16")]:
            # Near the line where it pays, workers may measure differently: the chief's word counts.
            precision = "float32" if precision == "bf16" else "bf16"
        stack.enter_context(precision_policy(precision))
        folder = order.folder if chief else made
        text, network, recipe = _build(order.recipe, task, sets, source, precision, strategy, report)
        here = Ready(order, task, sets, source, text, network, recipe, strategy, chief, folder, stop, report)
        with saying_how_to_go_on(order.folder, report):
            yield here


@contextlib.contextmanager
def saying_how_to_go_on(folder: Path, report: Say) -> Iterator[None]:
    """Tells whoever stops a run how to resume it, once there is something to resume."""
    try:
        yield
    except (Stopped, KeyboardInterrupt):
        if (folder / "run.json").is_file():
            report(f"Stopped. To go on: kerasft fit --resume {folder}")
        raise


def _build(recipe: Recipe, task: Task, sets: Sets, source: Path, precision: str, strategy, report: Say):
    """The layers, and the recipe with every choice made."""
    from kerasft.backbones.load import load_text_functions

    text = load_text_functions(source)
    if task.fits:
        task.fits(text)
    max_length = min(recipe.max_length, text.max_length)
    if max_length < recipe.max_length:
        report(f"Backbone {recipe.backbone} takes {max_length} tokens at most: max_length is {max_length}.")
    backbone = load_source(recipe, source)
    make_lean(backbone)
    chosen = {
        "max_length": max_length,
        "batch_size": batch_size(recipe, len(sets.train)),
        "phases": _worth(task, plan(recipe, len(backbone.blocks))),
        "precision": precision,
    }
    recipe = recipe.having(**chosen, plan="gradual", epochs=None, learning_rate=None)
    check_sizes(recipe, len(sets.train), strategy.num_replicas_in_sync)
    if task.contrast and recipe.machine.xla == "on" and strategy.num_replicas_in_sync > 1:
        report(f"Task {task.name} exchanges vectors between devices in each update: that is not compiled with XLA.")
    for phase in recipe.learning.phases:
        if phase.lora:
            check_rank(phase.lora, backbone.hidden_size)
    report(
        f"Backbone {recipe.backbone}: {backbone.family}, {len(backbone.blocks)} blocks of {backbone.hidden_size}, "
        f"{precision}{describe_devices(strategy)}"
    )
    if is_new(recipe.backbone) and recipe.learning.phases[0].unfrozen != "all":
        report(
            "Warning: the backbone begins with random weights, and phase 1 keeps some of them: plan=scratch trains all."
        )
    return text, runs.make_network(task, recipe, backbone, text, sets.scheme), recipe


def _worth(task: Task, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """The phases that train something: the head of a task that writes is the backbone's own embeddings.

    Raises:
        KerasftError: there is none.
    """
    kept = tuple(phase for phase in phases if not (task.writes and phase.unfrozen == "head"))
    if not kept:
        raise KerasftError(
            f"Task '{task.name}' has a head without weights of its own, so a phase of the head alone trains nothing: "
            "pass another plan, such as full or top-2."
        )
    return kept


def examples(here: Ready, folder: Path) -> list:
    """Tokens, targets and weights of the rows to learn from and of those to watch.

    Args:
        here: task, rows, text functions.
        folder: the tokens wait there, on the disk; anew.

    Returns:
        Two `kerasft.training.job.Examples`.
    """
    from kerasft.data.encode import encode_rows
    from kerasft.training.job import Examples

    shutil.rmtree(folder, ignore_errors=True)
    task, sides = here.task, []
    for name, rows in (("train", here.sets.train), ("eval", here.sets.held_out)):
        (folder / name).mkdir(parents=True)
        learnt, length, draw = name == "train", here.recipe.max_length, None
        if task.draws:
            drawing = Drawing(length, here.recipe.seed if learnt else None, folder / name)
            draw = task.draws.draw(rows, here.text, here.sets.scheme, drawing)
            encoded, targets = draw(0)
        else:
            encoded = encode_rows(task, here.text, rows, length, folder / name, learnt=learnt)
            windows = () if task.windows is None else (encoded,)
            targets = task.targets(rows, here.sets.scheme, *windows)
        balanced = name == "train" and here.recipe.class_weights == "balanced"
        weights = task.balance(targets, here.sets.scheme) if balanced else task.count(targets)
        sides.append(Examples(rows, encoded, targets, weights, draw=draw))
    _report_lengths(here, [side.encoded for side in sides])
    return sides


def _report_lengths(here: Ready, parts: list) -> None:
    from kerasft.data.audit import audit_lengths

    if here.task.writes:
        for note in (note for part in parts for note in part.notes):
            here.report(note)
        return
    uncut = np.concatenate([part.uncut for part in parts])
    if here.task.windows is None:
        for warning in audit_lengths(uncut, here.recipe.max_length):
            here.report(f"Warning: {warning}")
        return
    windows, cut = sum(map(len, parts)), sum(int(part.places.truncated.sum()) for part in parts)
    if windows > len(uncut):
        here.report(f"{len(uncut):,} rows are read in {windows:,} windows of {here.recipe.max_length} tokens.")
    if cut:
        here.report(f"Warning: {cut:,} of {len(uncut):,} rows are too long for their windows and are cut.")


def since(started: float) -> float:
    """Seconds since `started` on the monotonic clock, to a hundredth."""
    return round(time.monotonic() - started, 2)


def _report_sets(sets: Sets, report: Say) -> None:
    for note in sets.notes:
        report(note)
    if sets.skipped:
        report(f"Skipped {len(sets.skipped)} bad rows; skipped.jsonl in the run folder lists them.")
    report(f"Training on {len(sets.train)} rows ({sets.task.describe(sets.train)}).")
    for warning in sets.warnings:
        report(f"Warning: {warning}")


def _silent(line: str) -> None:
    """Only the chief speaks."""
