"""The cache holds what the frozen part gives, to half precision, and nothing stale or half written."""

import dataclasses
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasft.backbones.load import load_backbone
from kerasft.data.pipeline import Encoded, token_batch
from kerasft.heads import pooled_head
from kerasft.network import Network, full_model, prefix_model, suffix_model
from kerasft.training import prefix_cache
from tests.toy_gpt2 import write_backbone

ROOT = Path(__file__).parents[2]


def random_rows(count: int = 75, segments: bool = True) -> Encoded:
    random = np.random.default_rng(3)
    lengths = random.integers(2, 12, count)
    tokens = int(lengths.sum())
    inputs = {"token_ids": random.integers(5, 30, tokens).astype(np.int32)}
    if segments:
        inputs["segment_ids"] = random.integers(0, 2, tokens).astype(np.int32)
    return Encoded(
        inputs=inputs,
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        uncut=lengths.astype(np.int32),
        padding={**dict.fromkeys(inputs, 0), "padding_mask": 0},
    )


def load(folder) -> Network:
    backbone = load_backbone(folder)
    return Network(backbone, pooled_head(backbone.hidden_size, 2))


@pytest.fixture(scope="module")
def encoded():
    return random_rows()


@pytest.fixture
def network(toy_backbone):
    return load(toy_backbone)


@pytest.fixture
def no_pass(monkeypatch):
    """Calling it forbids any further pass."""

    def forbid():
        monkeypatch.setattr(prefix_cache, "prefix_pass", lambda *_: pytest.fail("a pass was run again"))

    return forbid


def content(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_cached_batch_is_what_the_prefix_gives(family, toy_backbone, tmp_path):
    network = load(toy_backbone if family == "bert" else write_backbone(tmp_path / "gpt2"))
    encoded = random_rows(segments=family == "bert")
    boundaries = [0, 1, len(network.backbone.blocks)]
    ticks = []
    cache = prefix_cache.fill_cache(network, encoded, boundaries, tmp_path / "cache", ticks.append)
    assert sum(ticks) == len(encoded)
    rows = np.array([74, 3, 40, 0])
    tokens = token_batch(encoded, rows)
    states = prefix_model(network, boundaries).predict(tokens, verbose=0)
    real = tokens["padding_mask"].astype(bool)
    for boundary in boundaries:
        batch = cache.batch(boundary, rows)
        np.testing.assert_array_equal(batch["padding_mask"], tokens["padding_mask"])
        np.testing.assert_allclose(batch["hidden"][real], states[str(boundary)][real], rtol=1e-3, atol=1e-5)
        assert not batch["hidden"][~real].any()
        # What trains on them computes what the whole model computes with its lower part frozen.
        suffix = suffix_model(network, boundary)(batch, training=False)
        whole = full_model(network, frozen_below=boundary)(tokens, training=False)
        np.testing.assert_allclose(suffix, whole, atol=2e-3)


def test_the_size_is_known_before_it_is_written(network, encoded, tmp_path):
    search = prefix_cache.search_cache(network, encoded, [2, 4], [tmp_path / "cache"])
    prefix_cache.fill_cache(network, encoded, [2, 4], tmp_path / "cache", search=search)
    written = sum(path.stat().st_size for path in (tmp_path / "cache").glob("*.f16"))
    assert written == search.needed_bytes == prefix_cache.cache_bytes([encoded], [2, 4], 16)
    again = prefix_cache.search_cache(network, encoded, [2, 3, 4], [tmp_path / "cache"])
    assert again.missing == (3,)
    assert again.needed_bytes == written // 2


def test_it_is_declined_in_one_sentence_when_disk_or_allowance_is_short(tmp_path):
    folder = tmp_path / "not" / "yet"
    assert prefix_cache.decline_reason(folder, 1000) is None
    assert prefix_cache.decline_reason(folder, 1000, cache_gb=1e-6) is None
    assert "would take 0.20 GB and cache_gb allows 0.1" in prefix_cache.decline_reason(folder, 2 * 10**8, cache_gb=0.1)
    assert "1000000000.00 GB and the disk has" in prefix_cache.decline_reason(folder, 10**18)
    # Nothing left to write needs no room.
    assert prefix_cache.decline_reason(folder, 0, cache_gb=0) is None


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


def test_the_key_tells_all_that_the_states_depend_on(network, encoded):
    def keys(rows=encoded):
        return prefix_cache.search_cache(network, rows, [0, 2, 4]).keys

    before = keys()
    assert len(set(before.values())) == 3
    block = network.backbone.blocks[2]
    block.trainable = False
    network.backbone.blocks[3].trainable = True
    assert keys() == before
    weight = block.weights[0]
    weight.assign(weight + 1e-6)
    # Block 2 is below boundary 4 alone.
    assert [keys()[b] == before[b] for b in (0, 2, 4)] == [True, True, False]
    embedding = network.backbone.bottom[0].weights[0]
    embedding.assign(embedding * 1.001)
    assert not set(keys().values()) & set(before.values())

    now = keys()
    others = [
        dataclasses.replace(encoded, padding={**encoded.padding, "token_ids": 1}),
        dataclasses.replace(encoded, starts=np.sort(np.append(encoded.starts, 1))),
        dataclasses.replace(encoded, inputs={**encoded.inputs, "token_ids": np.flip(encoded.inputs["token_ids"])}),
        dataclasses.replace(encoded, inputs=dict(zip(encoded.inputs, reversed(encoded.inputs.values()), strict=True))),
    ]
    assert all(keys(other)[0] != now[0] for other in others)


def test_a_layers_settings_count_and_a_second_load_has_the_same_key(toy_backbone, encoded):
    first, second = load(toy_backbone), load(toy_backbone)
    keys = [prefix_cache.search_cache(network, encoded, [0, 1]).keys for network in (first, second)]
    assert keys[0] == keys[1]
    layer = second.backbone.bottom[-1]
    assert "norm" in layer.name
    layer.epsilon = 0.5
    assert prefix_cache.search_cache(second, encoded, [0]).keys[0] != keys[0][0]


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
def test_what_is_not_whole_is_removed_and_made_anew(network, encoded, tmp_path, spoil):
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


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_states_beyond_half_precision_are_clipped_and_never_infinite(policy, toy_backbone, encoded, tmp_path):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = load(toy_backbone)
        [weight for weight in network.backbone.blocks[0].weights if "gamma" in weight.path][-1].assign([1e6] * 16)
        cache = prefix_cache.fill_cache(network, encoded, [1], tmp_path)
    finally:
        keras.config.set_dtype_policy(before)
    states = cache.batch(1, np.arange(75))["hidden"]
    assert np.abs(states).max() == np.finfo(np.float16).max


def test_bfloat16_states_are_kept_to_the_last_bit(toy_backbone, encoded, tmp_path):
    import keras

    before = keras.config.dtype_policy()
    keys = prefix_cache.search_cache(load(toy_backbone), encoded, [2]).keys
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = load(toy_backbone)
        cache = prefix_cache.fill_cache(network, encoded, [2], tmp_path)
        assert prefix_cache.search_cache(network, encoded, [2]).keys != keys
        # All rows, so that the batch is the one of the pass: bfloat16 is too coarse to compare across shapes.
        rows = np.argsort(-encoded.lengths, kind="stable")
        tokens = token_batch(encoded, rows)
        states = prefix_model(network, [2])(tokens, training=False)["2"].numpy().astype(np.float32)
    finally:
        keras.config.set_dtype_policy(before)
    real = tokens["padding_mask"].astype(bool)
    found = cache.batch(2, rows)["hidden"].astype(np.float32)[real]
    large = np.abs(states[real]) > 1e-4
    np.testing.assert_array_equal(found[large], states[real][large])


TWO_DEVICES = """
import os, signal, sys
from pathlib import Path
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from kerasft.training import prefix_pass
from kerasft.training.prefix_cache import fill_cache
from tests.training.test_prefix_cache import load, random_rows

prefix_pass._BATCH_ROWS = 10
backbone, folder, rows = Path(sys.argv[1]), Path(sys.argv[2]), random_rows(85)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    network = load(backbone)
    fill_cache(network, rows, [3], folder)
    done = []
    fill_cache(network, rows, [1, 3, 4], folder, lambda n: done.append(n) or len(done) == 4 and os.kill(os.getpid(), 9))
"""


def test_replicas_share_the_pass_and_kill_9_in_it_costs_only_what_was_not_whole(toy_backbone, tmp_path):
    killed = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(toy_backbone), str(tmp_path / "cache")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    network, encoded = load(toy_backbone), random_rows(85)
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
