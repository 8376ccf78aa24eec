"""What a call of `fit` asks for: checked before TensorFlow starts and before anything is written."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kerasft.data.prepare import prepare_sets
from kerasft.errors import KerasftError
from kerasft.tasks import TASKS, find_task
from kerasft.training.order import new_order, resumed_order
from kerasft.training.recipe import make_recipe, recipe_yaml
from tests.toy import toy_rows, write_csv

NO_SOURCES = {"data": None, "eval_data": None, "test_data": None}
ROOT = Path(__file__).parents[2]


def new(task="sentiment", recipe=None, settings=None, output=None, seed=None, backbone=None, **sources):
    return new_order(task, backbone, recipe, seed, settings or {}, output, {**NO_SOURCES, **sources}, "error")


def left_run(folder: Path, **sources) -> Path:
    """A run folder as it is before the first checkpoint."""
    folder.mkdir()
    (folder / "recipe.yaml").write_text(recipe_yaml(make_recipe({"task": "sentiment", "batch_size": 8})))
    record = {"task": "sentiment", "sources": {**NO_SOURCES, **sources}, "on_bad_row": "skip", "data": {}}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def resumed(folder, settings=None, named=None, **sources):
    return resumed_order(folder, named or {}, settings or {}, {**NO_SOURCES, **sources})


def test_settings_win_over_arguments_and_these_over_the_recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"task": "text-classification", "seed": 1, "batch_size": 4, "keep": 2}))
    made = new(recipe=path, seed=3, settings={"batch_size": 16}, data="x.csv").recipe
    assert (made.task, made.seed, made.learning.batch_size, made.machine.keep) == ("sentiment", 3, 16, 2)


@pytest.mark.parametrize("task", ["sentiment", "masked-lm", "translation"])
def test_random_weights_are_trained_from_the_bottom_up_unless_the_recipe_says_how(task):
    fresh = {"task": task, "backbone": "new:gpt2?layers=2"}
    assert new(**fresh).recipe.learning.plan == "scratch"
    assert new(**fresh, settings={"epochs": 4}).recipe.learning.epochs == 4
    assert new(**fresh, settings={"plan": "full"}).recipe.learning.plan == "full"
    phases = [{"unfrozen": "all", "epochs": 1, "learning_rate": 1e-3}]
    assert new(**fresh, settings={"phases": phases}).recipe.learning.phases[0].epochs == 1
    assert new(task=task, backbone="minilm").recipe.learning.plan != "scratch"


def test_the_next_free_run_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert new().folder == Path("runs/sentiment-1")
    (tmp_path / "runs" / "sentiment-7").mkdir(parents=True)
    (tmp_path / "runs" / "sentiment-rates-9").mkdir()
    assert new().folder == Path("runs/sentiment-8")


def test_without_data_the_starter_data_are_taken_where_there_are_some(monkeypatch):
    assert new().sources["data"].is_file()
    monkeypatch.setitem(TASKS, "bare", dataclasses.replace(TASKS["regression"], name="bare", starter=None))
    with pytest.raises(KerasftError, match=r"no starter data\. Pass --data with columns 'text', 'score'"):
        new(task="bare")


def test_an_unknown_backbone_is_told_before_anything_else():
    with pytest.raises(KerasftError, match=r'Did you mean "minilm"\?'):
        new(backbone="minilmm")


def test_an_existing_folder_is_refused_and_a_run_may_be_gone_on_with(tmp_path):
    run = left_run(tmp_path / "run")
    with pytest.raises(KerasftError, match=f"never overwritten.*--resume {run}"):
        new(output=run)
    with pytest.raises(KerasftError, match="never overwritten") as error:
        new(output=tmp_path)
    assert "--resume" not in str(error.value)


def test_a_mistake_is_told_without_tensorflow(tmp_path):
    """In a second, that is."""
    code = f"""
import sys, kerasft
try:
    kerasft.fit(resume={str(tmp_path / "nowhere")!r})
except kerasft.KerasftError as error:
    print(error)
assert "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "nowhere is not there" in done.stdout


def test_a_run_remembers_files_by_their_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    described = new(data="rows.csv", eval_data=toy_rows(3), test_data="-").described_sources()
    assert described == {"data": str(tmp_path / "rows.csv"), "eval_data": "memory", "test_data": "-"}


def test_a_resumed_run_has_its_own_recipe_rows_and_manners(tmp_path):
    run = left_run(tmp_path / "run", data="/data/rows.csv")
    order = resumed(run, {"devices": 2, "save_steps": 5})
    assert order.folder == run
    assert order.sources == {"data": "/data/rows.csv", "eval_data": None, "test_data": None}
    assert order.on_bad_row == "skip"
    assert order.recipe.learning.batch_size == 8
    assert (order.recipe.machine.devices, order.recipe.machine.save_steps) == (2, 5)
    assert order.record
    assert not order.finished


def test_other_files_may_stand_in_for_the_remembered_ones(tmp_path):
    """A moved file; whether its rows are the same is looked at once they are read."""
    run = left_run(tmp_path / "run", data="/data/rows.csv", eval_data="memory")
    sources = resumed(run, data="/moved/rows.csv", eval_data=[{"text": "a"}]).sources
    assert sources["data"] == "/moved/rows.csv"
    assert sources["eval_data"] == [{"text": "a"}]


@pytest.mark.parametrize("source", ["memory", "-"])
def test_rows_that_cannot_be_read_again_have_to_be_passed(tmp_path, source):
    run = left_run(tmp_path / "run", data="/data/rows.csv", test_data=source)
    with pytest.raises(KerasftError, match="test_data from memory or a pipe: pass the same rows again"):
        resumed(run)
    (run / "metrics.json").write_text("{}")
    assert resumed(run).finished


@pytest.mark.parametrize("settings", [{"keep": 0}, {"strategy": "multi"}, {"devices": "two"}])
def test_a_bad_setting_of_the_machine_is_one_line(tmp_path, settings):
    with pytest.raises(KerasftError, match=next(iter(settings))) as error:
        resumed(left_run(tmp_path / "run"), settings)
    assert "\n" not in str(error.value)


def test_only_the_same_rows_go_on(tmp_path):
    task, recipe = find_task("sentiment"), make_recipe({"task": "sentiment"})

    def sets(rows):
        return prepare_sets(task, recipe, write_csv(tmp_path / "rows.csv", rows), None, None, "error")

    rows = toy_rows(60)
    known = sets(rows)
    data = {"train": known.train, "eval": known.held_out}
    run = left_run(tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    record["data"] = {name: {"rows": len(part), "sha256": part.fingerprint()} for name, part in data.items()}
    (run / "run.json").write_text(json.dumps(record))
    order = resumed(run)
    order.check_data(sets(rows))
    relabelled = [{**rows[0], "label": "positive"}, *rows[1:]]
    for changed in (rows[:-1], rows[::-1], relabelled, [{**rows[0], "text": "x"}, *rows[1:]]):
        with pytest.raises(KerasftError, match=r"rows have changed since it began \(\d+ rows then, \d+ now\)"):
            order.check_data(sets(changed))
