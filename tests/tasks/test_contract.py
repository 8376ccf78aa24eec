"""Every task keeps the contract: its example goes from a row to an answer of the C++ loader."""

import numpy as np
import pytest

import kerasft
from kerasft.data.prepare import starter_file
from kerasft.data.read import read_rows
from kerasft.export.session import Session
from kerasft.tasks import TASKS, find_task
from kerasft.tasks.task import order_labels
from tests.toy import LETTERS


def example_rows(task, count=24):
    """The task's example and a second label, told apart by a letter."""
    other = "other" if task.example[task.label_column] != "other" else "another"
    rows = []
    for number in range(count):
        row = dict(task.example)
        letter = LETTERS[number % 20]
        for column in task.text_columns:
            row[column] = f"{row[column]} {letter} {number}"
        if number % 2:
            row[task.label_column] = other
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", TASKS)
def test_from_rows_to_served_answers(name, toy_backbone, tmp_path):
    task = TASKS[name]
    rows = example_rows(task)
    run = kerasft.fit(
        task=name,
        data=rows,
        eval_data=rows[:8],
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        phases=[{"unfrozen": "head", "epochs": 1, "learning_rate": 1e-3}],
        precision="float32",
        report=lambda line: None,
    )
    assert set(run.labels) == {row[task.label_column] for row in rows}
    assert task.headline in run.metrics["metrics"]
    exported = run.export(export_dir=tmp_path / "saved_models")
    texts = {column: [row[column] for row in rows[:5]] for column in task.text_columns}
    with Session(exported) as session:
        served = session.run("serving_default", {column: [t.encode() for t in texts[column]] for column in texts})
        assert set(session.signatures["serving_default"].inputs) == set(task.text_columns)
    for row, answer in enumerate(kerasft.predict(run, [{c: texts[c][row] for c in texts} for row in range(5)])):
        for key, value in served.items():
            got = value[row].decode() if isinstance(value[row], bytes) else value[row]
            if isinstance(got, str):
                assert answer[key] == got
            else:
                np.testing.assert_allclose(answer[key], got, atol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_the_example_has_the_tasks_columns(name):
    task = TASKS[name]
    assert set(task.example) == {*task.text_columns, task.label_column}


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.starter])
def test_the_starter_data_is_sound(name):
    task = TASKS[name]
    rows = read_rows(
        starter_file(task), text_columns=task.text_columns, label_column=task.label_column, task_name=name
    ).rows
    labels = rows.column(task.label_column)
    assert len(rows) >= 400
    assert len(set(rows.column("text"))) == len(rows)
    counts = [labels.count(label) for label in task.labels]
    assert sum(counts) == len(rows)
    assert min(counts) / max(counts) > 0.95


def test_a_tasks_own_order_of_labels_holds_only_for_just_those_labels():
    assert order_labels(["positive", "negative", "positive"], ("negative", "positive")) == ("negative", "positive")
    assert order_labels(["z", "a"], ("negative", "positive")) == ("a", "z")
    assert order_labels(["positive", "neutral"], ("negative", "positive")) == ("neutral", "positive")


def test_an_unknown_task_has_a_nearest_name():
    with pytest.raises(kerasft.KerasftError, match='Did you mean "sentiment"'):
        find_task("sentimant")
