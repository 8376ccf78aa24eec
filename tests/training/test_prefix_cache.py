"""The cache holds what the frozen part gives, to half precision, under a key that tells all that it depends on."""

import dataclasses

import numpy as np
import pytest

from kerasft.data.pipeline import token_batch
from kerasft.network import full_model, prefix_model, suffix_model
from kerasft.training import prefix_cache
from tests.cached_rows import load, random_rows


@pytest.fixture(scope="module")
def encoded():
    return random_rows()


@pytest.fixture
def network(tall_backbone):
    return load(tall_backbone)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_cached_batch_is_what_the_prefix_gives(family, tall_backbone, toy_gpt2, tmp_path):
    network = load(tall_backbone if family == "bert" else toy_gpt2)
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


def test_some_rows_at_a_boundary_take_the_room_of_some(network, encoded, tmp_path):
    some, ticks = np.array([1, 4, 40, 74]), []
    search = prefix_cache.search_cache(network, encoded, [1, 4], some={4: some})
    assert search.needed_bytes == 32 * (encoded.starts[-1] + encoded.lengths[some].sum())  # 16 numbers of 2 bytes
    cache = prefix_cache.fill_cache(network, encoded, [1, 4], tmp_path / "some", ticks.append, search=search)
    every = prefix_cache.fill_cache(network, encoded, [1, 4], tmp_path / "all")
    assert sum(ticks) == len(encoded)
    for boundary, rows in ((1, np.array([0, 4, 33])), (4, some[::-1])):
        expected = every.batch(boundary, rows)
        for name, values in cache.batch(boundary, rows).items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-3, atol=1e-5)
    # It is found again by those who want the same rows there, and by no others.
    again = [
        prefix_cache.search_cache(network, encoded, [1, 4], [tmp_path / "some"], some=other)
        for other in ({4: some}, {4: some[:3]}, {})
    ]
    assert [search.missing for search in again] == [(), (4,), (4,)]


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


def test_a_layers_settings_count_and_a_second_load_has_the_same_key(tall_backbone, encoded):
    first, second = load(tall_backbone), load(tall_backbone)
    keys = [prefix_cache.search_cache(network, encoded, [0, 1]).keys for network in (first, second)]
    assert keys[0] == keys[1]
    layer = second.backbone.bottom[-1]
    assert "norm" in layer.name
    layer.epsilon = 0.5
    assert prefix_cache.search_cache(second, encoded, [0]).keys[0] != keys[0][0]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_states_beyond_half_precision_are_clipped_and_never_infinite(policy, tall_backbone, encoded, tmp_path):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = load(tall_backbone)
        [weight for weight in network.backbone.blocks[0].weights if "gamma" in weight.path][-1].assign([1e6] * 16)
        cache = prefix_cache.fill_cache(network, encoded, [1], tmp_path)
    finally:
        keras.config.set_dtype_policy(before)
    states = cache.batch(1, np.arange(75))["hidden"]
    assert np.abs(states).max() == np.finfo(np.float16).max


def test_bfloat16_states_are_kept_to_the_last_bit(tall_backbone, encoded, tmp_path):
    import keras

    before = keras.config.dtype_policy()
    keys = prefix_cache.search_cache(load(tall_backbone), encoded, [2]).keys
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = load(tall_backbone)
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
