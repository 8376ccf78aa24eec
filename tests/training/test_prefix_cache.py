"""The cache holds what the frozen part gives, to half precision, at the right rows."""

import numpy as np
import pytest

from kerasft.backbones.load import load_backbone
from kerasft.data.pipeline import Encoded, token_batch
from kerasft.heads import pooled_head
from kerasft.network import Network, prefix_model
from kerasft.training import prefix_cache


@pytest.fixture(scope="module")
def encoded():
    random = np.random.default_rng(3)
    lengths = random.integers(2, 12, 75)
    tokens = int(lengths.sum())
    return Encoded(
        inputs={
            "token_ids": random.integers(5, 30, tokens).astype(np.int32),
            "segment_ids": np.zeros(tokens, np.int32),
            "padding_mask": np.ones(tokens, np.int32),
        },
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        uncut=lengths.astype(np.int32),
        padding={"token_ids": 0, "segment_ids": 0, "padding_mask": 0},
    )


def test_a_cached_batch_is_what_the_prefix_gives(toy_backbone, encoded, tmp_path):
    backbone = load_backbone(toy_backbone)
    network = Network(backbone, pooled_head(backbone.hidden_size, 2))
    ticks = []
    cache = prefix_cache.fill_cache(network, encoded, [1, 4], tmp_path / "cache", ticks.append)
    assert sum(ticks) == len(encoded)
    rows = np.array([74, 3, 40, 0])
    tokens = token_batch(encoded, rows)
    states = prefix_model(network, [1, 4]).predict(tokens, verbose=0)
    real = tokens["padding_mask"].astype(bool)
    for boundary in (1, 4):
        batch = cache.batch(boundary, rows)
        np.testing.assert_array_equal(batch["padding_mask"], tokens["padding_mask"])
        np.testing.assert_allclose(batch["hidden"][real], states[str(boundary)][real], rtol=1e-3, atol=1e-3)
        assert not batch["hidden"][~real].any()


def test_the_size_is_known_before_it_is_written(toy_backbone, encoded, tmp_path):
    backbone = load_backbone(toy_backbone)
    network = Network(backbone, pooled_head(backbone.hidden_size, 2))
    prefix_cache.fill_cache(network, encoded, [2, 4], tmp_path / "cache")
    written = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert written == prefix_cache.cache_bytes([encoded], [2, 4], backbone.hidden_size)


def test_it_is_declined_when_the_disk_is_short(tmp_path):
    assert prefix_cache.has_room(tmp_path, 1000)
    assert not prefix_cache.has_room(tmp_path, 10**18)
