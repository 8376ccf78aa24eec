"""The optimizer's promises: rates by depth, decay that spares biases, warm-up, linear decay to nothing."""

import itertools

import numpy as np
import pytest

from kerasft.training.optimizer import make_optimizer
from kerasft.training.recipe import Phase, make_recipe

PHASE = Phase(unfrozen="all", epochs=1, learning_rate=0.1)


def layer():
    import keras

    dense = keras.layers.Dense(3, name="dense")
    dense.build((None, 2))
    return dense


def make(steps=10, depths=None, **settings):
    recipe = make_recipe({"task": "sentiment", "warmup": 0.2, "weight_decay": 0.0, **settings})
    return make_optimizer(recipe, PHASE, steps, depths)


def test_the_rate_rises_then_falls_and_never_is_zero():
    rate = make(steps=10, depths={}).learning_rate
    schedule = make(steps=10, depths={})._learning_rate
    rates = [float(schedule(step)) for step in range(10)]
    assert rates[1] == pytest.approx(0.1)
    assert rates[0] == pytest.approx(0.05)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[1:]))
    assert rates[-1] > 0
    assert float(rate) == pytest.approx(0.05)


def test_a_deeper_layer_moves_less_by_the_layer_decay():
    top, deep = layer(), layer()
    depths = {top.kernel.path: 0, deep.kernel.path: 0}
    moves = []
    for depth in (0, 2):
        dense = layer()
        before = dense.kernel.numpy()
        depths = {weight.path: depth for weight in dense.weights}
        optimizer = make(depths=depths, layer_decay=0.5)
        optimizer.apply([np.ones((2, 3), np.float32), np.ones(3, np.float32)], dense.trainable_variables)
        moves.append(np.abs(dense.kernel.numpy() - before).mean())
    assert moves[1] == pytest.approx(moves[0] / 4, rel=1e-5)


def test_weight_decay_shrinks_kernels_and_spares_biases():
    dense = layer()
    dense.kernel.assign(np.ones((2, 3)))
    dense.bias.assign(np.ones(3))
    optimizer = make(depths={weight.path: 0 for weight in dense.weights}, weight_decay=0.5)
    optimizer.apply([np.zeros((2, 3), np.float32), np.zeros(3, np.float32)], dense.trainable_variables)
    np.testing.assert_allclose(dense.kernel.numpy(), 1 - 0.05 * 0.5, rtol=1e-6)
    np.testing.assert_array_equal(dense.bias.numpy(), 1)


def test_the_attentions_biases_are_matrices_and_do_not_decay_either():
    import keras

    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3, name="attention")
    attention.build((None, None, 4), (None, None, 4))
    weights = [weight for weight in attention.trainable_variables if weight.path.endswith("bias")]
    assert any(len(weight.shape) == 2 for weight in weights)
    for weight in weights:
        weight.assign(np.ones(weight.shape))
    optimizer = make(depths={weight.path: 0 for weight in weights}, weight_decay=0.5)
    optimizer.apply([np.zeros(weight.shape, np.float32) for weight in weights], weights)
    for weight in weights:
        np.testing.assert_array_equal(weight.numpy(), 1)
