"""What keeps less for the backward pass gives the same values and gradients."""

import numpy as np
import pytest

from kerasft.backbones.load import load_backbone
from kerasft.heads import pooled_head
from kerasft.lean import dropout, gelu, layer_norm, make_lean
from kerasft.network import Network, full_model


def slopes(function, *arrays):
    """The function's value and the gradients of a weighted sum of it."""
    import tensorflow as tf

    inputs = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
        total = tf.reduce_sum(tf.cast(value, tf.float32) * tf.stop_gradient(tf.cos(tf.cast(inputs[0], tf.float32) * 3)))
    return [value, *tape.gradient(total, inputs)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gelu_is_the_stock_one(dtype):
    import tensorflow as tf

    values = tf.cast(np.linspace(-8, 8, 400, dtype=np.float32).reshape(4, 100), dtype)
    tolerance = 2e-6 if dtype == "float32" else 3e-2
    ours, stock = slopes(gelu, values), slopes(lambda x: tf.nn.gelu(x, approximate=True), values)
    for one, other in zip(ours, stock, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(np.float32(one), np.float32(other), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(5, 8), (2, 5, 8)])
def test_layer_norm_is_the_stock_one(shape):
    import keras

    random = np.random.default_rng(0)
    inputs = (random.normal(size=shape, loc=2, scale=3)).astype(np.float32)
    gamma, beta = random.normal(size=(2, 8)).astype(np.float32)
    ours = slopes(lambda *arrays: layer_norm(*arrays, 1e-12), inputs, gamma, beta)
    stock = slopes(lambda *arrays: keras.ops.layer_normalization(*arrays, epsilon=1e-12), inputs, gamma, beta)
    for one, other in zip(ours, stock, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def test_a_lean_backbone_is_the_same_model(toy_backbone):
    tokens = {
        "token_ids": np.arange(5, 29, dtype=np.int32).reshape(2, 12),
        "segment_ids": np.zeros((2, 12), np.int32),
        "padding_mask": np.ones((2, 12), np.int32),
    }
    backbone = load_backbone(toy_backbone)
    model = full_model(Network(backbone, pooled_head(backbone.hidden_size, 2)))
    before = model(tokens, training=False)
    paths = [weight.path for weight in model.weights]
    make_lean(backbone)
    touched = [layer for block in backbone.blocks for layer in block._flatten_layers() if "call" in vars(layer)]
    norms_and_dropouts = 2 + 3
    assert len(touched) == norms_and_dropouts * len(backbone.blocks)
    lean = full_model(Network(backbone, model.get_layer("head")))
    np.testing.assert_allclose(lean(tokens, training=False), before, atol=1e-6)
    assert [weight.path for weight in lean.weights] == paths


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_its_share_and_the_mean(dtype, rate):
    import tensorflow as tf

    values = tf.ones([37, 1_001], dtype)
    with tf.GradientTape() as tape:
        tape.watch(values)
        found = dropout(values, rate, [3, 4])
    slope = tape.gradient(found, values)
    assert found.dtype == dtype
    np.testing.assert_array_equal(np.float32(slope), np.float32(found))  # of ones: what each value is multiplied by
    kept = np.float32(found) != 0
    error = np.sqrt(rate * (1 - rate) / kept.size)
    assert abs(kept.mean() - (1 - rate)) < 4 * error
    np.testing.assert_allclose(np.float32(found)[kept], 1 / (1 - rate), rtol=1e-2 if dtype == "bfloat16" else 1e-4)
    # Neighbours, in both directions, are dropped independently of each other.
    for one, other in ((kept[:, :-1], kept[:, 1:]), (kept[:-1], kept[1:])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(one.size)


def test_dropout_follows_its_seed():
    values = np.ones((8, 33), np.float32)
    first = np.asarray(dropout(values, 0.1, [1, 2]))
    np.testing.assert_array_equal(dropout(values, 0.1, [1, 2]), first)
    assert (np.asarray(dropout(values, 0.1, [1, 3])) != first).any()


def test_a_lean_layer_draws_new_masks_and_rests_in_inference(toy_backbone):
    import keras

    backbone = load_backbone(toy_backbone)
    make_lean(backbone)
    (layer, *_) = [
        layer for part in backbone.blocks for layer in part._flatten_layers() if type(layer) is keras.layers.Dropout
    ]
    values = np.ones((8, 64), np.float32)
    first, second = (np.asarray(layer(values, training=True)) for _ in range(2))
    assert (first == 0).any()
    assert (first != second).any()
    np.testing.assert_array_equal(layer(values, training=False), values)
