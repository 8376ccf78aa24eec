"""One small layer, gradients that are the same at each call, and the optimizer that a recipe asks for."""

import numpy as np

from kerasft.training.optimizer import make_optimizer
from kerasft.training.recipe import Phase, make_recipe

NAMES = ["adamw", "adam", "adafactor", "lion", "sgd", "adadelta"]


def layer():
    """Two numbers to three, with the same weights at each call."""
    import keras

    dense = keras.layers.Dense(3, name="dense")
    dense.build((None, 2))
    dense.kernel.assign(np.linspace(-1, 1, 6).reshape(2, 3))
    dense.bias.assign([0.5, -0.5, 1.0])
    return dense


def make(weights, depth=0, peak=0.1, steps=10, phase_decay=None, **settings):
    """The optimizer of one phase, all weights at one depth; no warm-up, decay or schedule unless asked for."""
    settings = {"warmup": 0.0, "schedule": "constant", "weight_decay": 0.0, "layer_decay": 1.0, **settings}
    learning = make_recipe({"task": "sentiment", **settings}).learning
    phase = Phase(unfrozen="all", epochs=1, learning_rate=peak, layer_decay=phase_decay)
    return make_optimizer(learning, phase, steps, {weight.path: depth for weight in weights})


def gradients(step, weights):
    """The gradients of a step: no two steps have the same."""
    return [np.cos(step + np.arange(weight.numpy().size)).reshape(weight.shape).astype("float32") for weight in weights]


def train(optimizer, weights, steps=3):
    """Applies the same gradients as every other call does; returns the weights after each update."""
    history = []
    for step in range(steps):
        optimizer.apply(gradients(step, weights), weights)
        history.append([weight.numpy() for weight in weights])
    return history


def assert_same(left, right, rtol=1e-5):
    for ours, theirs in zip(left, right, strict=True):
        for our, their in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(our, their, rtol=rtol, atol=1e-7)
