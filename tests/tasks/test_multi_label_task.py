"""Multi-label: any number of labels in the file, and in the answer those above their thresholds."""

import json

import numpy as np
import pyarrow as pa
import pytest

import kerasft
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.tasks.multi_label import TASK, names_of
from kerasft.tasks.task import Scheme
from kerasft.training.recipe import make_recipe
from tests.toy import BAD, GOOD, OTHER, write_csv

SCHEME = Scheme(("blue", "green", "red"), {"thresholds": [0.5, 0.2, 0.9]})


def tagged(count, seed=0):
    """Rows that have `praise`, `blame`, both or none, by their words."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        labels = [name for name in ("praise", "blame") if draw.random() < 0.5]
        words = [draw.choice(OTHER), draw.choice(OTHER)]
        words += [draw.choice(GOOD)] * ("praise" in labels) + [draw.choice(BAD)] * ("blame" in labels)
        rows.append({"text": " ".join([*draw.permutation(words), str(number)]), "labels": ";".join(labels)})
    return rows


def prepared(rows, held_out, **settings):
    return prepare_sets(TASK, make_recipe({"task": "multi-label", **settings}), rows, held_out, None, "error")


def test_labels_are_learnt_and_thresholds_stay_with_the_run(toy_backbone, tmp_path, opened_once):
    run = kerasft.fit(
        task="multi-label",
        data=tagged(300),
        eval_data=tagged(80, seed=1),
        test_data=tagged(40, seed=2),
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        batch_size=8,
        phases=[{"unfrozen": "all", "epochs": 5, "learning_rate": 5e-3}],
        precision="float32",
        report=lambda line: None,
    )
    assert run.labels == ("blame", "praise")
    assert run.metrics["metrics"]["micro_f1"] > 0.85
    assert "micro_f1" in run.metrics["test_metrics"]
    thresholds = run.scheme.numbers["thresholds"]
    assert thresholds != [0.5, 0.5]
    assert kerasft.load_run(run.folder).scheme == run.scheme
    answers = run.predict(["a lovely film", "a dull film", "a lovely dull film"])
    for answer in answers:
        names = [name for name in answer["labels"] if name]
        assert answer["count"] == len(names)
        above = [name for name, p, t in zip(run.labels, answer["probabilities"], thresholds, strict=True) if p >= t]
        assert sorted(names) == above
    again = run.evaluate(tagged(80, seed=1))["metrics"]
    assert again["micro_f1"] == pytest.approx(run.metrics["metrics"]["micro_f1"], abs=1e-6)


def test_the_answer_has_the_labels_above_their_thresholds_the_likeliest_first():
    chances = np.array([[0.6, 0.3, 0.95], [0.4, 0.1, 0.8], [0.5, 0.19, 0.2], [0.1, 0.2, 0.91]], np.float32)
    logits = np.log(chances / (1 - chances))
    found = {name: np.asarray(value) for name, value in TASK.respond(logits, SCHEME).items()}
    # The third and the fourth row lie on a threshold: float32 decides there, not this test.
    assert found["labels"][:2].tolist() == [[b"red", b"blue", b"green"], [b"", b"", b""]]
    assert found["count"][:2].tolist() == [3, 0]
    np.testing.assert_allclose(found["scores"][0], [0.95, 0.6, 0.3], atol=1e-6)
    assert not found["scores"][1].any()
    np.testing.assert_allclose(found["probabilities"], chances, atol=1e-6)


def test_rows_without_any_label_and_no_rows_at_all_are_answered():
    none = TASK.respond(np.full((2, 3), -20.0, np.float32), SCHEME)
    assert np.asarray(none["labels"]).shape == np.asarray(none["scores"]).shape == (2, 0)
    assert np.asarray(none["count"]).tolist() == [0, 0]
    empty = TASK.respond(np.zeros((0, 3), np.float32), SCHEME)
    assert np.asarray(empty["labels"]).shape == (0, 0)
    assert np.asarray(empty["probabilities"]).shape == (0, 3)


def test_lists_and_separated_names_are_the_same_labels(tmp_path):
    rows = [("a film", ["red", "blue"]), ("a plot", []), ("a cast", ["red"])]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text, "labels": names}) + "\n" for text, names in rows))
    table = pa.table({"text": [text for text, _ in rows], "labels": [names for _, names in rows]})
    separated = [{"text": text, "labels": " ; ".join(names)} for text, names in rows]
    memory = [{"text": text, "labels": names} for text, names in rows]
    arrays = [{"text": text, "labels": np.array(names, object)} for text, names in rows]
    for source in (path, table, separated, memory, arrays):
        values = read_for(TASK, source).rows.column("labels")
        assert [names_of(value) for value in values] == [frozenset(names) for _, names in rows]


def test_a_label_of_several_words_and_one_with_a_comma_stay_whole():
    assert names_of("late arrival; rude staff, twice;") == {"late arrival", "rude staff, twice"}
    assert names_of('["a;b", " c "]') == {"a;b", "c"}
    assert names_of("") == frozenset()


def test_names_in_lists_are_plain_as_single_ones_are():
    rows = read_for(TASK, [{"text": "a film", "labels": [1.0, True, "x"]}, {"text": "a plot", "labels": [2]}]).rows
    assert [names_of(value) for value in rows.column("labels")] == [{"1", "true", "x"}, {"2"}]


def test_a_label_of_another_file_that_training_has_not_is_told_with_its_row(tmp_path):
    train, held_out = write_csv(tmp_path / "train.csv", tagged(60)), tmp_path / "dev.csv"
    write_csv(held_out, [*tagged(10, seed=1), {"text": "a film", "labels": "praise;blaim"}])
    with pytest.raises(kerasft.KerasftError, match=r'dev.csv row 11: label \'blaim\' is unknown.*"blame"'):
        prepared(str(train), str(held_out))


def test_a_missing_column_is_an_error_but_an_empty_value_is_an_answer():
    with pytest.raises(kerasft.KerasftError, match="needs a column 'labels'"):
        read_for(TASK, [{"text": "a film", "mark": "x y z"}, {"text": "a plot", "mark": "y"}])
    assert read_for(TASK, [{"text": "a film", "labels": None}, {"text": "a plot", "labels": ""}]).rows.column(
        "labels"
    ) == ["", ""]


@pytest.mark.parametrize("value", ["[broken", '["a", {"b": 1}]', '["\\ud800"]', "[" * 100_000])
def test_a_broken_list_is_told_with_its_row(value):
    rows = [*tagged(5), {"text": "a film", "labels": value}]
    with pytest.raises(kerasft.KerasftError, match=r"row 6: the labels .*--on-bad-row skip"):
        read_for(TASK, rows)
    assert len(read_for(TASK, rows, on_bad_row="skip").skipped) == 1


def test_a_label_with_too_few_rows_or_unknown_to_the_recipe_is_told():
    rows = [*tagged(60), {"text": "a film", "labels": "rare"}]
    with pytest.raises(kerasft.KerasftError, match="'rare' has fewer than 5 rows"):
        prepared(rows, tagged(10, seed=1))
    with pytest.raises(kerasft.KerasftError, match=r"'rare' is not in `labels`"):
        prepared(rows, tagged(10, seed=1), labels=["praise", "blame"])
    with pytest.raises(kerasft.KerasftError, match="No row has a label"):
        prepared([{"text": f"film {n}", "labels": ""} for n in range(20)], tagged(0) or [{"text": "x", "labels": ""}])


def test_rows_of_other_data_are_none_to_learn_from():
    # Both are called "the data".
    more = [{"text": f"film {number}", "labels": "rare"} for number in range(5)]
    with pytest.raises(kerasft.KerasftError, match="row 11: label 'rare' is unknown to the model"):
        prepared(tagged(60), [*tagged(10, seed=1), *more])
    with pytest.raises(kerasft.KerasftError, match="'rare' has fewer than 5 rows"):
        prepared([*tagged(60), more[0]], more)


def test_an_unknown_label_in_rows_to_evaluate_is_told_with_the_nearest():
    rows = read_for(TASK, [{"text": "a film", "labels": "gren"}]).rows
    with pytest.raises(kerasft.KerasftError, match=r'row 1: label \'gren\' is unknown.*"green"'):
        TASK.targets(rows, SCHEME)


def test_smoothing_pulls_targets_towards_one_half():
    logits, targets = np.array([[0.0, 2.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    plain = np.log(2) + np.log1p(np.exp(-2.0))
    np.testing.assert_allclose(TASK.loss(0.0)(targets, logits), [plain], rtol=1e-6)
    np.testing.assert_allclose(TASK.loss(0.2)(targets, logits), [plain + 0.1 * 2.0], rtol=1e-6)
