"""`kerasft bench serve` as a user meets it: tables, JSON, a picture, Ctrl-C, mistakes."""

import importlib.util
import json
import os
import signal
import threading

import pytest

from kerasft import cli
from tests.serving.load_stand_in import listening
from tests.serving.running import free_ports

QUICK = ("--seconds", 0.3, "--warm-up", 0)


def run(capsys, *arguments):
    """Runs the command; gives status, standard output, standard error."""
    capsys.readouterr()
    try:
        cli.main(["bench", "serve", *map(str, arguments)])
        status = 0
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def test_the_table(capsys):
    with listening(delay=0.01) as stand_in:
        status, out, err = run(capsys, stand_in.target, "--model", "m", "--rate", 50, *QUICK)
    assert status == 0
    assert "m, version 7, over gRPC: 50 requests a second, each when it is due, for 0.3 s" in err
    assert "answered   15:" in out
    assert "a second of 50 due" in out
    header = next(line.split() for line in out.splitlines() if "p99.9" in line)
    assert header == ["mean", "p50", "p90", "p95", "p99", "p99.9", "max"]
    assert "Latency counts from when a request was due." in out
    assert "Closed loop" not in out


def test_errors_in_the_table_and_in_the_status(capsys):
    with listening(fails=lambda number: number % 2 == 1) as stand_in:
        arguments = (stand_in.rest, "--model", "m", "--concurrency", 2, "--requests", 20, "--warm-up", 0)
        status, out, _ = run(capsys, *arguments)
        assert status == 0
        assert "Closed loop" in out
        row = next(line.strip().split(maxsplit=2) for line in out.splitlines() if line.strip().startswith("503"))
        assert row == ["503", "10", "The queue is full"]
    with listening(fails=lambda number: True) as stand_in:
        status, out, _ = run(capsys, stand_in.rest, "--model", "m", "--concurrency", 1, "--requests", 5)
        assert status == 1
        assert "answered   0:" in out


def test_json(capsys, tmp_path):
    with listening() as stand_in:
        arguments = (f"{stand_in.rest}/v1/models/m:predict", "--rate", 50, "--rows", 3, *QUICK)
        status, out, err = run(capsys, *arguments, "--json", "-")
        printed = json.loads(out)
        assert (status, printed["rows_per_request"], printed["model"], printed["loop"]) == (0, 3, "m", "open")
        assert printed["latency"]["p50"] <= printed["latency"]["p99"] <= printed["latency"]["max"]
        assert "version 7" in err
        status, out, _ = run(capsys, *arguments, "--json", tmp_path / "figures.json")
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written.keys() == printed.keys()
    assert "answered" in out
    assert "rows" in out


def test_plot(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    with listening(fails=lambda number: number % 3 == 1, hangs=lambda number: number == 6) as stand_in:
        arguments = (stand_in.target, "--model", "m", "--rate", 50, "--deadline", 0.2, *QUICK)
        for name, head in (("latency.png", b"\x89PNG"), ("latency.svg", b"<?xml")):
            assert run(capsys, *arguments, "--plot", tmp_path / name)[0] == 0
            assert (tmp_path / name).read_bytes().startswith(head)
    assert "over gRPC: 50 requests a second" in (tmp_path / "latency.svg").read_text()


def test_no_matplotlib_is_said_before_the_load(capsys, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    with listening() as stand_in:
        arguments = (stand_in.target, "--model", "m", "--rate", 5, "--plot", tmp_path / "latency.png")
        status, _, err = run(capsys, *arguments)
        assert stand_in.payloads == []
    assert (status, err.count("\n")) == (2, 1)
    assert "pip install 'kerasft[report]'" in err


def test_ctrl_c_ends_it_and_still_reports(capsys, tmp_path):
    with listening(delay=0.05) as stand_in:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        arguments = (stand_in.target, "--model", "m", "--rate", 100, "--seconds", 60, "--warm-up", 0)
        status, out, _ = run(capsys, *arguments, "--json", tmp_path / "figures.json")
    assert status == 130
    assert "(stopped)" in out
    assert "p99" in out
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["stopped"] is True
    assert 0 < found["answered"] < 200
    assert 0 < found["unfinished"] < 20
    # The next Ctrl-C does again what it always does.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


MISTAKES = {
    "no endpoint": ([], "Missing argument 'ENDPOINT'"),
    "no port": (["localhost", "--model", "m", "--rate", 1], "Expected HOST:PORT"),
    "no model": (["localhost:1", "--rate", 1], "Which model"),
    "no load": (["localhost:1", "--model", "m"], "Expected --rate"),
    "two loads": (["localhost:1", "--model", "m", "--rate", 1, "--concurrency", 1], "Leave out one"),
    "no rate": (["localhost:1", "--model", "m", "--rate", "fast"], "--rate"),
    "rate of nothing": (["localhost:1", "--model", "m", "--rate", 0], "--rate must be a number above 0"),
    "unknown flag": (["localhost:1", "--model", "m", "--rat", 1], "--rate"),
    "unknown body": (["http://localhost:1", "--model", "m", "--rate", 1, "--body", "rows"], "--body"),
    "no certificates": (["localhost:1", "--model", "m", "--rate", 1, "--ca", "nowhere.pem"], "nowhere.pem"),
    "unknown picture": (["localhost:1", "--model", "m", "--rate", 1, "--plot", "a.gif"], ".png, .svg, .pdf"),
    "nobody there": (["{gone}", "--model", "m", "--rate", 1], "No gRPC server answers at"),
    "nobody there over REST": (["http://{gone}", "--model", "m", "--rate", 1], "No REST server answers at"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_line_and_status_two(capsys, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    arguments, expected = MISTAKES[what]
    gone = f"127.0.0.1:{free_ports()[0]}"
    status, out, err = run(capsys, *(str(argument).format(gone=gone) for argument in arguments))
    assert status == 2
    assert err.count("\n") == 1
    assert err.startswith("Error: ")
    assert expected in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []
