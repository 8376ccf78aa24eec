"""What a user writes in a recipe, and what they are told when it does not fit."""

import pytest
import yaml

from kerasft.errors import KerasftError
from kerasft.training.recipe import Learning, Machine, Recipe, make_recipe, recipe_keys, recipe_yaml
from kerasft.training.settings import parse_assignments, parse_columns, read_settings


def recipe(**settings):
    return make_recipe({"task": "sentiment", **settings})


def test_keys_are_flat_and_code_finds_them_in_groups():
    made = recipe(ema=0.999, devices=2, max_length=64)
    assert (made.learning.ema, made.machine.devices, made.max_length) == (0.999, 2, 64)
    assert made.learning.optimizer == "adamw"
    assert {"ema", "devices", "max_length"} <= set(recipe_keys())
    assert not {"learning", "machine"} & set(recipe_keys())


def test_no_key_is_in_two_groups():
    assert len(recipe_keys()) == len(set(recipe_keys()))


@pytest.mark.parametrize("settings", [{"learning": {"epochs": 3}}, {"machine": 5}, {"learning": {}, "epochs": 3}])
def test_the_groups_are_no_keys(settings):
    with pytest.raises(KerasftError, match=r"^Key '(learning|machine)' of the recipe is unknown"):
        recipe(**settings)


def test_an_unknown_key_is_refused_with_the_nearest():
    with pytest.raises(KerasftError, match=r"'lerning_rate' .* Did you mean \"learning_rate\""):
        recipe(lerning_rate=1)
    with pytest.raises(KerasftError, match=r"'precison' .* Did you mean \"precision\""):
        recipe(precison="bf16")


def test_an_unknown_key_of_a_phase_is_refused_with_the_nearest():
    with pytest.raises(KerasftError, match=r"phases\.0\.epoch' .* Did you mean \"epochs\""):
        recipe(phases=[{"unfrozen": "head", "epoch": 1, "learning_rate": 1e-3}])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("learning_rate", -1),
        ("learning_rate", "nan"),
        ("learning_rate", "fast"),
        ("batch_size", 0),
        ("batch_tokens", 0),
        ("accumulate", 0),
        ("dropout", 1.0),
        ("label_smoothing", 1.0),
        ("pooling", "max"),
        ("class_weights", "some"),
        ("columns", "review"),
        ("columns", 5),
        ("phases", []),
        ("phases", [{"unfrozen": 0, "epochs": 1, "learning_rate": 1e-3}]),
        ("phases", [{"unfrozen": "half", "epochs": 1, "learning_rate": 1e-3}]),
        ("phases", [{"unfrozen": "head", "epochs": 0, "learning_rate": 1e-3}]),
        ("phases", [{"unfrozen": 2, "epochs": 1, "learning_rate": 1e-3, "lora": 0}]),
        ("labels", "one,one"),
        ("labels", "one,,two"),
        ("eval_share", 1),
        ("seed", -1),
        ("ema", 1.0),
        ("warmup", 1.0),
        ("clip_norm", 0),
        ("layer_decay", 1.1),
        ("optimizer", "adamx"),
        ("schedule", "steps"),
        ("strategy", "parameter-server"),
        ("devices", 0),
        ("precision", "int8"),
        ("xla", "maybe"),
        ("cache_gb", -1),
        ("save_steps", 0),
        ("keep", 0),
    ],
)
def test_a_value_out_of_range_is_one_line_that_names_the_key(key, value):
    with pytest.raises(KerasftError) as caught:
        recipe(**{key: value})
    assert f"'{key}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_1_1_reads_on_and_off_as_booleans_and_the_recipe_understands():
    for word in ("on", "off", "auto"):
        assert recipe(**parse_assignments([f"xla={word}"])).machine.xla == word


@pytest.mark.parametrize("plan", ["gradual", "full", "head", "top-1", "top-12", "ulmfit", "auto", "adapt", "scratch"])
def test_known_plans(plan):
    assert recipe(plan=plan).learning.plan == plan


@pytest.mark.parametrize(
    ("plan", "hint"),
    [("gradul", 'Did you mean "gradual"'), ("top-0", "top-N, such as top-3"), ("top", "top-3"), ("7", "gradual, full")],
)
def test_an_unknown_plan_is_told_what_there_is(plan, hint):
    with pytest.raises(KerasftError, match=hint) as caught:
        recipe(plan=plan)
    assert "'plan' of the recipe" in str(caught.value)
    assert repr(plan) in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("epochs", 2), ("learning_rate", 1e-3), ("plan", "full")])
def test_phases_leave_nothing_to_these_keys(key, value):
    phases = [{"unfrozen": "all", "epochs": 1, "learning_rate": 1e-3}]
    with pytest.raises(KerasftError, match=rf"'phases' spells out every phase: leave '{key}' away"):
        recipe(phases=phases, **{key: value})


def test_column_keys_and_the_columns_table_are_the_same_thing():
    assert recipe(text_column="review") == recipe(columns={"text": "review"})


def test_assignments_are_yaml_but_names_stay_names():
    made = recipe(
        **parse_assignments(
            ["text_column=1", "labels=no,yes", "phases=[{unfrozen: 2, epochs: 1, learning_rate: 1e-3}]"]
        )
    )
    assert recipe(**parse_assignments(["learning_rate=1e-4"])).learning.learning_rate == 1e-4
    assert made.columns == {"text": "1"}
    assert made.labels == ("no", "yes")
    assert made.learning.phases[0].unfrozen == 2


@pytest.mark.parametrize("bad", ["learning_rate", "=1", "phases=[{"])
def test_a_broken_assignment_is_named(bad):
    with pytest.raises(KerasftError, match="--set"):
        parse_assignments([bad])


def test_only_columns_can_be_set_where_nothing_is_trained():
    assert parse_columns(["text_column=review"]) == {"text": "review"}
    with pytest.raises(KerasftError, match="only columns"):
        parse_columns(["epochs=3"])


@pytest.mark.parametrize(
    "settings",
    [
        {"text_column": "Rezension", "labels": ["schlecht", "gut"], "epochs": 3, "layer_decay": 0.8},
        {"plan": "top-2", "ema": 0.99, "devices": 2, "xla": "off", "cache_gb": 0, "schedule": "one-cycle"},
        {"phases": [{"unfrozen": 2, "epochs": 1, "learning_rate": 1e-3, "lora": 4, "patience": 2}], "seed": 5},
    ],
)
def test_a_recipe_survives_its_own_yaml(tmp_path, settings):
    made = recipe(**settings)
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe_yaml(made), encoding="utf-8")
    assert make_recipe(read_settings(file)) == made
    # One flat table, every key spelt out.
    assert set(yaml.safe_load(file.read_text(encoding="utf-8"))) == set(recipe_keys())


def test_having_changes_flat_keys_and_nothing_else():
    made = recipe(ema=0.9, seed=3, cache_gb=1.5)
    other = made.having(ema=None, batch_size=4, precision="bf16", max_length=12)
    assert (other.learning.ema, other.learning.batch_size, other.max_length) == (None, 4, 12)
    assert (other.machine.precision, other.machine.cache_gb, other.seed) == ("bf16", 1.5, 3)
    assert (made.learning.ema, made.max_length) == (0.9, 128)
    assert made.having() == made


@pytest.mark.parametrize("content", [b"a: [", b"- 1\n- 2\n", b"\xff\xfe", b"1: 2"])
def test_a_broken_recipe_file_is_one_line(tmp_path, content):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(content)
    with pytest.raises(KerasftError, match=r"recipe\.yaml"):
        read_settings(file)


@pytest.mark.parametrize("model", [Recipe, Learning, Machine])
def test_no_table_has_more_than_twenty_keys(model):
    assert len(model.model_fields) <= 20


@pytest.mark.parametrize(
    ("assignment", "text"),
    [
        (r"template={source}\n=> {target}", "{source}\n=> {target}"),
        (r'template="{source}\n=> {target}"', "{source}\n=> {target}"),
        (r'template=say "{prompt}": {completion}', 'say "{prompt}": {completion}'),
        (r"stop=\n", "\n"),
        ("stop=12", "12"),
        ("template=[INST] {prompt} {completion}", "[INST] {prompt} {completion}"),
    ],
)
def test_a_template_on_the_command_line_is_text(assignment, text):
    (value,) = parse_assignments([assignment]).values()
    assert value == text


def test_several_stop_texts_on_the_command_line():
    assert parse_assignments([r'stop=["\n", "END"]']) == {"stop": ["\n", "END"]}
