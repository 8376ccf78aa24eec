"""From the sources a user names to checked sets: read, split, order the labels, audit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.data.audit import audit_sets, check_classes, class_counts
from kerasft.data.read import Skipped, read_rows
from kerasft.data.rows import Rows
from kerasft.data.split import split_rows
from kerasft.tasks.task import Task, order_labels
from kerasft.training.recipe import Recipe


@dataclass(frozen=True)
class Sets:
    """The rows of a run.

    Attributes:
        train: to learn from.
        held_out: to watch, stop early and report on.
        test: to report on at the end, or None.
        labels: the label names, by id.
        notes: what was guessed or decided, a line each.
        warnings: what deserves a look, a line each.
        skipped: rows left out.
    """

    train: Rows
    held_out: Rows
    test: Rows | None
    labels: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def starter_file(task: Task) -> Path | None:
    """The task's own example data."""
    return Path(__file__).parents[1] / "starter" / task.starter if task.starter else None


def prepare_sets(task: Task, recipe: Recipe, data: Any, eval_data: Any, test_data: Any, on_bad_row: str) -> Sets:
    """Reads and checks all rows of a run.

    Args:
        task: whose columns are wanted.
        recipe: column names, labels, the held-out share and the seed.
        data: the training source; see `kerasft.data.read.read_rows`.
        eval_data: the held-out source; None splits `data`.
        test_data: the test source, or None.
        on_bad_row: `error` or `skip`.

    Raises:
        KerasftError: any fault of the data, with file, row and the mend.
    """

    def read(source):
        return read_rows(
            source,
            text_columns=task.text_columns,
            label_column=task.label_column,
            columns=recipe.columns,
            on_bad_row=on_bad_row,
            task_name=task.name,
        )

    reads = [read(source) for source in (data, eval_data, test_data) if source is not None]
    notes = [note for one in reads for note in one.notes]
    everything = reads[0].rows
    if eval_data is None:
        kept, out = split_rows(everything, task.text_columns, recipe.eval_share, recipe.seed)
        train, held_out = everything.take(kept), everything.take(out)
        notes.append(
            f"No eval data given: {len(held_out):,} of {len(everything):,} rows "
            f"({recipe.eval_share:.0%}, by their content) are held out."
        )
    else:
        train, held_out = everything, reads[1].rows
    test = reads[-1].rows if test_data is not None else None
    checks = {"train": train, "eval": held_out, **({"test": test} if test is not None else {})}
    labels = recipe.labels or order_labels(everything.column(task.label_column), task.labels)
    warnings = check_classes(checks, task.label_column, labels) + audit_sets(
        checks, task.text_columns, task.label_column
    )
    return Sets(
        train=train,
        held_out=held_out,
        test=test,
        labels=labels,
        notes=tuple(dict.fromkeys(notes)),
        warnings=tuple(warnings),
        skipped=tuple(skipped for one in reads for skipped in one.skipped),
    )


def label_ids(rows: Rows, label_column: str, labels: tuple[str, ...]) -> np.ndarray:
    """int32[N], the place of each row's label in `labels`."""
    places: Mapping[str, int] = {name: number for number, name in enumerate(labels)}
    return np.array([places[name] for name in rows.column(label_column)], np.int32)


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32[N]: rows / (classes * rows of the row's class), so that every class weighs the same in all."""
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * np.maximum(counts, 1)))[labels].astype(np.float32)


def describe_classes(rows: Rows, label_column: str) -> str:
    """`negative 260, positive 255`."""
    return ", ".join(f"{name} {count}" for name, count in class_counts(rows.column(label_column)).items())
