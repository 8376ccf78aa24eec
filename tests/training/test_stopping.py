"""Ctrl-C and SIGTERM: nothing is lost, the exit status says what happened, one line says how to go on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

import kerasft
from kerasft.training.stopping import Stopped, stoppable
from tests.run_results import differences
from tests.small_runs import PHASES

ROOT = Path(__file__).parents[2]
HINT = "Stopped. To go on: kerasft fit --resume {}"


def test_the_first_signal_is_noted_and_the_second_not_held_back(capfd):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stoppable() as stop:
        stop.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped) as stopped:
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stopped.value.exit_status == 143
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "checkpoint" in said
    assert "again" in said


def test_a_worker_that_does_not_speak_does_not_speak_here_either(capfd):
    with stoppable(speaks=False) as stop:
        signal.raise_signal(signal.SIGINT)
    assert stop.asked == signal.SIGINT
    assert capfd.readouterr().err == ""


def test_outside_the_main_thread_nothing_is_noted():
    found = []

    def work():
        with stoppable() as stop:
            found.append(stop.asked)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]
    assert signal.getsignal(signal.SIGINT) is before


def signaller(at: int, last_epoch: bool = False):
    """A Keras callback that sends Ctrl-C to its own process, after an update or while the last epoch is measured."""
    import keras

    class Signaller(keras.callbacks.Callback):
        updates = 0

        def on_train_batch_end(self, batch, logs=None):
            self.updates += 1
            if self.updates == at and not last_epoch:
                signal.raise_signal(signal.SIGINT)

        def on_epoch_end(self, epoch, logs=None):
            if last_epoch and self.updates == at:
                signal.raise_signal(signal.SIGINT)

    return Signaller()


def test_ctrl_c_in_a_script_raises_what_exits_with_130_and_keeps_the_last_update(small, tmp_path):
    """A user's callback is called when update 5 has been dealt with: 6 is the next."""
    folder, lines = tmp_path / "run", []
    with pytest.raises(Stopped) as stopped:
        small.fit(folder, phases=PHASES[:1], save_steps=100, callbacks=[signaller(5)], report=lines.append)
    assert stopped.value.exit_status == 130
    assert lines[-1] == HINT.format(folder)
    assert [path.name for path in (folder / "checkpoints").glob("[0-9]*")] == ["00000006-1-0"]


def test_ctrl_c_while_the_last_epoch_is_measured_is_not_lost(small, tmp_path):
    folder, lines = tmp_path / "run", []
    with pytest.raises(Stopped):
        small.fit(folder, phases=PHASES[:1], callbacks=[signaller(14, last_epoch=True)], report=lines.append)
    assert lines[-1] == HINT.format(folder)
    assert not (folder / "metrics.json").exists()
    lines.clear()
    run = kerasft.fit(resume=folder, report=lines.append)
    assert "Going on after 14 updates, in phase 1." in lines
    assert run.metrics["metrics"]["rows"] > 0


def start(*arguments, cwd: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "kerasft", "fit", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True)


def signalled(process: subprocess.Popen, answers: dict[str, signal.Signals]) -> list[str]:
    """Sends signals when lines of standard error begin with given words; gives all lines."""
    seen = []
    for line in filter(str.strip, process.stderr):
        seen.append(line.rstrip("\n"))
        for words, number in answers.items():
            if line.startswith(words):
                process.send_signal(number)
    process.wait(timeout=300)
    return seen


def test_sigterm_then_an_impatient_ctrl_c_then_the_rest(small, whole, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**small.settings, "task": "sentiment"}))
    where = ["--data", small.data, "--backbone", small.backbone, "--output", "run", "--recipe", "recipe.yaml"]

    process = start(*where, cwd=tmp_path)
    seen = signalled(process, {"Phase 2": signal.SIGTERM})
    assert process.returncode == 143, seen
    assert seen[-1] == HINT.format("run")
    assert [line for line in seen if line.startswith("Stopping")], seen
    assert "Traceback" not in "\n".join(seen)
    # One update of the second phase was done before it was looked at.
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("[0-9]*")] == ["00000015-2-0"]
    assert not (tmp_path / "saved_models").exists()

    process = start("--resume", "run", "--set", "save_steps=100", cwd=tmp_path)
    seen = signalled(process, {"Phase 2": signal.SIGINT, "Stopping": signal.SIGINT})
    assert process.returncode == 130, seen
    assert [line for line in seen if line.startswith("Going on after 15 updates")]
    assert seen[-2:] == [HINT.format("run"), "Interrupted."]
    assert "Traceback" not in "\n".join(seen)

    kerasft.fit(resume=tmp_path / "run", report=lambda line: None)
    assert differences(tmp_path / "run", whole.folder) == []
