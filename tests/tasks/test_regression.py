"""Regression: numbers in the data's own units, from the file to the answer."""

import random

import numpy as np
import pytest

import kerasft
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.tasks.regression import TASK, targets
from kerasft.tasks.task import Scheme
from kerasft.training.recipe import make_recipe
from tests.toy import BAD, GOOD, OTHER, write_csv

NO_NUMBER = ["much", "", "4,5", "nan", "inf", "1e999", "1e39", "1_000", "five"]


def rated(count, seed=0):
    """Rows whose score is 100 and 25 for each good word."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        good = draw.randint(0, 3)
        words = [*draw.sample(GOOD, good), *draw.sample(BAD, 3 - good), draw.choice(OTHER)]
        draw.shuffle(words)
        rows.append({"text": " ".join([*words, str(number)]), "score": 100 + 25 * good})
    return rows


def test_answers_are_in_the_datas_own_units(toy_backbone, tmp_path, opened_once):
    run = kerasft.fit(
        task="regression",
        data=rated(300),
        eval_data=rated(60, seed=1),
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        batch_size=8,
        phases=[{"unfrozen": "all", "epochs": 6, "learning_rate": 5e-3}],
        precision="float32",
        report=lambda line: None,
    )
    figures = run.metrics["metrics"]
    assert figures["pearson"] > 0.8
    assert figures["rmse"] < 20
    answers = run.predict(["lovely great joyful a", "dull grim awful a"])
    assert answers[0]["value"] - answers[1]["value"] > 40
    assert all(80 < answer["value"] < 200 for answer in answers)
    assert run.task.text_columns == ("text",)
    # Rounding is measured against numbers of this size: else no export of them could be proven.
    exported = run.export(export_dir=tmp_path / "saved_models")
    served = kerasft.predict(exported, ["lovely great joyful a"])
    assert served[0]["value"] == pytest.approx(answers[0]["value"], rel=1e-5)
    # Judged by the same answers.
    again = run.evaluate(rated(60, seed=1))["metrics"]
    assert again["pearson"] == pytest.approx(figures["pearson"], abs=1e-4)


def test_targets_have_mean_0_and_deviation_1_over_the_training_rows():
    sets = prepare_sets(TASK, make_recipe({"task": "regression"}), rated(100), rated(20, seed=1), None, "error")
    scaled = targets(sets.train, sets.scheme)
    assert scaled.dtype == np.float32
    assert abs(scaled.mean()) < 1e-6
    assert abs(scaled.std() - 1) < 1e-6
    back = np.asarray(TASK.respond(scaled[:, None], sets.scheme)["value"])
    np.testing.assert_allclose(back, [float(value) for value in sets.train.column("score")], rtol=1e-6)


@pytest.mark.parametrize("value", NO_NUMBER)
def test_a_score_that_is_no_number_is_told_with_its_row(value):
    rows = [*rated(20), {"text": "a film", "score": value}]
    with pytest.raises(kerasft.KerasftError, match=r"row 21: the score .*--on-bad-row skip"):
        read_for(TASK, rows)
    read = read_for(TASK, rows, on_bad_row="skip")
    assert (len(read.rows), len(read.skipped)) == (20, 1)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (rated(5), {}, "10 training rows or more with different scores, found 5 rows"),
        ([{"text": f"film {n}", "score": 3} for n in range(30)], {}, "found 30 rows that all have 3"),
        (rated(30), {"labels": ["a", "b"]}, "has no use for 'labels'"),
        (rated(30), {"label_smoothing": 0.1}, "has no use for 'label_smoothing'"),
        (rated(30), {"class_weights": "balanced"}, "has no use for 'class_weights'"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_anything_is_loaded(rows, settings, message):
    with pytest.raises(kerasft.KerasftError, match=message):
        prepare_sets(TASK, make_recipe({"task": "regression", **settings}), rows, rated(4, seed=1), None, "error")


def test_a_second_text_is_an_input_where_the_data_has_one():
    rows = [{"sentence1": row["text"], "sentence2": "a film", "score": row["score"]} for row in rated(30)]
    sets = prepare_sets(TASK, make_recipe({"task": "regression"}), rows, rows[:5], None, "error")
    assert sets.task.text_columns == ("text", "text_pair")
    one = prepare_sets(TASK, make_recipe({"task": "regression"}), rated(30), rated(5), None, "error")
    assert one.task.text_columns == ("text",)
    with pytest.raises(kerasft.KerasftError, match="needs a column 'text'"):
        # Half of a pair is no text.
        prepare_sets(TASK, make_recipe({"task": "regression"}), rated(30), rows[:5], None, "error")
    with pytest.raises(kerasft.KerasftError, match="needs a column 'text_pair'"):
        prepare_sets(TASK, make_recipe({"task": "regression"}), rows, rated(5), None, "error")


def test_a_second_text_that_only_some_files_have_is_left_out_and_said(tmp_path):
    one = write_csv(tmp_path / "one.csv", [{"text": "a film", "text_pair": "a plot", "score": 1}])
    two = write_csv(tmp_path / "two.csv", [{"text": "a cast", "score": 2}])
    read = read_for(TASK, [str(one), str(two)])
    assert read.rows.table.column_names == ["text", "score"]
    assert any("'text_pair' is left out of all rows: two.csv has none" in note for note in read.notes)


def test_a_row_with_two_faults_is_one_bad_row():
    read = read_for(TASK, [*rated(5), {"text": "", "score": "much"}], on_bad_row="skip")
    assert len(read.skipped) == 1
    assert any("1 of 6 rows are bad" in note for note in read.notes)


def test_the_loss_is_the_squared_error_of_each_row():
    found = TASK.loss(0.0)(np.array([0.0, 1.0, -2.0], np.float32), np.array([[0.5], [1.0], [1.0]], np.float32))
    np.testing.assert_allclose(found, [0.25, 0.0, 9.0])


def test_the_regress_api_gives_the_same_numbers():
    scheme, logits = Scheme(numbers={"mean": 3.0, "deviation": 2.0}), np.array([[0.5], [-1.0]], np.float32)
    np.testing.assert_allclose(TASK.apis["regress"](logits, scheme)["outputs"], [4.0, 1.0])
    np.testing.assert_allclose(TASK.respond(logits, scheme)["value"], [4.0, 1.0])
