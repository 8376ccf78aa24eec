"""A cache is filled once and used again, and whatever happens to it nothing stale or half written is read."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasft.training import prefix_cache
from tests.cached_rows import content, load, random_rows

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def encoded():
    return random_rows()


@pytest.fixture(scope="module")
def network(tall_backbone):
    return load(tall_backbone)


@pytest.fixture
def no_pass(monkeypatch):
    """Calling it forbids any further pass."""

    def forbid():
        monkeypatch.setattr(prefix_cache, "prefix_pass", lambda *_: pytest.fail("a pass was run again"))

    return forbid


def test_only_missing_boundaries_are_filled_and_whole_ones_used_again(network, encoded, tmp_path, no_pass, monkeypatch):
    first = prefix_cache.fill_cache(network, encoded, [1, 3], tmp_path)
    passes = []
    real = prefix_cache.prefix_pass
    monkeypatch.setattr(prefix_cache, "prefix_pass", lambda *given: passes.append(given[2]) or real(*given))
    second = prefix_cache.fill_cache(network, encoded, [0, 1, 3], tmp_path)
    assert passes == [[0]]
    no_pass()
    ticks = []
    third = prefix_cache.fill_cache(network, encoded, [0, 3], tmp_path, ticks.append)
    assert sum(ticks) == len(encoded)
    rows = np.arange(75)
    np.testing.assert_array_equal(first.batch(3, rows)["hidden"], third.batch(3, rows)["hidden"])
    np.testing.assert_array_equal(second.batch(0, rows)["hidden"], third.batch(0, rows)["hidden"])


def test_another_runs_cache_is_used_and_outlives_that_run(network, encoded, tmp_path, no_pass):
    made = prefix_cache.fill_cache(network, encoded, [2], tmp_path / "old")
    states = made.batch(2, np.arange(75))["hidden"]
    no_pass()
    others = [tmp_path / "missing", tmp_path / "old"]
    cache = prefix_cache.fill_cache(network, encoded, [2], tmp_path / "new", others=others)
    shutil.rmtree(tmp_path / "old")
    np.testing.assert_array_equal(cache.batch(2, np.arange(75))["hidden"], states)
    # It is the new run's own from now on.
    assert not prefix_cache.search_cache(network, encoded, [2], [tmp_path / "new"]).missing


def test_another_runs_cache_on_another_disk_is_read_where_it_is(network, encoded, tmp_path, no_pass, monkeypatch):
    prefix_cache.fill_cache(network, encoded, [2], tmp_path / "old")
    no_pass()

    def no_link(*_):
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", no_link)
    cache = prefix_cache.fill_cache(network, encoded, [2], tmp_path / "new", others=[tmp_path / "old"])
    assert cache.hidden[2].path.parent == tmp_path / "old"
    assert content(tmp_path / "new") == []


def test_another_run_that_is_removed_meanwhile_is_no_error(network, encoded, tmp_path, monkeypatch):
    prefix_cache.fill_cache(network, encoded, [2], tmp_path / "old")
    link = os.link

    def too_late(path, own):
        shutil.rmtree(tmp_path / "old")
        link(path, own)

    monkeypatch.setattr(os, "link", too_late)
    cache = prefix_cache.fill_cache(network, encoded, [2], tmp_path / "new", others=[tmp_path / "old"])
    assert cache.batch(2, np.arange(75))["hidden"].any()


@pytest.fixture(scope="module")
def filled(network, encoded, tmp_path_factory):
    """A whole cache of one boundary; to be copied before it is touched."""
    folder = tmp_path_factory.mktemp("filled")
    prefix_cache.fill_cache(network, encoded, [1], folder)
    return folder


def _cut(path):
    os.truncate(path, path.stat().st_size - 2)


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text('{"key": '),
        lambda path: path.with_suffix(".json").write_text('{"key": "0", "bytes": 1}'),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.unlink(),
    ],
    ids=["cut short", "no note", "half a note", "a note of something else", "no note at all", "no states"],
)
def test_what_is_not_whole_is_removed_and_made_anew(network, encoded, filled, tmp_path, spoil):
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    cache = prefix_cache.fill_cache(network, encoded, [1], tmp_path)
    good = cache.batch(1, np.arange(75))["hidden"]
    names = content(tmp_path)
    spoil(cache.hidden[1].path)
    (tmp_path / ".abc.1-def.f16").write_bytes(b"begun by a process that was killed")
    assert prefix_cache.search_cache(network, encoded, [1], [tmp_path]).missing == (1,)
    again = prefix_cache.fill_cache(network, encoded, [1], tmp_path)
    assert content(tmp_path) == names
    np.testing.assert_array_equal(again.batch(1, np.arange(75))["hidden"], good)


def test_an_interrupted_pass_leaves_nothing(network, encoded, tmp_path):
    def stop(rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prefix_cache.fill_cache(network, encoded, [1, 2], tmp_path, stop)
    assert content(tmp_path) == []


@pytest.mark.parametrize("reserved", [True, False])
def test_a_full_disk_is_an_error_that_leaves_nothing(network, encoded, tmp_path, monkeypatch, reserved):
    if not reserved:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            prefix_cache.fill_cache(network, encoded, [1], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert content(tmp_path) == []


TWO_DEVICES = """
import os, signal, sys
from pathlib import Path
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from kerasft.training import prefix_pass
from kerasft.training.prefix_cache import fill_cache
from tests.cached_rows import load, random_rows

prefix_pass._BATCH_ROWS = 10
backbone, folder, rows = Path(sys.argv[1]), Path(sys.argv[2]), random_rows(85)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    network = load(backbone)
    fill_cache(network, rows, [3], folder)
    done = []
    fill_cache(network, rows, [1, 3, 4], folder, lambda n: done.append(n) or len(done) == 4 and os.kill(os.getpid(), 9))
"""


def test_replicas_share_the_pass_and_kill_9_in_it_costs_only_what_was_not_whole(tall_backbone, tmp_path):
    killed = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(tall_backbone), str(tmp_path / "cache")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    network, encoded = load(tall_backbone), random_rows(85)
    search = prefix_cache.search_cache(network, encoded, [1, 3, 4], [tmp_path / "cache"])
    assert search.missing == (1, 4)
    assert len(content(tmp_path / "cache")) == 4  # the whole boundary with its note, two begun
    one_device = prefix_cache.fill_cache(network, encoded, [1, 3, 4], tmp_path / "one")
    cache = prefix_cache.fill_cache(network, encoded, [1, 3, 4], tmp_path / "cache")
    assert len(content(tmp_path / "cache")) == 6
    rows = np.arange(85)
    for boundary in (1, 3, 4):
        one, other = (found.batch(boundary, rows)["hidden"] for found in (one_device, cache))
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-5)
