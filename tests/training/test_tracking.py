import math
import time

import numpy as np
import pytest
import tensorflow as tf

from kerasft.training import tracking
from kerasft.training.tracking import Tracker, depth_name, measures_updates, snapshot


def points(folder):
    """Tag -> [(step, value)] over every event file, in order."""
    found = {}
    for path in sorted(folder.iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                number = value.histo.num if value.HasField("histo") else value.simple_value
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def steps(points):
    return [step for step, _ in points]


def test_a_step_is_written_now_and_then_and_at_both_ends_of_an_epoch(tmp_path):
    tracker = Tracker(tmp_path, every=10)
    for step in range(1, 48):
        tracker.step(step, {"loss": tf.constant(1.0 / step), "gradient_norm": tf.constant(2.0)}, rows=32, tokens=500)
        if step == 23:
            tracker.epoch(step, {"loss": 0.5, "eval_accuracy": 0.75})
    tracker.close()
    found = points(tmp_path)
    assert steps(found["train/loss"]) == [1, 10, 20, 23, 24, 30, 40, 47]
    assert np.isclose(found["train/loss"][1][1], 0.1)
    assert steps(found["train/gradient_norm"]) == steps(found["train/loss"])
    assert found["epoch/loss"] == [(23, 0.5)]
    assert found["eval/accuracy"] == [(23, 0.75)]


def test_the_rates_leave_out_the_first_update_and_the_evaluation(tmp_path, monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(tracking, "time", clock)
    tracker = Tracker(tmp_path, every=2)
    for step in range(1, 9):
        clock.now += 60.0 if step in (1, 5) else 2.0  # tracing; an evaluation before it too
        tracker.step(step, {"loss": 1.0}, rows=32, tokens=500)
        if step == 4:
            tracker.epoch(step, {})
    tracker.close()
    found = points(tmp_path)
    assert found["speed/examples_per_second"] == [(2, 16.0), (4, 16.0), (6, 16.0), (8, 16.0)]
    assert found["speed/tokens_per_second"][0] == (2, 250.0)


def test_only_what_is_written_is_fetched(tmp_path):
    asked = []
    tracker = Tracker(tmp_path, every=5)
    for step in range(1, 12):
        tracker.step(step, {"learning_rate": lambda step=step: asked.append(step) or 0.1}, rows=1, tokens=1)
    assert asked == [1, 5, 10]
    tracker.close()
    assert asked == [1, 5, 10, 11]


def test_a_phase_and_an_epoch_are_told(tmp_path):
    with Tracker(tmp_path) as tracker:
        tracker.phase(1, 2, {"trains": "the head", "trainable_parameters": 1234, "kept": None})
        tracker.epoch(9, {"epoch": 1, "val_loss": 0.5, "note": "x"}, rates={"head": 1e-3, "block_01": 1e-4})
    found = points(tmp_path)
    assert found["phase/number"] == [(1, 2.0)]
    assert found["phase/trainable_parameters"] == [(1, 1234.0)]
    assert found["eval/loss"] == [(9, 0.5)]
    assert np.isclose(found["learning_rate/block_01"][0][1], 1e-4)
    assert not {"phase/trains", "phase/kept", "epoch/note"} & set(found)


def test_update_sizes_by_depth(tmp_path):
    before = [np.array([3.0, 4.0]), np.zeros(2), np.full(4, 2.0)]
    after = [before[0] + [0.03, 0.04], np.array([0.1, 0.0]), before[2]]
    with Tracker(tmp_path) as tracker:
        tracker.updates(5, before, after, ["head", "head", "block_01"])
    found = points(tmp_path)
    assert np.isclose(found["update_size/head"][0][1], math.hypot(0.05, 0.1) / 5.0)
    assert found["update_size/block_01"] == [(5, 0.0)]
    # The bias began at zero and block 1 stood still: neither has a logarithm.
    assert found["update_size_log10/head"] == [(5, 1.0)]
    assert "update_size_log10/block_01" not in found


def test_a_snapshot_of_a_large_weight_is_a_fair_sample():
    import keras

    draw = np.random.default_rng(0)
    # Columns of very different size, and a shape whose plain stride would see a few of them only.
    large = keras.Variable(draw.normal(size=(4096, 512)) * np.linspace(0.1, 10, 512))
    small = keras.Variable(draw.normal(size=(3, 5)))
    before = snapshot([large, small])
    true = 1e-3 * np.linspace(1, 3, 512)
    large.assign(large * (1 + true))
    after = snapshot([large, small])
    assert len(before[0]) <= 65_536
    assert before[1].size == 15
    whole = np.linalg.norm(large.numpy() * true / (1 + true)) / np.linalg.norm(large.numpy() / (1 + true))
    assert np.linalg.norm(after[0] - before[0]) / np.linalg.norm(before[0]) == pytest.approx(whole, rel=0.02)
    assert np.array_equal(before[1], after[1])


def test_a_resumed_run_marks_what_it_writes_again(tmp_path):
    with Tracker(tmp_path, every=1) as tracker:
        for step in range(1, 9):
            tracker.step(step, {"loss": 1.0}, 1, 1)
    with Tracker(tmp_path, first_step=6, every=1) as tracker:
        tracker.step(6, {"loss": 2.0}, 1, 1)
    last = sorted(tmp_path.iterdir())[-1]
    start = list(tf.compat.v1.train.summary_iterator(str(last)))[1]
    assert start.session_log.status == start.session_log.START
    assert start.step == 6


def test_an_epoch_is_on_the_disk_at_its_end(tmp_path):
    tracker = Tracker(tmp_path, every=10)
    tracker.step(1, {"loss": 1.0}, 1, 1)
    tracker.step(2, {"loss": 0.5}, 1, 1)
    tracker.epoch(2, {"eval_loss": 0.7})
    assert points(tmp_path)["train/loss"] == [(1, 1.0), (2, 0.5)]
    assert steps(points(tmp_path)["eval/loss"]) == [2]


def test_a_full_disk_ends_the_recording_and_not_the_run(tmp_path, monkeypatch):
    lines = []
    tracker = Tracker(tmp_path, every=1, report=lines.append)

    def refuse(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tracker._file, "scalars", refuse)
    for step in range(1, 4):
        tracker.step(step, {"loss": 1.0}, 1, 1)
    tracker.updates(3, [np.ones(2)], [np.ones(2)], ["head"])
    tracker.epoch(3, {"loss": 1.0})
    tracker.phase(4, 2, {})
    tracker.close()
    assert len(lines) == 1
    assert "No space left" in lines[0]


def test_a_folder_that_cannot_be_made_ends_the_recording_too(tmp_path):
    lines = []
    (tmp_path / "file").write_text("")
    with Tracker(tmp_path / "file" / "run", report=lines.append) as tracker:
        tracker.step(1, {"loss": 1.0}, 1, 1)
    assert len(lines) == 1


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Tracker(None) as tracker:
        tracker.phase(1, 1, {"parameters": 3})
        tracker.step(1, {"loss": 1.0}, 1, 1)
        tracker.updates(1, [np.ones(2)], [np.ones(2)], ["head"])
        tracker.epoch(1, {"loss": 1.0})
    assert not list(tmp_path.iterdir())


def test_recording_a_step_costs_next_to_nothing(tmp_path):
    logs = {"loss": tf.constant(1.0), "gradient_norm": tf.constant(1.0), "learning_rate": 1e-3}
    with Tracker(tmp_path) as tracker:
        tracker.step(1, logs, 32, 500)
        began = time.process_time()
        for step in range(2, 2002):
            tracker.step(step, logs, 32, 500)
        each = (time.process_time() - began) / 2000
    # The shortest updates that matter, cached head phases, take some 10 ms.
    assert each < 1e-4


def test_names_of_depths():
    assert [depth_name(depth, 2) for depth in range(4)] == ["head", "block_02", "block_01", "embeddings"]


def test_update_sizes_are_measured_once_an_epoch():
    for batches in (1, 2, 217):
        assert sum(measures_updates(batch, batches) for batch in range(batches)) == 1
