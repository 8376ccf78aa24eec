"""A run from rows to figures, and what happens when it goes wrong."""

import csv
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import kerasft
from tests.toy import TOY_PHASES, toy_rows

ROOT = Path(__file__).parents[2]
SHORT = [{"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2}]


def fit(backbone, output, rows=None, **settings):
    lines = []
    run = kerasft.fit(
        task="sentiment",
        data=rows or toy_rows(60),
        backbone=str(backbone),
        output=output,
        report=lines.append,
        **{"phases": SHORT, "batch_size": 8, **settings},
    )
    return run, lines


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


def test_the_same_seed_gives_the_same_run(toy_backbone, tmp_path):
    figures = []
    for name in ("a", "b"):
        run, _ = fit(toy_backbone, tmp_path / name, phases=TOY_PHASES[:2], seed=3)
        figures.append([run.metrics["metrics"]["log_loss"], (run.folder / "history.csv").read_text().split(",")[:12]])
    assert figures[0][0] == pytest.approx(figures[1][0], abs=1e-5)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(toy_backbone, tmp_path):
    phases = [*SHORT, {"unfrozen": "all", "epochs": 5, "learning_rate": 1e30}]
    with pytest.raises(kerasft.KerasftError, match=r"phase 2: the training has diverged"):
        fit(toy_backbone, tmp_path / "run", phases=phases)
    import h5py

    with h5py.File(tmp_path / "run" / "model.weights.h5") as file:
        kept = []
        file.visititems(lambda _, item: kept.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    assert kept
    assert all(np.isfinite(value).all() for value in kept)
    with pytest.raises(kerasft.KerasftError, match="did not finish"):
        kerasft.load_run(tmp_path / "run")


def test_bad_rows_can_be_skipped_and_are_listed(toy_backbone, tmp_path):
    rows = [*toy_rows(60), {"text": "", "label": "positive"}, {"text": "no label", "label": None}]
    run, lines = fit(toy_backbone, tmp_path / "run", rows=rows, on_bad_row="skip")
    listed = [json.loads(line) for line in (run.folder / "skipped.jsonl").read_text().splitlines()]
    assert len(listed) == run.record["skipped_rows"] == 2
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


def test_test_data_are_reported_apart(toy_backbone, tmp_path):
    run, _ = fit(toy_backbone, tmp_path / "run", eval_data=toy_rows(20, seed=8), test_data=toy_rows(30, seed=9))
    assert run.metrics["metrics"]["rows"] == 20
    assert run.metrics["test_metrics"]["rows"] == 30


def test_labels_in_the_data_win_and_the_recipe_can_order_them(toy_backbone, tmp_path):
    rows = [
        {"text": row["text"], "label": {"negative": "Nein", "positive": "Ja"}[row["label"]]} for row in toy_rows(60)
    ]
    run, _ = fit(toy_backbone, tmp_path / "sorted", rows=rows)
    assert run.labels == ("Ja", "Nein")
    run, _ = fit(toy_backbone, tmp_path / "ordered", rows=rows, labels=["Nein", "Ja"])
    assert run.labels == ("Nein", "Ja")


def test_two_devices_train_in_step(toy_backbone, tmp_path):
    """Logical CPU devices stand in for accelerators; in a process of its own, for they must be set up before use."""
    script = f"""
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        import kerasft
        from tests.toy import toy_rows, TOY_PHASES
        run = kerasft.fit(task="sentiment", data=toy_rows(128), backbone={str(toy_backbone)!r},
                          output={str(tmp_path / "run")!r}, batch_size=8, phases=TOY_PHASES)
        run.export(export_dir={str(tmp_path / "out")!r})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "on 2 devices in step" in done.stderr
    run = kerasft.load_run(tmp_path / "run")
    assert run.record["replicas"] == 2
    assert run.metrics["metrics"]["accuracy"] >= 0.8
    assert (tmp_path / "out" / "sentiment" / "1" / "saved_model.pb").is_file()


def test_a_phase_after_its_frozen_part_was_trained_does_not_use_the_cache(toy_backbone, tmp_path):
    phases = [{"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3}, *SHORT]
    run, _ = fit(toy_backbone, tmp_path / "run", phases=phases)
    assert [phase["from_cache"] for phase in run.metrics["phases"]] == [True, False]
