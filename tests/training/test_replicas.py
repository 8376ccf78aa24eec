"""The same global batches on one device, on several, on two workers, in micro-batches: the same losses and weights."""

import os

import pytest

from kerasft import load_run
from kerasft.training.launch import free_ports, worker_environment
from tests.run_results import write_bert
from tests.training_equality import EVERY_PHASE, figures_apart, figures_of, start, uneven_rows, weights_apart

# What runs together in one process: its devices cannot be arranged twice.
PLACES = {
    "one": {"plain": {}, "plain-accumulated": {"accumulate": 3}},
    "two": {"two": {"devices": 2}, "two-accumulated": {"devices": 2, "accumulate": 2}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of all runs. Without any dropout: each replica would draw its own."""
    folder = tmp_path_factory.mktemp("replicas")
    common = {
        "task": "sentiment",
        "data": str(uneven_rows(folder / "rows.csv")),
        "backbone": str(write_bert(folder / "bert", blocks=2, dropout=0.0)),
        "phases": EVERY_PHASE,
        "batch_size": 8,
        "dropout": 0.0,
        "class_weights": "balanced",
        "precision": "float32",
    }
    hidden = {"TF_CONFIG", "SLURM_STEP_NUM_TASKS"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    started = [start(folder, place, common, settings, environment) for place, settings in PLACES.items()]
    ports = free_ports(2)
    for worker in range(2):
        named = {**environment, **worker_environment(ports, worker)}
        started.append(start(folder, f"worker-{worker}", common, {"workers": {"accumulate": 2}}, named))
    try:
        for process in started:
            output = process.communicate(timeout=1200)[0]
            assert process.returncode == 0, output[-3000:]
    finally:
        for process in started:
            process.kill()
    return folder


@pytest.mark.parametrize("name", ["plain-accumulated", "two", "two-accumulated", "workers"])
def test_the_same_global_batches_are_the_same_training(runs, name):
    loss, norm = figures_apart(runs / "plain", runs / name)
    assert loss < 1e-5
    assert norm < 1e-4
    assert weights_apart(runs / "plain", runs / name) < 1e-4


def test_the_runs_were_what_they_should_be(runs):
    plain, *others = (load_run(runs / name) for name in ("plain", "two", "workers"))
    assert [run.record["replicas"] for run in (plain, *others)] == [1, 2, 2]
    phases = plain.metrics["phases"]
    assert [phase["epochs_run"] for phase in phases] == [2, 1, 1, 2]
    assert [phase["from_cache"] for phase in phases] == [True, True, True, False]
    assert sum(phase["steps"] for phase in phases) == len(figures_of(runs / "plain"))
    rows = plain.record["data"]["train"]["rows"]
    assert rows % 8
    assert phases[1]["steps"] == -(-rows // 8)
    # They have learnt: standing still would be easy to do in step.
    losses = figures_of(runs / "plain")[:, 0]
    assert losses[-5:].mean() < 0.9 * losses[:5].mean()
