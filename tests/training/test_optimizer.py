"""The optimizer's promises: Keras' formulas, rates by depth, decay that spares biases."""

import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.training.optimizer import make_optimizer
from kerasft.training.recipe import Phase, make_recipe
from tests.toy_optimizer import NAMES, assert_same, gradients, layer, make, train


def keras_own(name, rate, decay):
    import keras

    kinds = keras.optimizers
    decays = {"weight_decay": decay} if decay else {}
    return {
        "adamw": lambda: kinds.AdamW(rate, weight_decay=decay, epsilon=1e-8),
        "adam": lambda: kinds.Adam(rate, epsilon=1e-8),
        "lion": lambda: kinds.Lion(rate, **decays),
        "sgd": lambda: kinds.SGD(rate, momentum=0.9, nesterov=True, **decays),
        "adadelta": lambda: kinds.Adadelta(rate, **decays),
    }[name]()


@pytest.mark.parametrize("decay", [0.0, 0.2])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "adafactor"])
def test_without_layer_decay_it_is_keras_own(name, decay):
    weights, reference = layer().trainable_variables, layer().trainable_variables
    own = keras_own(name, 0.01, decay)
    own.exclude_from_weight_decay(var_names=["bias"])
    ours = make(weights, peak=0.01, optimizer=name, weight_decay=decay)
    assert_same(train(ours, weights), train(own, reference))


def test_adamw_is_the_papers_formula():
    weights = layer().trainable_variables
    value, first, second = [weight.numpy().astype("float64") for weight in weights], [0.0, 0.0], [0.0, 0.0]
    found = train(make(weights, weight_decay=0.2, schedule="linear"), weights)
    for step in range(3):
        rate = 0.1 * (10 - step) / 10
        for place, gradient in enumerate(gradients(step, weights)):
            first[place] = 0.9 * first[place] + 0.1 * gradient
            second[place] = 0.999 * second[place] + 0.001 * gradient**2
            mean, square = first[place] / (1 - 0.9 ** (step + 1)), second[place] / (1 - 0.999 ** (step + 1))
            decay = 0.2 if place == 0 else 0.0
            value[place] = value[place] - rate * (mean / (np.sqrt(square) + 1e-8) + decay * value[place])
            np.testing.assert_allclose(found[step][place], value[place], rtol=1e-4, atol=1e-6)


def test_adafactor_is_keras_own_but_for_the_size_of_the_weights():
    import keras

    # Weights with a root mean square of 1: Keras multiplies the rate by it before each update.
    weights, reference = ([keras.Variable(np.ones(shape), name="w") for shape in ((2, 3, 4), (4,))] for _ in range(2))
    ours, own = make(weights, peak=0.01, optimizer="adafactor"), keras.optimizers.Adafactor(0.01, relative_step=False)
    for step in range(3):
        moved = []
        for optimizer, of in ((ours, weights), (own, reference)):
            for weight in of:
                weight.assign(np.ones(weight.shape))
            optimizer.apply(gradients(step, of), of)
            moved.append([weight.numpy() for weight in of])
        assert_same(moved[:1], moved[1:])


def test_adafactor_keeps_rows_and_columns_only():
    import keras

    weight = keras.Variable(np.zeros((100, 50)), name="w")
    optimizer = make([weight], optimizer="adafactor")
    optimizer.build([weight])
    assert sum(state.numpy().size for state in optimizer.variables) == 100 + 50 + 1


@pytest.mark.parametrize("name", NAMES)
def test_a_deeper_layer_learns_as_if_its_rate_were_lower(name):
    deep, slow = layer().trainable_variables, layer().trainable_variables
    optimizer = make(deep, depth=2, peak=0.4, layer_decay=0.5, optimizer=name)
    assert_same(train(optimizer, deep), train(make(slow, peak=0.1, optimizer=name), slow))


def test_the_phases_layer_decay_wins_over_the_runs():
    deep, slow = layer().trainable_variables, layer().trainable_variables
    optimizer = make(deep, depth=1, peak=0.4, layer_decay=0.9, phase_decay=0.25)
    assert_same(train(optimizer, deep), train(make(slow, peak=0.1), slow))


def test_weights_of_different_depth_share_one_optimizer():
    import keras

    top, deep = (keras.Variable(np.zeros(2), name=name) for name in ("top", "deep"))
    learning = make_recipe({"task": "sentiment", "layer_decay": 0.5, "warmup": 0.0}).learning
    phase = Phase(unfrozen="all", epochs=1, learning_rate=0.1)
    optimizer = make_optimizer(learning, phase, 10, {top.path: 0, deep.path: 3})
    optimizer.apply([np.ones(2, "float32")] * 2, [top, deep])
    np.testing.assert_allclose(deep.numpy() * 8, top.numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_weight_decay_shrinks_kernels_and_spares_biases(name):
    dense = layer()
    weights = dense.trainable_variables
    before = dense.kernel.numpy()
    optimizer = make(weights, weight_decay=0.5, optimizer=name)
    optimizer.apply([np.zeros((2, 3), np.float32), np.zeros(3, np.float32)], weights)
    kept = 1.0 if name == "adam" else 1 - 0.1 * 0.5
    np.testing.assert_allclose(dense.kernel.numpy(), before * kept, rtol=1e-6)
    np.testing.assert_array_equal(dense.bias.numpy(), np.float32([0.5, -0.5, 1.0]))


def test_the_attentions_biases_are_matrices_and_do_not_decay_either():
    import keras

    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3, name="attention")
    attention.build((None, None, 4), (None, None, 4))
    weights = [weight for weight in attention.trainable_variables if weight.path.endswith("bias")]
    assert any(len(weight.shape) == 2 for weight in weights)
    for weight in weights:
        weight.assign(np.ones(weight.shape))
    make(weights, weight_decay=0.5).apply([np.zeros(weight.shape, np.float32) for weight in weights], weights)
    for weight in weights:
        np.testing.assert_array_equal(weight.numpy(), 1)


def test_gradients_are_taken_as_they_are_without_clipping():
    weights = layer().trainable_variables
    before = [weight.numpy() for weight in weights]
    make(weights, optimizer="sgd", peak=1.0, clip_norm=1e-3).apply(
        [np.full(weight.shape, 100, np.float32) for weight in weights], weights
    )
    for weight, old in zip(weights, before, strict=True):
        np.testing.assert_allclose(weight.numpy() - old, -190, rtol=1e-5)


def test_sparse_gradients_of_an_embedding_count_where_they_are():
    import keras
    import tensorflow as tf

    for name in NAMES:
        sparse, dense = (keras.Variable(np.ones((4, 2)), name=f"table_{kind}") for kind in ("sparse", "dense"))
        slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([1, 1]), tf.constant([4, 2]))
        make([sparse], optimizer=name).apply([slices], [sparse])
        make([dense], optimizer=name).apply([tf.convert_to_tensor(slices)], [dense])
        np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=1e-6)


def test_a_weight_without_depth_is_told_by_its_name():
    dense = layer()
    with pytest.raises(KerasftError, match="dense/bias"):
        make([dense.kernel]).build(dense.trainable_variables)
