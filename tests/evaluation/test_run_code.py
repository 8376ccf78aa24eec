"""Generated programs: they pass, fail, run for ever, eat memory, ask for the network; and nothing of them stays."""

import json
import os
import sys
import tempfile
import time

import pytest

from kerasft.evaluation.run_code import pass_figures, run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no limits for processes")

ADD = "def add(a, b):\n    return a + b"
TEST = "assert add(1, 2) == 3"


def test_a_right_program_passes_and_a_wrong_one_does_not():
    assert run_program(ADD, TEST).verdict == "passed"
    wrong = run_program(ADD.replace("+", "-"), TEST)
    assert (wrong.verdict, wrong.reason) == ("failed", "AssertionError")
    assert run_program("def add(a, b:", TEST).reason.startswith("SyntaxError")
    assert "add" in run_program("", TEST).reason


@pytest.mark.parametrize("early", ["import sys\nsys.exit(0)", "import os\nos._exit(0)", "raise SystemExit"])
def test_an_end_before_the_tests_is_no_pass(early):
    found = run_program(f"{ADD}\n{early}", "assert False")
    assert (found.verdict, found.reason) == ("failed", "it ended before its last test")


@pytest.mark.parametrize("program", ["while True: pass", "import time\ntime.sleep(60)"])
def test_a_program_that_does_not_end(program):
    start = time.perf_counter()
    assert run_program(program, "", seconds=1).verdict == "timed out"
    assert time.perf_counter() - start < 30


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not limit a process's memory")
def test_memory_is_limited():
    found = run_program("x = bytearray(400 << 20)", "", megabytes=200)
    assert (found.verdict, found.reason) == ("failed", "MemoryError")
    assert run_program("x = bytearray(100 << 20)", "", megabytes=400).verdict == "passed"


def test_files_are_limited_and_do_not_stay():
    before = set(os.listdir(tempfile.gettempdir()))
    found = run_program("open('big', 'wb').write(bytes(64 << 20))", "")
    assert found.verdict == "failed"
    assert run_program("open('small', 'w').write('a')\nassert open('small').read() == 'a'", "").verdict == "passed"
    left = set(os.listdir(tempfile.gettempdir())) - before
    assert not [name for name in left if name.startswith("kerasft-program-")]


def test_much_output_does_not_fill_the_memory_or_hang():
    assert run_program("while True: print('x' * 65536)", "", seconds=1).verdict == "timed out"
    assert run_program("print('x' * 100_000)", "").verdict == "passed"


def test_what_it_starts_ends_with_it(tmp_path):
    mark = tmp_path / "mark"
    program = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(2)
    open({str(mark)!r}, "w").close()
"""
    found = run_program(program, "")
    time.sleep(3)
    # Where the system gives no world of its own, a process that leaves its session is out of reach.
    if found.is_alone:
        assert not mark.exists()


def test_the_network_is_out_of_reach():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = run_program(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2)", "")
    if not found.is_alone:
        pytest.skip("this system gives a process no network of its own")
    assert found.verdict == "failed"


def test_the_environment_and_the_callers_modules_are_not_there(monkeypatch):
    monkeypatch.setenv("KERASFT_SECRET", "x")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    program = (
        "import os, sys\nassert 'KERASFT_SECRET' not in os.environ\nassert sys.flags.isolated\nassert not sys.argv[1:]"
    )
    assert run_program(program, "assert os.listdir('.')").verdict == "passed"


def test_odd_sources():
    assert run_program("x = 'é\ud800'", "").verdict == "passed"
    assert run_program("\x01", "").verdict == "failed"
    assert run_program("def open(*a): pass\nos = None", "").verdict == "passed"
    assert run_program("", "").verdict == "passed"


def test_figures():
    programs = [ADD, ADD.replace("+", "-"), "while True: pass"]
    found = pass_figures(programs, [TEST] * 3, seconds=3, workers=2)
    assert found["pass_at_1"] == pytest.approx(1 / 3)
    assert (found["failed"], found["timed_out"], found["rows"]) == (1, 1, 3)
    json.dumps(found)
