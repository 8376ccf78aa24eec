"""The same global batches on one device, on several, on two workers, in micro-batches: the same losses and weights."""

import os

import pytest

from kerasft import load_run
from kerasft.training.launch import free_ports, worker_environment
from tests.run_results import write_bert
from tests.toy import TOY_PHASES, toy_rows, write_csv
from tests.toy_pairs import toy_pairs
from tests.training_equality import EVERY_PHASE, figures_apart, figures_of, start, uneven_rows, weights_apart


def of_pairs(folder):
    """Settings of a task that compares all rows of a batch. Its last batch has fillers; some texts come twice."""
    rows = toy_pairs(35, negatives=True)
    rows += [{**row, "text": other["text"]} for row, other in zip(rows[:8], rows[8:16], strict=True)]
    return {
        "task": "embedding",
        "data": str(write_csv(folder / "pairs.csv", rows)),
        "eval_data": str(write_csv(folder / "more_pairs.csv", toy_pairs(9, seed=1))),
        "class_weights": "none",
        "phases": [
            {"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2},
            {"unfrozen": "all", "epochs": 2, "learning_rate": 5e-3},
        ],
    }


@pytest.fixture(scope="module")
def runs(toy_backbone, tmp_path_factory):
    """The folder of all runs. Without any dropout but in one of them: each replica would draw its own."""
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
    pairs = of_pairs(folder)
    # What runs together in one process: its devices cannot be arranged twice.
    one = {"plain": {}, "plain-accumulated": {"accumulate": 3}, "pairs": pairs}
    two = {"two": {}, "two-accumulated": {"accumulate": 2}, "two-pairs": {**pairs, "xla": "on"}}
    dropout = {"data": str(write_csv(folder / "more.csv", toy_rows(128))), "backbone": str(toy_backbone)}
    dropout |= {"dropout": 0.1, "phases": TOY_PHASES, "export": str(folder / "saved_models")}
    two = {name: {"devices": 2, **settings} for name, settings in {**two, "two-dropout": dropout}.items()}
    hidden = {"TF_CONFIG", "SLURM_STEP_NUM_TASKS"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    started = {
        place: start(folder, place, common, runs, environment) for place, runs in {"one": one, "two": two}.items()
    }
    for name, settings in {"workers": {"accumulate": 2}, "workers-pairs": pairs}.items():
        ports = free_ports(2)
        for worker in range(2):
            named = {**environment, **worker_environment(ports, worker)}
            place = f"{name}-{worker}"
            started[place] = start(folder, place, common, {name: settings}, named)
    try:
        for place, process in started.items():
            output = process.communicate(timeout=1200)[0]
            assert process.returncode == 0, output[-3000:]
            (folder / f"{place}.log").write_text(output)
    finally:
        for process in started.values():
            process.kill()
    return folder


@pytest.mark.parametrize(
    ("base", "name"),
    [
        *[("plain", name) for name in ("plain-accumulated", "two", "two-accumulated", "workers")],
        *[("pairs", name) for name in ("two-pairs", "workers-pairs")],
    ],
)
def test_the_same_global_batches_are_the_same_training(runs, base, name):
    loss, norm = figures_apart(runs / base, runs / name)
    assert loss < 1e-5
    assert norm < 1e-4
    assert weights_apart(runs / base, runs / name) < 1e-4


def test_the_runs_were_what_they_should_be(runs):
    plain, *others = (load_run(runs / name) for name in ("plain", "two", "workers", "two-pairs", "workers-pairs"))
    assert [run.record["replicas"] for run in (plain, *others)] == [1, 2, 2, 2, 2]
    phases = plain.metrics["phases"]
    assert [phase["epochs_run"] for phase in phases] == [2, 1, 1, 2]
    assert [phase["from_cache"] for phase in phases] == [True, True, True, False]
    assert sum(phase["steps"] for phase in phases) == len(figures_of(runs / "plain"))
    rows = plain.record["data"]["train"]["rows"]
    assert rows % 8
    assert phases[1]["steps"] == -(-rows // 8)
    assert load_run(runs / "pairs").record["data"]["train"]["rows"] % 8 == 3
    # They have learnt: standing still would be easy to do in step.
    for name in ("plain", "pairs"):
        losses = figures_of(runs / name)[:, 0]
        assert losses[-5:].mean() < 0.9 * losses[:5].mean()


def test_two_devices_learn_with_dropout_and_their_run_is_exported(runs):
    run = load_run(runs / "two-dropout")
    assert run.record["replicas"] == 2
    assert run.metrics["metrics"]["accuracy"] >= 0.8
    assert (runs / "saved_models" / "sentiment" / "1" / "saved_model.pb").is_file()
    assert "on 2 devices in step" in (runs / "two.log").read_text()
