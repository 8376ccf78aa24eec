"""A run that was stopped anywhere and gone on with ends as if it had never stopped, to the last bit, dropout on."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import kerasft
from kerasft import cli
from kerasft.export import proof
from tests.run_results import differences, weights_of, write_bert
from tests.small_runs import PHASES, breaker, record, recorder
from tests.toy import toy_rows, write_csv

ROOT = Path(__file__).parents[2]
ONE_PHASE = [{"unfrozen": "head", "epochs": 2, "learning_rate": 1e-2}]
LOADED = [
    {"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3, "lora": 2},
    {"unfrozen": "all", "epochs": 1, "learning_rate": 5e-3},
]


def resume(folder, **more) -> list[str]:
    """Goes on with a run; gives the lines that it reported."""
    lines = []
    kerasft.fit(resume=folder, report=lines.append, **more)
    return lines


def left_by_kill(whole, updates: int, to: Path) -> Path:
    """A copy of what `kill -9` would have left of the whole run after so many updates."""
    return Path(shutil.copytree(whole.killed / str(updates), to / "run"))


# Seven updates an epoch, checkpoints every four and at each end. Update 28 is the last of an epoch: its checkpoint is
# written before the held-out rows are measured.
POINTS = {
    15: (14, "the first update of the middle phase: the newest checkpoint is from between two phases"),
    18: (16, "the middle phase"),
    28: (28, "an epoch's last update"),
    29: (28, "the first update after an epoch's end"),
    34: (32, "the last epoch"),
}


@pytest.mark.parametrize("updates", POINTS, ids=lambda updates: f"{updates}: {POINTS[updates][1]}")
def test_killed_and_resumed_is_as_if_never_stopped(whole, tmp_path, updates):
    run = left_by_kill(whole, updates, tmp_path)
    lines = resume(run)
    assert any(line.startswith(f"Going on after {POINTS[updates][0]} updates") for line in lines)
    assert differences(run, whole.folder) == []
    # Nothing is left of the way there, and the curves of both sessions are.
    left = {path.name for path in run.iterdir()}
    assert not left & {"checkpoints", "tokens", "cache"}
    assert not [name for name in left if name.startswith(".")]
    assert kerasft.load_run(run).metrics["metrics"] == kerasft.load_run(whole.folder).metrics["metrics"]


def test_stopped_twice_by_errors_in_a_callback(small, whole, tmp_path):
    """What a raised error leaves is another thing than what `kill -9` does: the run has tidied up as it went."""
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="mine"):
        small.fit(run, callbacks=[breaker(6, RuntimeError("mine"))])
    lines = []
    with pytest.raises(KeyboardInterrupt):
        # Updates of this session are counted: it begins at 4.
        kerasft.fit(resume=run, callbacks=[breaker(14, KeyboardInterrupt())], report=lines.append)
    assert any(line.startswith("Going on after 4 updates, in phase 1") for line in lines)
    assert lines[-1] == f"Stopped. To go on: kerasft fit --resume {run}"
    assert (run / "model.weights.h5").is_file()
    lines = resume(run)
    assert any(line.startswith("Going on after 16 updates, in phase 2") for line in lines)
    assert differences(run, whole.folder) == []


@pytest.fixture(scope="module")
def loaded(small, tmp_path_factory):
    """LoRA, a moving average, micro-batches and bfloat16 in one run."""
    settings = {"phases": LOADED, "ema": 0.9, "accumulate": 2, "precision": "bf16"}
    return record(small, tmp_path_factory.mktemp("loaded"), {6, 13}, **settings)


@pytest.mark.parametrize("updates", [6, 13])
def test_low_rank_factors_averages_and_micro_batches_go_on_too(loaded, tmp_path, updates):
    run = left_by_kill(loaded, updates, tmp_path)
    resume(run)
    assert differences(run, loaded.folder) == []


def test_without_the_checkpoints_arrays_it_would_not_be_the_same(whole, tmp_path):
    """The comparison can fail: a dropout seed that is lost shows in the weights."""
    run = left_by_kill(whole, 34, tmp_path)
    (path,) = (run / "checkpoints").glob("[0-9]*/weights.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    seeds = [name for name in arrays if name.startswith("s")]
    assert seeds
    np.savez(path, **{name: array + 1 if name in seeds else array for name, array in arrays.items()})
    resume(run)
    assert differences(run, whole.folder)


def test_on_other_devices_it_goes_on_to_the_same_weights(small, tmp_path):
    """Without dropout: with it, two devices draw other masks than one. A process of its own, for the devices."""
    backbone = write_bert(tmp_path / "bert", dropout=0.0)
    settings = {"backbone": str(backbone), "dropout": 0.0, "phases": PHASES[2:]}
    run = record(small, tmp_path, {10}, **settings)
    script = f"""
        import kerasft
        kerasft.fit(resume={str(run.killed / "10")!r}, devices=2)
    """
    done = python(textwrap.dedent(script))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Going on after 8 updates, in phase 1" in done.stderr
    assert "on 2 devices in step" in done.stderr
    ours, theirs = weights_of(run.killed / "10"), weights_of(run.folder)
    assert set(ours) == set(theirs)
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], atol=1e-4, err_msg=name)


def python(code: str, *arguments, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, **options)


KILLED = """
import importlib, os, signal, sys
place, count, *arguments = sys.argv[1:]
module, name = place.rsplit(".", 1)
module = importlib.import_module(module)
known, calls = getattr(module, name), []
def deadly(*given, **named):
    calls.append(1)
    if len(calls) == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return known(*given, **named)
setattr(module, name, deadly)
from kerasft.cli import main
main(arguments)
"""


def test_kill_9_in_the_cache_pass_in_training_and_in_the_export(small, whole, tmp_path, monkeypatch, capsys):
    """Real ones, of the real command, one after the other on the same run; then it is left to finish."""
    (tmp_path / "first.yaml").write_text(json.dumps({**small.settings, "task": "sentiment"}))
    run = Path("runs") / "sentiment-1"
    start = ["fit", "--recipe", "first.yaml", "--data", small.data, "--backbone", small.backbone]
    start += ["--export-dir", "served", "--name", "reviews"]
    go_on = ["fit", "--resume", run]

    def killed(place: str, count: int, arguments) -> str:
        done = python(KILLED, place, count, *arguments, cwd=tmp_path)
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
        return done.stderr

    killed("kerasft.training.prefix_cache.write_at", 20, start)
    assert list((tmp_path / run / "cache").glob(".*.f16"))
    assert not (tmp_path / run / "checkpoints").exists()
    # The sixth checkpoint, written but not yet in its place: 4, 7, 8, 12, 14 and twice that.
    said = killed("kerasft.training.checkpoint.publish", 6, go_on)
    assert "Phase 1" in said
    assert list((tmp_path / run / "checkpoints").glob(".checkpoint.*"))
    said = killed("kerasft.export.proof.prove", 1, go_on)
    assert "Going on after 14 updates, in phase 1" in said
    assert differences(tmp_path / run, whole.folder) == []
    assert not (tmp_path / "served" / "reviews" / "1").exists()

    # The last one may be this process; how an export is proven is told elsewhere.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(proof, "prove", lambda *_, **__: ({}, []))
    with contextlib.suppress(SystemExit):
        cli.main([str(argument) for argument in go_on])
    out, err = capsys.readouterr()
    assert f"Run {run} has finished its training." in err
    # Where the first command wanted it.
    assert "SavedModel: served/reviews/1\n" in out
    assert (tmp_path / "served" / "reviews" / "1" / "saved_model.pb").is_file()
    assert differences(tmp_path / run, whole.folder) == []


# What is refused, and what needs no training


def refused(folder, **more) -> str:
    with pytest.raises(kerasft.KerasftError) as error:
        resume(folder, **more)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def left(whole, tmp_path) -> Path:
    """A run that was left in the middle."""
    return left_by_kill(whole, 15, tmp_path)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_changed_data_are_refused(left, tmp_path):
    before = content(left)
    for rows in (toy_rows(61), [*toy_rows(59), {"text": "another row", "label": "positive"}]):
        found = refused(left, data=str(write_csv(tmp_path / "other.csv", rows)))
        assert "rows have changed since it began" in found
        assert str(left) in found
    assert content(left) == before


def test_changed_eval_data_are_refused(left, tmp_path):
    rows = write_csv(tmp_path / "eval.csv", toy_rows(20, seed=3))
    assert "rows have changed since it began" in refused(left, eval_data=str(rows))


def test_a_file_that_has_gone_is_named(left, small):
    path = left / "run.json"
    path.write_text(path.read_text().replace(str(small.data), "/nowhere/rows.csv"))
    assert "/nowhere/rows.csv" in refused(left)


ONLY_NEW = {"task": "sentiment", "seed": 0, "backbone": "minilm", "recipe": {}, "output": "x", "on_bad_row": "skip"}


@pytest.mark.parametrize("name", ONLY_NEW)
def test_what_only_a_new_run_takes_is_refused(left, name):
    assert f"keeps its own {name}" in refused(left, **{name: ONLY_NEW[name]})


@pytest.mark.parametrize("key", ["learning_rate", "phases", "batch_size", "max_length", "batchsize"])
def test_settings_that_change_what_is_learnt_are_refused(left, key):
    found = refused(left, **{key: 1})
    assert f"'{key}'" in found
    assert "devices" in found


def test_a_setting_of_the_machine_is_checked(left):
    assert "'keep'" in refused(left, keep=0)


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert "is not a run of kerasft" in refused(tmp_path)
    assert "is not there" in refused(tmp_path / "nowhere")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_a_finished_run_is_given_back_as_it_is(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")}
    lines = []
    run = kerasft.fit(resume=whole.folder, report=lines.append)
    assert lines == [f"Run {whole.folder} has finished its training."]
    assert run.metrics["metrics"]["rows"] > 0
    assert {path: path.stat().st_mtime_ns for path in whole.folder.rglob("*")} == before


def test_rows_from_memory_have_to_be_passed_again(small, tmp_path):
    rows, held_out = toy_rows(40), toy_rows(10, seed=1)
    given = {"phases": ONE_PHASE, "report": lambda line: None}
    small.fit(tmp_path / "whole", data=rows, eval_data=held_out, **given)
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="mine"):
        small.fit(folder, data=rows, eval_data=held_out, callbacks=[breaker(6, RuntimeError("mine"))], **given)
    assert "data from memory" in refused(folder)
    assert "eval_data from memory" in refused(folder, data=rows)
    assert "rows have changed" in refused(folder, data=toy_rows(40, seed=2), eval_data=held_out)
    resume(folder, data=rows, eval_data=held_out)
    assert differences(folder, tmp_path / "whole") == []
    # It has finished: now it needs no rows.
    assert resume(folder) == [f"Run {folder} has finished its training."]


def test_what_is_kept_while_it_goes(small, tmp_path):
    """`keep` of the recipe, or of the command that goes on."""
    folder = tmp_path / "run"
    calls = [recorder(folder, tmp_path, {6}), breaker(6, RuntimeError("mine"))]
    with pytest.raises(RuntimeError, match="mine"):
        small.fit(folder, phases=ONE_PHASE, save_steps=1, keep=3, callbacks=calls)
    kept = [path.name for path in sorted((tmp_path / "6" / "checkpoints").glob("[0-9]*"))]
    assert kept == ["00000004-1-0", "00000005-1-0", "00000006-1-0"]
    with pytest.raises(RuntimeError, match="mine"):
        kerasft.fit(resume=folder, keep=1, save_steps=2, callbacks=[breaker(4, RuntimeError("mine"))], report=print)
    assert [path.name for path in (folder / "checkpoints").glob("[0-9]*")] == ["00000010-1-1"]
