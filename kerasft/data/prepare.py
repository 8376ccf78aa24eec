"""From the sources a user names to checked sets: read, split, learn the task's scheme."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kerasft.data.read import Read, Skipped, read_rows
from kerasft.data.rows import Rows
from kerasft.data.split import split_rows
from kerasft.tasks.task import Scheme, Task, refuse_settings
from kerasft.training.recipe import Recipe, Writing


@dataclass(frozen=True)
class Sets:
    """The rows of a run.

    Attributes:
        train: to learn from.
        held_out: to watch, stop early and report on.
        test: to report on at the end, or None.
        task: with the text columns that the rows have.
        scheme: what the task has learnt of its answers.
        notes: what was guessed or decided, a line each.
        warnings: what deserves a look, a line each.
        skipped: rows left out.
    """

    train: Rows
    held_out: Rows
    test: Rows | None
    task: Task
    scheme: Scheme
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    skipped: tuple[Skipped, ...]


def starter_file(task: Task) -> Path | None:
    """The task's own example data."""
    return Path(__file__).parents[1] / "starter" / task.starter if task.starter else None


def read_for(task: Task, source: Any, labelled: bool = True, **options: Any) -> Read:
    """`kerasft.data.read.read_rows` for a task's columns; those that are not served are read with the labels."""
    return read_rows(
        source,
        text_columns=(*task.text_columns, *(task.beside if labelled else ())),
        label_column=task.label_column if labelled else None,
        optional_columns=task.optional_columns,
        native=task.native,
        number_columns=task.number_columns,
        cells=task.cells,
        task_name=task.name,
        **options,
    )


def with_columns(task: Task, found: Collection[str]) -> Task:
    """The task as it is for rows that lack some of its optional inputs; what is no input stays optional."""
    there = tuple(column for column in task.text_columns if column in found)
    optional = tuple(column for column in task.optional_columns if column not in task.text_columns)
    return replace(task, text_columns=there, optional_columns=optional)


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
    first = read_for(task, data, columns=recipe.columns, on_bad_row=on_bad_row)
    task = with_columns(task, first.rows.table.column_names)
    others = [source for source in (eval_data, test_data) if source is not None]
    reads = [first, *(read_for(task, source, columns=recipe.columns, on_bad_row=on_bad_row) for source in others)]
    notes = [note for one in reads for note in one.notes]
    everything = reads[0].rows
    if eval_data is None:
        alike = task.split_columns or task.text_columns
        linked = task.contrast.linked if task.contrast else ()
        linked = [column for column in linked if column in everything.table.column_names]
        kept, out = split_rows(everything, alike, recipe.eval_share, recipe.seed, linked)
        train, held_out = everything.take(kept), everything.take(out)
        notes.append(
            f"No eval data given: {len(held_out):,} of {len(everything):,} rows "
            f"({recipe.eval_share:.0%}, by their content) are held out."
        )
    else:
        train, held_out = everything, reads[1].rows
    test = reads[-1].rows if test_data is not None else None
    checks = {"train": train, "eval": held_out, **({"test": test} if test is not None else {})}
    if task.balance is None:
        refuse_settings(recipe, task, ("class_weights",))
    if task.writes is None:
        refuse_settings(recipe, task, tuple(Writing.model_fields))
    scheme, warnings = task.learn(checks, recipe, task)
    return Sets(
        train=train,
        held_out=held_out,
        test=test,
        task=task,
        scheme=scheme,
        notes=tuple(dict.fromkeys(notes)),
        warnings=tuple(warnings),
        skipped=tuple(skipped for one in reads for skipped in one.skipped),
    )
