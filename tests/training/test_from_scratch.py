"""Runs that begin from scratch: the weights are the seed's, the vocabulary the training rows', a kill loses nothing."""

import json

import numpy as np
import pytest

import kerasft
from kerasft.backbones import new
from kerasft.backbones.load import load_backbone, load_text_functions
from kerasft.backbones.new import load_new
from kerasft.training.recipe import make_recipe
from kerasft.training.source import define_source, find_source, vocabulary_fingerprint
from tests.run_results import differences
from tests.small_runs import recorder
from tests.toy import toy_rows
from tests.toy_gpt2 import train, write_files

NAME = "new:gpt2?layers=2&hidden=16&heads=2&context=64"
SIZE = 300
PHASES = [{"unfrozen": "all", "epochs": 3, "learning_rate": 1e-2}]
TRAIN, HELD_OUT = toy_rows(64), [*toy_rows(16, seed=1), {"text": "zyzzyva zyzzyva zyzzyva", "label": "positive"}]


@pytest.fixture(autouse=True, scope="module")
def library():
    pytest.importorskip("tokenizers", reason="a vocabulary of one's own needs the tokenizers library")


def fit(output, **settings):
    common = {"data": TRAIN, "eval_data": HELD_OUT, "backbone": NAME, "vocabulary": SIZE, "seed": 5}
    common |= {"batch_size": 8, "phases": PHASES, "precision": "float32", "report": lambda line: None}
    return kerasft.fit(task="sentiment", output=output, **{**common, **settings})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run, what it said, and what `kill -9` would have left of it after the first and after the twelfth update."""
    parent, lines = tmp_path_factory.mktemp("scratch"), []
    run = fit(
        parent / "whole", save_steps=5, callbacks=[recorder(parent / "whole", parent, {1, 12})], report=lines.append
    )
    return run, lines, parent


def test_it_learns_and_says_with_what(whole):
    run, lines, _ = whole
    assert run.metrics["metrics"]["accuracy"] > 0.8
    assert "Vocabulary: 300 pieces, learnt from the training rows." in lines
    assert any(line.startswith(f"Backbone {NAME}: gpt2, 2 blocks of 16, float32") for line in lines)
    assert not any("random weights" in line for line in lines)
    again = kerasft.load_run(run.folder)
    assert again.recipe.backbone == NAME
    assert again.recipe.vocabulary == SIZE
    texts = [row["text"] for row in toy_rows(6, seed=3)]
    assert again.predict(texts) == run.predict(texts)


def test_its_vocabulary_is_learnt_from_the_training_rows_alone(whole):
    run, _, _ = whole
    text = load_text_functions(run.folder / "backbone")
    assert (len(text.vocabulary), text.max_length) == (SIZE, 64)
    words = text.tokenize(["the brilliant film", "zyzzyva"]).ids.to_list()
    assert len(words[0]) < len("the brilliant film")
    assert len(words[1]) == len("zyzzyva")


@pytest.mark.parametrize("updates", [1, 12], ids=["before the first checkpoint", "behind it"])
def test_killed_and_resumed_is_as_if_never_stopped(whole, updates):
    run, _, parent = whole
    lines = []
    kerasft.fit(resume=parent / str(updates), data=TRAIN, eval_data=HELD_OUT, report=lines.append)
    assert not any(line.startswith("Vocabulary:") for line in lines)
    assert differences(parent / str(updates), run.folder) == []


def test_what_is_frozen_stays_as_the_seed_has_made_it(tmp_path):
    lines = []
    head = [{"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2}]
    run = fit(tmp_path / "run", phases=head, report=lines.append)
    made, other = (arrays_of(load_new(run.folder / "backbone", seed)) for seed in (5, 6))
    assert all(np.array_equal(*pair) for pair in zip(arrays_of(run.network.backbone), made, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(made, other, strict=True))
    assert [line for line in lines if "random weights" in line] == [
        "Warning: the backbone begins with random weights, and phase 1 keeps some of them: plan=scratch trains all."
    ]


def arrays_of(backbone):
    return [weight.numpy() for weight in backbone.model.weights if "seed_generator" not in weight.path]


def test_plain_texts_make_a_backbone_for_other_runs(tmp_path):
    """Packed sequences, from the rows to the folder that is left."""
    rows = [{"text": row["text"]} for row in toy_rows(120)]
    common = {"task": "causal-lm", "max_length": 32, "batch_size": 4, "report": lambda line: None}
    run = kerasft.fit(
        data=rows[:100], eval_data=rows[100:], backbone=NAME, vocabulary=SIZE, phases=PHASES, output=tmp_path / "run",
        precision="float32", **common,
    )  # fmt: skip
    assert run.metrics["metrics"]["perplexity"] < 0.5 * SIZE
    trained, left = (arrays_of(backbone) for backbone in (run.network.backbone, load_backbone(run.adapted)))
    assert all(np.array_equal(*pair) for pair in zip(trained, left, strict=True))
    assert not np.array_equal(left[0], arrays_of(load_new(run.folder / "backbone", 0))[0])
    assert load_text_functions(run.adapted).vocabulary == run.text.vocabulary


# What is refused, and where a vocabulary comes from


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "minilm"}, "'minilm' has its own. Leave it out, or pass --backbone 'new:gpt2?"),
        ({"vocabulary": 100}, "vocabulary must be 258 to 1,000,000 pieces"),
        ({"backbone": "new:gpt2?layer=4"}, "an unknown key 'layer'. Did you mean \"layers\""),
        ({"backbone": "new:gpt3"}, "no 'gpt3' can be made from scratch"),
    ],
)
def test_mistakes_are_told_before_there_is_a_run(tmp_path, settings, message):
    with pytest.raises(kerasft.KerasftError) as error:
        fit(tmp_path / "run", **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def defined(place, rows, **settings):
    """The definition that a worker of its own would make, and what is said."""
    from kerasft.data.prepare import prepare_sets
    from kerasft.tasks import find_task

    lines = []
    recipe = make_recipe({"task": "sentiment", "backbone": NAME, **settings})
    task = find_task("sentiment")
    sets = prepare_sets(task, recipe, rows, HELD_OUT, None, "error")
    place.mkdir()
    found = find_source(recipe, None, lines.append)
    return define_source(recipe, found, sets.task, sets.train, place, lines.append), lines


def test_each_worker_makes_the_same(tmp_path):
    first, second, other = (
        defined(tmp_path / name, rows, vocabulary=SIZE)[0]
        for name, rows in (("a", TRAIN), ("b", TRAIN), ("c", toy_rows(64, seed=9)))
    )
    assert vocabulary_fingerprint(first) == vocabulary_fingerprint(second) != vocabulary_fingerprint(other)
    assert len(vocabulary_fingerprint(first)) == 128
    for mine, yours in zip(arrays_of(load_new(first, 3)), arrays_of(load_new(second, 3)), strict=True):
        np.testing.assert_array_equal(mine, yours)


def test_a_corpus_that_gives_no_more_pieces_is_told(tmp_path):
    folder, lines = defined(tmp_path / "made", TRAIN, vocabulary=5000)
    count = len(load_text_functions(folder).vocabulary)
    assert SIZE < count < 5000
    assert lines == [
        f"Vocabulary: {count:,} pieces, learnt from the training rows (5,000 wanted: no more occur twice)."
    ]


def test_without_a_size_it_is_the_familys_own(tmp_path, monkeypatch):
    usual = write_files(tmp_path / "usual", *train())
    monkeypatch.setattr(new, "fetch", lambda name, report: usual)
    folder, lines = defined(tmp_path / "made", TRAIN)
    assert lines == []
    assert load_text_functions(folder).vocabulary == load_text_functions(usual).vocabulary
    assert not list(folder.rglob("*.h5"))
    # Numbers of the run's precision are none of the definition's.
    assert json.loads((folder / "config.json").read_text())["config"]["dtype"]["config"]["name"] == "float32"
