"""Rows of semantic role labelling: faults, predicates, the split, labels, figures."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import kerasft
from kerasft.cli.tasks import tasks
from kerasft.data.inputs import numbers_of
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.tasks.semantic_role_labeling import TASK, is_core
from kerasft.tasks.task import Scheme
from kerasft.training.recipe import make_recipe
from tests.toy_roles import judged

SCHEME = Scheme(("A0", "A1", "AM-TMP"))


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ("[[0, 99, 1]]", r"the role [0, 99] is outside its text of 11"),
        ("[[0, 4, 1], [2, 6, 1]]", "the role [2, 6] begins before the one ahead"),
        ('[[0, 4, " "]]', "the role [0, 4] has no label"),
        ("[[1, 2, 1]]", "the role [1, 2] holds no word"),
        ("A0", "the roles are not of the form"),
        ("7", "the roles are not of the form"),
        ('{"A0": [0, 1]}', "the roles are not of the form"),
    ],
)
def test_faulty_roles_are_told(roles, reason):
    assert reason in TASK.cells["roles"].fault(roles, {"text": "a good film"})


PLACES = [
    (1, "the predicate 1 is on ' ', between words"),
    (11, "the predicate 11 is outside its text of 11 characters"),
    (-1, "the predicate -1 is outside its text of 11 characters"),
    ("two", "the predicate 'two' is not a whole number"),
    (2.5, "the predicate '2.5' is not a whole number"),
    ("", "the predicate is empty"),
    (None, "the predicate is missing"),
]


@pytest.mark.parametrize(("place", "reason"), PLACES)
def test_a_faulty_predicate_is_told_with_its_line_or_skipped(tmp_path, place, reason):
    path = tmp_path / "rows.jsonl"
    lines = [*judged(20), {"text": "a good film", "predicate": place, "roles": []}]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    for labelled in (True, False):
        with pytest.raises(kerasft.KerasftError, match=rf"rows.jsonl line 21: {reason}.*--on-bad-row skip"):
            read_for(TASK, path, labelled)
    assert len(read_for(TASK, path, on_bad_row="skip").skipped) == 1


def test_a_character_of_the_word_and_numbers_as_text_will_do():
    rows = [{"text": "a good film", "predicate": place, "roles": ""} for place in (2, 5, "2", " 5 ", 2.0)]
    assert numbers_of(read_for(TASK, rows).rows, TASK)["predicate"].tolist() == [2, 5, 2, 5, 2]


def test_without_predicates_nothing_can_be_asked():
    with pytest.raises(kerasft.KerasftError, match=r"needs a column 'predicate'; the data has 'text'"):
        read_for(TASK, [{"text": "a good film"}], labelled=False)


def test_roles_come_from_the_training_rows():
    recipe = make_recipe({"task": TASK.name})
    sets = prepare_sets(TASK, recipe, judged(40), judged(5, seed=1), None, "error")
    assert sets.scheme.labels == ("A0", "A1")
    other = [{"text": "a film", "predicate": 0, "roles": [[2, 6, "A00"]]}, {"text": "a plot", "predicate": 0}]
    with pytest.raises(kerasft.KerasftError, match=r'row 1: label .A00. of the eval data.*"A0"'):
        prepare_sets(TASK, recipe, judged(40), other, None, "error")
    with pytest.raises(kerasft.KerasftError, match="None of 2 training rows has a role"):
        prepare_sets(TASK, recipe, [{**row, "roles": []} for row in other], judged(5), None, "error")


def test_the_predicates_of_one_text_stay_on_one_side_of_the_split():
    rows = [{"text": f"a good film {n // 2}", "predicate": 2 + 5 * (n % 2), "roles": [[0, 1, "A0"]]} for n in range(80)]
    sets = prepare_sets(TASK, make_recipe({"task": TASK.name}), rows, None, None, "error")
    assert not set(sets.train.column("text")) & set(sets.held_out.column("text"))
    assert not any("also in the training data" in warning for warning in sets.warnings)


def test_core_roles_are_judged_alone():
    rows = read_for(
        TASK,
        [
            {"text": "Ada sold it then", "predicate": 4, "roles": [[0, 3, "A0"], [9, 11, "ARG1"], [12, 16, "AM-TMP"]]},
            {"text": "Ada slept", "predicate": 4, "roles": []},
        ],
    ).rows
    answers = {
        "starts": np.array([[0, 9, 12], [0, -1, -1]]),
        "ends": np.array([[3, 11, 16], [3, -1, -1]]),
        "labels": np.array([[b"A0", b"A2", b"AM-TMP"], [b"R-A0", b"", b""]], object),
        "count": np.array([3, 1]),
    }
    figures = TASK.measure(rows, answers, SCHEME)
    assert figures["f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert figures["core_f1"] == pytest.approx(2 * 1 / (2 + 2))
    assert figures["per_type"]["AM-TMP"]["f1"] == 1.0
    assert (figures["roles"], figures["rows"]) == (3, 2)
    labels = ["A0", "ARG5", "2", "ARGM-TMP", "R-A1", "C-ARG0", "A10"]
    assert [label for label in labels if is_core(label)] == labels[:3]


def test_a_request_has_the_predicate_as_a_number():
    found = CliRunner().invoke(tasks, [TASK.name, "--json"])
    contract = json.loads(found.output)
    assert contract["request"]["instances"] == [{"text": "Ada sold the lamp on Friday.", "predicate": 4}]
    assert contract["columns"] == ["text", "predicate", "roles"]


def test_a_rare_role_on_the_other_side_of_the_split_is_a_warning():
    rows = judged(120)
    held_out = set(
        prepare_sets(TASK, make_recipe({"task": TASK.name}), rows, None, None, "error").held_out.column("text")
    )
    rare = next(row for row in rows if row["text"] in held_out)
    rare["roles"] = [[*rare["roles"][0][:2], "AM-CAU"]]
    sets = prepare_sets(TASK, make_recipe({"task": TASK.name}), rows, None, None, "error")
    assert sets.scheme.labels == ("A0", "A1", "AM-CAU")
    assert "No training row has 'AM-CAU': it cannot be learnt." in sets.warnings
