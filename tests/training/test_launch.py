"""`kerasft launch`: workers of one run on this machine."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from kerasft.errors import KerasftError
from kerasft.training.cluster import find_cluster
from kerasft.training.launch import check_command, deal_gpus, free_ports, launch

PROLOGUE = "import json, os, signal, sys, time; n = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"


def script(text):
    """A program in the place of kerasft; "fit" is its first argument."""
    return (sys.executable, "-c", PROLOGUE + text)


def test_each_worker_learns_its_place_and_its_lines_are_marked(capfd):
    text = "print(os.environ['TF_CONFIG']); print('to err', *sys.argv[1:], file=sys.stderr)"
    assert launch(["fit", "--task", "x"], 2, program=script(text)) == 0
    out, err = capfd.readouterr()
    assert sorted(err.splitlines()) == ["[0] to err fit --task x", "[1] to err fit --task x"]
    lines = dict(line.split(" ", 1) for line in out.splitlines())
    first, second = (find_cluster({"TF_CONFIG": lines[mark]}) for mark in ("[0]", "[1]"))
    assert (first.index, second.index) == (0, 1)
    assert first.workers == second.workers
    assert len(set(first.workers)) == 2


def test_one_worker(capfd):
    assert launch(["fit"], 1, program=script("print('alone')")) == 0
    assert capfd.readouterr().out == "[0] alone\n"


def test_lines_come_while_the_workers_run(tmp_path, capfd):
    seen = tmp_path / "seen"
    text = (
        f"print('first')\nwhile not os.path.exists({str(seen)!r}): time.sleep(0.05)\nsys.stdout.write('no end of line')"
    )
    found = []
    runner = threading.Thread(target=lambda: found.append(launch(["fit"], 1, program=script(text))))
    runner.start()
    out, deadline = "", time.monotonic() + 20
    while "first" not in out and time.monotonic() < deadline:
        out += capfd.readouterr().out
        time.sleep(0.05)
    seen.touch()
    runner.join(20)
    assert out + capfd.readouterr().out == "[0] first\n[0] no end of line\n"
    assert found == [0]


def test_bytes_that_are_no_text_do_not_stop_the_lines(capfd):
    assert launch(["fit"], 1, program=script(r"sys.stdout.buffer.write(b'caf\xe9\nnext\n')")) == 0
    assert capfd.readouterr().out.splitlines() == ["[0] caf\\xe9", "[0] next"]


def test_the_first_failure_gives_the_status_and_the_others_end(capfd):
    began = time.monotonic()
    text = "time.sleep(0.2)\nif n == 1: sys.exit(7)\ntime.sleep(600)"
    assert launch(["fit"], 3, grace=0.5, program=script(text)) == 7
    assert time.monotonic() - began < 20
    assert "Worker 1 ended with status 7; the others get 0.5 s to end." in capfd.readouterr().err


def test_the_others_may_end_by_themselves(capfd):
    text = "if n == 1: sys.exit(7)\ntime.sleep(0.5); print('ended well'); sys.exit(2)"
    assert launch(["fit"], 2, grace=30, program=script(text)) == 7
    assert "[0] ended well" in capfd.readouterr().out


def test_a_killed_worker_counts_as_128_and_the_signal(capfd):
    assert (
        launch(["fit"], 2, grace=0.1, program=script("os.kill(os.getpid(), 9) if n == 0 else time.sleep(600)")) == 137
    )
    assert "Worker 0 was killed by SIGKILL" in capfd.readouterr().err


def test_a_worker_that_ends_well_leaves_the_others_alone():
    assert launch(["fit"], 2, grace=0.1, program=script("time.sleep(0.8 * n)")) == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_reach_every_worker(number, status):
    worker = (
        PROLOGUE + f"signal.signal({int(number)}, lambda *a: (print('stopping', flush=True), sys.exit({status})))\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    code = (
        "import sys; from kerasft.training.launch import launch; "
        f"sys.exit(launch(['fit'], 2, program=(sys.executable, '-c', {worker!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as launcher:
        assert {launcher.stdout.readline() for _ in range(2)} == {"[0] ready\n", "[1] ready\n"}
        launcher.send_signal(number)
        assert set(launcher.stdout) == {"[0] stopping\n", "[1] stopping\n"}
    assert launcher.returncode == status


def test_the_workers_can_meet_on_their_ports(capfd):
    text = """
from kerasft.training.reachable import check_reachable
check_reachable(json.loads(os.environ['TF_CONFIG'])['cluster']['worker'], n, 30)
print('met')
"""
    assert launch(["fit"], 3, program=script(text)) == 0
    assert sorted(capfd.readouterr().out.splitlines()) == ["[0] met", "[1] met", "[2] met"]


def test_free_ports_are_free_and_all_different(monkeypatch):
    ports = free_ports(3)
    assert len(set(ports)) == 3
    monkeypatch.setattr("kerasft.training.launch._PORTS", range(ports[0], ports[0] + 1))
    with socket.create_server(("127.0.0.1", ports[0])), pytest.raises(KerasftError, match="found 0"):
        free_ports(1)
    assert free_ports(1) == ports[:1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a command after --"),
        (["predict", "x"], "expected fit after --, found 'predict'"),
        (["--task", "sentiment"], r"`kerasft launch -n 2 -- fit --task sentiment`"),
    ],
)
def test_what_cannot_be_launched_is_one_line(arguments, message):
    with pytest.raises(KerasftError, match=message):
        check_command(arguments)


def test_gpus_are_dealt_out(tmp_path):
    def shares(workers, visible=None):
        dealt = deal_gpus(workers, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}, str(tmp_path / "gpus"))
        return [share["CUDA_VISIBLE_DEVICES"] for share in dealt]

    assert shares(2) == shares(2, "") == shares(2, "-1") == shares(1, "0,1") == []
    assert shares(2, "3,1,2") == ["3,2", "1"]
    assert shares(2, "0") == ["", ""]
    for name in ("a", "b"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert shares(2) == ["0", "1"]


def command_line(*arguments):
    """Runs the command as it will be run; the tests do not depend on the table of commands."""
    code = "from kerasft.cli import COMMANDS, main; COMMANDS.setdefault('launch', ''); main()"
    return subprocess.run(
        [sys.executable, "-c", code, "launch", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        timeout=60,
    )


def test_the_two_dashes_may_be_forgotten_and_a_workers_status_is_ours():
    for dashes in (["--"], []):
        done = command_line("-n", "2", *dashes, "fit", "--nonsense")
        assert done.returncode == 2
        assert "[0] Error: No such option" in done.stderr
        assert "[1] Error: No such option" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "-n", "2"], "put it before the command"),
        (["-n", "2", "--task", "sentiment"], "kerasft launch -n 2 -- fit --task sentiment"),
        (["-n", "0", "--", "fit"], "0 is not in the range"),
        (["-n", "2"], "expected a command after --"),
    ],
)
def test_usage_errors_are_one_line(arguments, message):
    done = command_line(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
