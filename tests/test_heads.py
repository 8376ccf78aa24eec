"""Pooling looks at real tokens only, and a batch of none is fine."""

import numpy as np
import pytest

from kerasft.heads import pooled_head

HIDDEN = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)


def run(pooling, hidden=HIDDEN, mask=MASK):
    import keras

    keras.utils.set_random_seed(0)
    return pooled_head(4, 3, pooling).predict({"hidden": hidden, "padding_mask": mask}, verbose=0)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_padding_changes_nothing(pooling):
    other = HIDDEN.copy()
    other[0, 3:] = 1e6
    np.testing.assert_allclose(run(pooling), run(pooling, other), rtol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "pooled"), [("mean", HIDDEN[0, :3].mean(0)), ("cls", HIDDEN[0, 0]), ("last", HIDDEN[0, 2])]
)
def test_what_is_pooled(pooling, pooled):
    alone = run(pooling, pooled[None, None], np.ones((1, 1), np.int32))
    np.testing.assert_allclose(run(pooling)[0], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_batch_of_no_rows(pooling):
    head = pooled_head(4, 3, pooling)
    assert head({"hidden": np.zeros((0, 2, 4), np.float32), "padding_mask": np.zeros((0, 2), np.int32)}).shape == (0, 3)
