import re

import pytest

from kerasft.training import progress
from kerasft.training.progress import Bar


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when told."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_log_file_gets_a_line_now_and_then(clock):
    lines = []
    with Bar("phase 2", 8000, live=False, epochs=2, report=lines.append) as bar:
        for _ in range(70):
            clock.now += 1
            bar.move(100, "loss 0.5000")
    assert len(lines) == 2
    assert lines[0] == (
        "  phase 2  epoch 1/2  3,000/8,000 rows (38%)  100 rows/s  loss 0.5000  epoch 0:10, all 0:50 left"
    )
    assert "epoch 2/2  6,000/8,000 rows (75%)" in lines[1]


def test_a_short_phase_says_nothing(clock):
    lines = []
    with Bar("phase 1", 800, live=False, report=lines.append) as bar:
        for _ in range(20):
            clock.now += 1
            bar.move(40)
    assert lines == []
    assert bar.rate == 40


def test_rows_of_an_earlier_session_are_done_but_not_in_the_rate(clock):
    lines = []
    with Bar("phase 1", 8000, live=False, start=4000, report=lines.append) as bar:
        for _ in range(30):
            clock.now += 1
            bar.move(100)
    assert "7,000/8,000 rows (88%)  100 rows/s  0:10 left" in lines[0]
    assert bar.rate == 100


def test_a_pause_slows_neither_rate_nor_time_left(clock):
    lines = []
    with Bar("phase 1", 8000, live=False, report=lines.append) as bar:
        for number in range(40):
            clock.now += 1
            bar.move(100)
            if number == 19:
                with bar.paused():
                    clock.now += 25
    assert bar.rate == 100
    assert "100 rows/s" in lines[0]


def test_the_time_left_forgets_a_slow_start(clock):
    lines = []
    with Bar("phase 1", 10_000, live=False, report=lines.append) as bar:
        clock.now += 10
        bar.move(100)
        for _ in range(30):
            clock.now += 1
            bar.move(100)
    clock.now += 30
    bar.move(100)
    assert "  100 rows/s" in lines[0]


def test_the_live_bar_shows_the_facts(clock, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Bar("phase 2", 800, live=True, start=400, epochs=2) as bar:
        clock.now += 1
        bar.move(100, "loss 0.5000")
        bar._progress.refresh()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    for fact in ("phase 2  epoch 2/2", "62%", "100 rows/s", "loss 0.5000", "0:03 / 0:03 left"):
        assert fact in shown
    assert max(len(line) for line in shown.replace("\r", "\n").splitlines()) <= 80


def test_no_live_bar_where_the_cursor_cannot_move(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert Bar("phase 1", 10)._progress is None


def test_no_rows_are_no_reason_to_fail(clock):
    with Bar("prefix cache", 0, live=True) as bar:
        bar.move(0)
