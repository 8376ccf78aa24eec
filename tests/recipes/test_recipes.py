"""The recipes of the package: each states a measured score, names its task and is a recipe that `fit` takes."""

import json
import re

import pytest
from click.testing import CliRunner

from kerasft.cli import group
from kerasft.errors import KerasftError
from kerasft.recipes import recipe_head, recipe_names, recipe_path
from kerasft.tasks import TASKS
from kerasft.training.order import new_order
from kerasft.training.settings import read_settings

SOURCES = {"data": "rows.csv", "eval_data": None, "test_data": None}


def order(tmp_path, recipe, settings=None):
    return new_order(None, None, recipe, None, settings or {}, tmp_path / "run", SOURCES, "error")


def test_a_recipe_has_the_name_of_its_task():
    assert set(recipe_names()) == set(TASKS)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_one_and_says_what_it_reached(tmp_path, name):
    settings = read_settings(recipe_path(name))
    assert settings["task"] == name
    made = order(tmp_path, name).recipe
    for key, value in settings.items():
        if key in type(made).model_fields:
            assert getattr(made, key) == value
    head = "\n".join(recipe_head(name))
    assert f"kerasft fit --recipe {name} " in head
    assert re.search(r"Score: .*\d\.\d{3}", head), "no measured score"


def test_settings_win_over_a_named_recipe(tmp_path):
    assert order(tmp_path, "sentiment", {"max_length": 64}).recipe.max_length == 64


def test_a_file_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sentiment").write_text("task: topic\n", encoding="utf-8")
    assert order(tmp_path, "sentiment").recipe.task == "topic"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("sentimnet", 'neither a file nor one of kerasft\'s own. Did you mean "sentiment"?'),
        ("mine.yaml", "Recipe mine.yaml cannot be read"),
        ("folder/sentiment", "cannot be read"),
    ],
)
def test_a_recipe_that_is_not_there(tmp_path, monkeypatch, wanted, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KerasftError) as caught:
        order(tmp_path, wanted)
    assert words in str(caught.value)


def test_the_command_lists_them_and_prints_one_to_start_from():
    listed = CliRunner().invoke(group, ["recipes"]).output
    assert all(f"\n{name}\n" in f"\n{listed}" for name in recipe_names())
    printed = CliRunner().invoke(group, ["recipes", "sentiment"]).output
    assert printed == recipe_path("sentiment").read_text(encoding="utf-8")
    lines = CliRunner().invoke(group, ["recipes", "--json"]).output.splitlines()
    assert [json.loads(line)["name"] for line in lines] == recipe_names()
