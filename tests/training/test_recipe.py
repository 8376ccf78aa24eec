"""What a user writes in a recipe, and what they are told when it does not fit."""

import pytest

from kerasft.errors import KerasftError
from kerasft.training.recipe import make_recipe, recipe_keys, recipe_yaml
from kerasft.training.settings import parse_assignments, parse_columns, read_settings


def test_an_unknown_key_is_refused_with_the_nearest():
    with pytest.raises(KerasftError, match=r"'lerning_rate' .* Did you mean \"learning_rate\""):
        make_recipe({"task": "sentiment", "lerning_rate": 1})


def test_an_unknown_key_of_a_phase_is_refused_with_the_nearest():
    phases = [{"unfrozen": "head", "epoch": 1, "learning_rate": 1e-3}]
    with pytest.raises(KerasftError, match=r"phases\.0\.epoch' .* Did you mean \"epochs\""):
        make_recipe({"task": "sentiment", "phases": phases})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("learning_rate", -1),
        ("learning_rate", "nan"),
        ("learning_rate", "fast"),
        ("batch_size", 0),
        ("dropout", 1.0),
        ("pooling", "max"),
        ("class_weights", "some"),
        ("phases", []),
        ("phases", [{"unfrozen": 0, "epochs": 1, "learning_rate": 1e-3}]),
        ("phases", [{"unfrozen": "half", "epochs": 1, "learning_rate": 1e-3}]),
        ("labels", "one"),
        ("eval_share", 1),
        ("seed", -1),
    ],
)
def test_a_value_out_of_range_is_one_line_that_names_the_key(key, value):
    with pytest.raises(KerasftError) as caught:
        make_recipe({"task": "sentiment", key: value})
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


def test_phases_and_epochs_contradict_each_other():
    phases = [{"unfrozen": "all", "epochs": 1, "learning_rate": 1e-3}]
    with pytest.raises(KerasftError, match="phases"):
        make_recipe({"task": "sentiment", "phases": phases, "epochs": 2})


def test_column_keys_and_the_columns_table_are_the_same_thing():
    short = make_recipe({"task": "sentiment", "text_column": "review"})
    long = make_recipe({"task": "sentiment", "columns": {"text": "review"}})
    assert short == long


def test_assignments_are_yaml_but_names_stay_names():
    settings = parse_assignments(
        ["text_column=1", "labels=no,yes", "phases=[{unfrozen: 2, epochs: 1, learning_rate: 1e-3}]"]
    )
    recipe = make_recipe({"task": "sentiment", **settings})
    assert make_recipe({"task": "sentiment", **parse_assignments(["learning_rate=1e-4"])}).learning_rate == 1e-4
    assert recipe.columns == {"text": "1"}
    assert recipe.labels == ("no", "yes")
    assert recipe.learning.phases[0].unfrozen == 2


@pytest.mark.parametrize("bad", ["learning_rate", "=1", "phases=[{"])
def test_a_broken_assignment_is_named(bad):
    with pytest.raises(KerasftError, match="--set"):
        parse_assignments([bad])


def test_only_columns_can_be_set_where_nothing_is_trained():
    assert parse_columns(["text_column=review"]) == {"text": "review"}
    with pytest.raises(KerasftError, match="only columns"):
        parse_columns(["epochs=3"])


def test_a_recipe_survives_its_own_yaml(tmp_path):
    recipe = make_recipe(
        {
            "task": "sentiment",
            "text_column": "Rezension",
            "labels": ["schlecht", "gut"],
            "epochs": 3,
            "layer_decay": 0.8,
        }
    )
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe_yaml(recipe), encoding="utf-8")
    assert make_recipe(read_settings(file)) == recipe


@pytest.mark.parametrize("content", [b"a: [", b"- 1\n- 2\n", b"\xff\xfe", b"1: 2"])
def test_a_broken_recipe_file_is_one_line(tmp_path, content):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(content)
    with pytest.raises(KerasftError, match=r"recipe\.yaml"):
        read_settings(file)


def test_the_recipe_has_at_most_twenty_five_fields():
    assert len(Recipe.model_fields) <= 25
