"""Every task keeps the contract with every family: from its starter data to an answer of the C++ loader."""

import json
import sys

import numpy as np
import pytest

import kerasft
from kerasft.answering import answer_all, open_answerer
from kerasft.data.prepare import read_for, starter_file
from kerasft.export import proof
from kerasft.export.hostile import HOSTILE_TEXTS, hostile_numbers
from kerasft.export.samples import SAMPLES
from kerasft.export.session import Session
from kerasft.export.warm_file import read_warm_file
from kerasft.tasks import TASKS, find_task
from kerasft.tasks.text_classification import order_labels

ROWS = 240


@pytest.fixture(scope="session")
def families(toy_backbone, toy_gpt2):
    """A toy backbone of each family."""
    return {"bert": toy_backbone, "gpt2": toy_gpt2}


def starter_rows(task) -> list[dict[str, str]]:
    """The first starter rows, with a task's optional columns where the data has them."""
    rows = read_for(task, starter_file(task)).rows
    columns = {name: rows.column(name)[:ROWS] for name in rows.table.column_names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def different_tasks() -> list[str]:
    """Of tasks that differ in names, labels and starter data alone, the first."""
    found = {}
    for name, task in TASKS.items():
        parts = (task.text_columns, task.learn, task.targets, task.head, task.loss, task.respond, task.measure)
        found.setdefault(parts, name)
    return list(found.values())


def different_cases() -> list[tuple[str, str]]:
    """Those with each family; what writes is of the causal one alone."""
    names = different_tasks()
    return [
        (name, family) for name in names for family in ("bert", "gpt2") if family == "gpt2" or not TASKS[name].writes
    ]


@pytest.mark.parametrize(("name", "family"), different_cases())
def test_from_rows_to_served_answers(name, family, families, tmp_path):
    task, rows = TASKS[name], starter_rows(TASKS[name])
    run = kerasft.fit(
        task=name,
        data=rows,
        backbone=str(families[family]),
        output=tmp_path / "run",
        phases=[{"unfrozen": 1, "epochs": 1, "learning_rate": 1e-3}],
        precision="float32",
        # Windows as small as that would be a hundred to a paragraph.
        max_length=24 if task.windows is None else 56,
        report=lambda line: None,
        **({"eval_texts": 4, "max_new_tokens": 6} if task.writes else {}),
    )
    assert task.headline in run.metrics["metrics"]
    answerer = open_answerer(run)  # an export of what writes lets go of it, and it would be made anew
    exported = run.export(export_dir=tmp_path / "saved_models")

    names, numbers = run.task.text_columns, run.task.number_columns
    asked = {column: [row[column].encode() for row in rows[:200]] for column in names}
    if task.writes:
        requests = task.writes.requests(read_for(task, rows[:40]).rows)
        asked = {column: [text.encode() for text in of] for column, of in requests.items()}
    if task.asks:
        asked = {column: [*map(task.asks.pose, of, range(len(of)))] for column, of in asked.items()}
    for shift, column in enumerate(names):
        strange = [text for _, text in HOSTILE_TEXTS]
        asked[column] += strange[shift:] + strange[:shift]
    odd = hostile_numbers(asked[names[-1]][-len(HOSTILE_TEXTS) :])
    asked |= {column: np.array([int(row[column]) for row in rows[:200]] + odd, np.int32) for column in numbers}
    texts = {column: [text.decode("utf-8", "surrogateescape") for text in asked[column]] for column in names}
    with Session(exported) as session:
        served = session.run("serving_default", asked)
        assert set(session.signatures["serving_default"].inputs) == {*names, *numbers}
        assert set(session.signatures) == set(task.signatures)
    assert set(served) == set(task.answer)
    answers = answer_all(answerer, {**asked, **texts})
    for key, value in served.items():
        assert len(value) == len(asked[names[0]])
        if value.dtype.kind == "f":
            np.testing.assert_allclose(answers[key], value, atol=1e-5)
        else:
            np.testing.assert_array_equal(answers[key], value)
    assert served["truncated"].any()
    assert not served["truncated"].all()
    replayed = read_warm_file(exported)
    assert {signature for signature, _ in replayed} == set(task.signatures)
    assert len(replayed) <= 12
    for signature in task.signatures:
        form = "examples" if signature in task.apis else "row"
        assert (exported / SAMPLES / f"{signature}.{form}.response.json").is_file()


@pytest.mark.parametrize("name", TASKS)
def test_the_example_and_the_answer_are_of_the_tasks_kind(name):
    task = TASKS[name]
    required = set(task.columns) - set(task.optional_columns)
    assert required <= set(task.example) <= required | set(task.optional_columns)
    assert task.headline
    json.dumps([dict(task.example), dict(task.answer)])
    # The example can be read as the task's data is.
    rows = read_for(task, [dict(task.example)]).rows
    assert len(rows) == 1


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.starter])
def test_the_starter_data_is_sound(name):
    task = TASKS[name]
    rows = read_for(task, starter_file(task)).rows
    there = [rows.column(column) for column in task.inputs if column in rows.table.column_names]
    texts = list(zip(*there, strict=True))
    assert len(rows) >= 100
    assert len(set(texts)) == len(rows)


def test_the_starter_reviews_are_balanced():
    labels = read_for(TASKS["sentiment"], starter_file(TASKS["sentiment"])).rows.column("label")
    counts = [labels.count(label) for label in ("negative", "positive")]
    assert sum(counts) == len(labels) >= 400
    assert min(counts) / max(counts) > 0.95


def test_a_tasks_own_order_of_labels_holds_only_for_just_those_labels():
    assert order_labels(["positive", "negative", "positive"], ("negative", "positive")) == ("negative", "positive")
    assert order_labels(["z", "a"], ("negative", "positive")) == ("a", "z")
    assert order_labels(["positive", "neutral"], ("negative", "positive")) == ("neutral", "positive")


def test_an_unknown_task_has_a_nearest_name():
    with pytest.raises(kerasft.KerasftError, match='Did you mean "sentiment"'):
        find_task("sentimant")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_module:TASK", "'no_such_module' cannot be imported"),
        (":TASK", "'' cannot be imported"),
        (".here:TASK", "'.here' cannot be imported"),
        ("kerasft.tasks.sentiment:TASC", "has no TASC"),
        ("kerasft.tasks.sentiment:", "has no name after the colon"),
        ("kerasft.tasks:TASKS", "is a dict: expected"),
    ],
)
def test_a_task_of_ones_own_that_is_none(path, message):
    with pytest.raises(kerasft.KerasftError, match=message):
        find_task(path)


def test_a_module_in_the_working_folder_is_found_by_a_console_script_too(tmp_path, monkeypatch):
    (tmp_path / "here_tasks.py").write_text("from kerasft.tasks.spam import TASK\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in ("", ".", str(tmp_path))])
    assert find_task("here_tasks:TASK").name == "spam"


def test_a_task_of_ones_own(toy_backbone, tmp_path, monkeypatch):
    module = """
import dataclasses
from kerasft.tasks import text_classification

TASK = dataclasses.replace(text_classification.TASK, name="urgency", text_columns=("subject",), starter=None)
"""
    (tmp_path / "my_tasks.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(kerasft.KerasftError, match=r"'urgency' has no starter data.*'subject', 'label'"):
        kerasft.fit(task="my_tasks:TASK")
    rows = [{"subject": f"text {number}", "label": "ab"[number % 2]} for number in range(60)]
    run = kerasft.fit(
        task="my_tasks:TASK",
        data=rows,
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        phases=[{"unfrozen": "head", "epochs": 1, "learning_rate": 1e-3}],
        precision="float32",
        report=lambda line: None,
    )
    # What is proven of an export does not depend on where its task came from.
    monkeypatch.setattr(proof, "prove", lambda *_, **__: ({}, []))
    exported = run.export(export_dir=tmp_path / "saved_models")
    assert exported.parent.name == "urgency"
    assert kerasft.predict(exported, ["text 3"])[0].keys() == {
        "subject",
        "label",
        "score",
        "probabilities",
        "truncated",
    }
