"""A run from rows to figures, and what happens when it goes wrong."""

import csv
import json
import math

import keras
import numpy as np
import pytest

import kerasft
from kerasft.data.prepare import prepare_sets
from kerasft.tasks import TASKS
from kerasft.training.recipe import PLANS, make_recipe
from kerasft.training.settings import read_settings
from tests.run_results import history_of, weights_of
from tests.toy import toy_rows

SHORT = [{"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2}]


def fit(backbone, output, rows=None, **settings):
    lines = []
    run = kerasft.fit(
        task="sentiment",
        data=rows or toy_rows(60),
        backbone=str(backbone),
        output=output,
        **{"phases": SHORT, "batch_size": 8, "precision": "float32", "report": lines.append, **settings},
    )
    return run, lines


class Logs(keras.callbacks.Callback):
    """The figures of each update."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(logs)


SIDES = {"eval_data": toy_rows(20, seed=8), "test_data": toy_rows(30, seed=9)}


@pytest.fixture(scope="module")
def short(toy_backbone, tmp_path_factory):
    """A run of one short phase, and the figures of its updates."""
    logs = Logs()
    run, _ = fit(toy_backbone, tmp_path_factory.mktemp("short") / "run", seed=3, callbacks=[logs], **SIDES)
    return run, logs.found


def test_a_run_keeps_its_contract(toy_run):
    metrics = json.loads((toy_run.folder / "metrics.json").read_text())
    assert metrics["task"] == "sentiment"
    assert set(metrics["seconds"]) == {"total", "tokenise", "cache", "phases", "evaluate", "export"}
    assert len(metrics["seconds"]["phases"]) == len(metrics["phases"]) == 3
    assert metrics["metrics"]["rows"] > 5
    shares = [phase["trainable_parameters"] for phase in metrics["phases"]]
    assert shares == sorted(shares)
    assert shares[-1] == metrics["parameters"]
    assert [phase["from_cache"] for phase in metrics["phases"]] == [True, True, False]
    with open(toy_run.folder / "history.csv", newline="") as file:
        history = list(csv.DictReader(file))
    assert [int(row["phase"]) for row in history] == [1, 2, 3, 3, 3]
    assert not (toy_run.folder / "cache").exists()


def test_it_learns(toy_run):
    assert toy_run.metrics["metrics"]["accuracy"] >= 0.9
    answers = toy_run.predict(["a lovely brilliant film", "a tedious dreadful plot"])
    assert [answer["label"] for answer in answers] == ["positive", "negative"]


def test_a_reloaded_run_answers_the_same(toy_run):
    texts = [row["text"] for row in toy_rows(10, seed=5)]
    assert kerasft.load_run(toy_run.folder).predict(texts) == toy_run.predict(texts)


def test_the_same_seed_gives_the_same_run(short, toy_backbone, tmp_path):
    others = [fit(toy_backbone, tmp_path / str(seed), seed=seed, **SIDES)[0] for seed in (3, 4)]
    losses = [[float(line["loss"]) for line in history_of(run.folder)] for run in (short[0], *others)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0] != pytest.approx(losses[2], abs=1e-5)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(toy_backbone, tmp_path):
    phases = [*SHORT, {"unfrozen": "all", "epochs": 5, "learning_rate": 1e30}]
    with pytest.raises(kerasft.KerasftError, match=r"phase 2: the training has diverged"):
        fit(toy_backbone, tmp_path / "run", phases=phases)
    kept = weights_of(tmp_path / "run")
    assert kept
    assert all(np.isfinite(value).all() for value in kept.values())
    with pytest.raises(kerasft.KerasftError, match="did not finish"):
        kerasft.load_run(tmp_path / "run")


def stop_here(*_):
    raise RuntimeError("before the first update")


def test_bad_rows_can_be_skipped_and_are_listed(toy_backbone, tmp_path, monkeypatch):
    rows = [*toy_rows(60), {"text": "", "label": "positive"}, {"text": "no label", "label": None}]
    monkeypatch.setattr("kerasft.training.phase.run_phase", stop_here)
    lines = []
    with pytest.raises(RuntimeError, match="before the first update"):
        fit(toy_backbone, tmp_path / "run", rows=rows, on_bad_row="skip", report=lines.append)
    listed = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert len(listed) == record["skipped_rows"] == 2
    assert any("Skipped 2" in line for line in lines)


def test_balanced_class_weights_favour_the_rare_class(toy_backbone, tmp_path):
    rare = [row for row in toy_rows(200, seed=2) if row["label"] == "negative" or hash_of(row) < 0.2]
    texts = [row["text"] for row in toy_rows(20, seed=4)]
    chances = []
    for weights in ("none", "balanced"):
        run, _ = fit(toy_backbone, tmp_path / weights, rows=rare, class_weights=weights, seed=1)
        chances.append(np.mean([answer["probabilities"][1] for answer in run.predict(texts)]))
    assert chances[1] > chances[0] + 0.1


def hash_of(row) -> float:
    return (sum(row["text"].encode()) % 97) / 97


def test_test_data_are_reported_apart(short):
    run, _ = short
    assert run.metrics["metrics"]["rows"] == 20
    assert run.metrics["test_metrics"]["rows"] == 30


def test_labels_in_the_data_win_and_the_recipe_can_order_them(toy_backbone, tmp_path):
    rows = [
        {"text": row["text"], "label": {"negative": "Nein", "positive": "Ja"}[row["label"]]} for row in toy_rows(60)
    ]
    recipe = make_recipe({"task": "sentiment"})
    assert prepare_sets(TASKS["sentiment"], recipe, rows, None, None, "error").scheme.labels == ("Ja", "Nein")
    run, _ = fit(toy_backbone, tmp_path / "ordered", rows=rows, labels=["Nein", "Ja"])
    assert run.labels == ("Nein", "Ja")


def test_a_phase_after_its_frozen_part_was_trained_does_not_use_the_cache(toy_backbone, tmp_path):
    phases = [{"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3}, *SHORT]
    run, _ = fit(toy_backbone, tmp_path / "run", phases=phases)
    assert [phase["from_cache"] for phase in run.metrics["phases"]] == [True, False]


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ("adamw", "cosine"),
        ("adam", "one-cycle"),
        ("adafactor", "constant"),
        ("lion", "cosine"),
        ("sgd", "linear"),
        ("adadelta", "linear"),
    ],
)
def test_every_optimizer_and_every_schedule_learns(optimizer, schedule, toy_backbone, tmp_path):
    # The plan's own rate: each optimizer is given what suits it.
    settings = {"phases": None, "plan": "head", "dropout": 0.0, "optimizer": optimizer, "schedule": schedule}
    run, _ = fit(toy_backbone, tmp_path / "run", **settings)
    losses = [float(line["loss"]) for line in history_of(run.folder)]
    assert len(losses) >= 3
    assert losses[-1] < losses[0]
    assert (run.recipe.learning.optimizer, run.recipe.learning.schedule) == (optimizer, schedule)


@pytest.mark.parametrize("plan", PLANS[1:])
def test_a_run_writes_its_plan_down_as_phases(plan, toy_backbone, tmp_path, monkeypatch):
    """What comes before the first update is all that is looked at."""
    monkeypatch.setattr("kerasft.training.phase.run_phase", stop_here)
    with pytest.raises(RuntimeError, match="before the first update"):
        fit(toy_backbone, tmp_path / "run", phases=None, plan=plan, epochs=2, cache_gb=0)
    kept = (tmp_path / "run" / "recipe.yaml").read_text(encoding="utf-8")
    assert "plan: gradual" in kept
    learning = make_recipe(read_settings(tmp_path / "run" / "recipe.yaml")).learning
    assert learning.phases[-1].epochs == 2
    assert learning.epochs is None


def test_batches_by_tokens_train_and_their_updates_add_up(toy_backbone, tmp_path):
    logs = Logs()
    phases = [{"unfrozen": part, "epochs": 2, "learning_rate": 1e-2} for part in ("head", 1)]
    run, _ = fit(toy_backbone, tmp_path / "run", phases=phases, batch_tokens=64, callbacks=[logs])
    metrics, history = run.metrics, history_of(run.folder)
    assert sum(phase["steps"] for phase in metrics["phases"]) == len(logs.found) == int(history[-1]["updates"])
    # 8 rows of 64 tokens in all would have to be of 8 each: these are longer, so the batches smaller.
    rows = run.record["data"]["train"]["rows"]
    assert len(logs.found) > 4 * math.ceil(rows / 8)
    assert float(history[-1]["loss"]) < float(history[0]["loss"])


def test_callbacks_see_loss_and_gradient_norm_and_nothing_of_the_engines_own(short):
    run, updates = short
    assert all(set(update) == {"loss", "gradient_norm"} for update in updates)
    # The epoch's loss is the mean over its rows; but for the last, ragged batch that is the mean over updates.
    mean = np.mean([update["loss"] for update in updates])
    assert float(history_of(run.folder)[0]["loss"]) == pytest.approx(mean, abs=0.02)


def test_label_smoothing_is_in_the_training_loss_and_not_in_the_figures(toy_backbone, tmp_path):
    smoothing, losses = 0.4, {}
    for share in (0.0, smoothing):
        logs = Logs()
        phases = [{"unfrozen": "head", "epochs": 1, "learning_rate": 1e-9}]
        run, _ = fit(toy_backbone, tmp_path / str(share), phases=phases, label_smoothing=share, callbacks=[logs])
        losses[share] = [update["loss"] for update in logs.found], run.metrics["metrics"]["log_loss"]
    # The head hardly moves, so both see the same logits; a smoothed loss lies nearer to that of pure chance.
    (plain, figure), (smoothed, same_figure) = losses.values()
    assert figure == pytest.approx(same_figure, abs=1e-4)
    floor = -(smoothing / 2 * math.log(smoothing / 2) + (1 - smoothing / 2) * math.log(1 - smoothing / 2))
    assert min(smoothed) > floor
    away, still = (np.mean(np.abs(np.array(each) - math.log(2))) for each in (plain, smoothed))
    assert still < away
