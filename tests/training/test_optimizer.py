"""The optimizer's promises: Keras' formulas, rates by depth, decay that spares biases, an average that is fair."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.training.optimizer import averaged, make_optimizer, settable_rate
from kerasft.training.recipe import Phase, make_recipe

NAMES = ["adamw", "adam", "adafactor", "lion", "sgd", "adadelta"]


def layer():
    import keras

    dense = keras.layers.Dense(3, name="dense")
    dense.build((None, 2))
    dense.kernel.assign(np.linspace(-1, 1, 6).reshape(2, 3))
    dense.bias.assign([0.5, -0.5, 1.0])
    return dense


def make(weights, depth=0, peak=0.1, steps=10, phase_decay=None, **settings):
    settings = {"warmup": 0.0, "schedule": "constant", "weight_decay": 0.0, "layer_decay": 1.0, **settings}
    learning = make_recipe({"task": "sentiment", **settings}).learning
    phase = Phase(unfrozen="all", epochs=1, learning_rate=peak, layer_decay=phase_decay)
    return make_optimizer(learning, phase, steps, {weight.path: depth for weight in weights})


def gradients(step, weights):
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


def test_no_average_unless_asked_for():
    weights = layer().trainable_variables
    optimizer = make(weights)
    optimizer.build(weights)
    assert averaged(optimizer) is None


def test_the_average_begins_at_the_weights_and_warms_up():
    import tensorflow as tf

    weights = layer().trainable_variables
    optimizer = make(weights, ema=0.5)
    optimizer.build(weights)
    expected = [weight.numpy() for weight in weights]
    update = tf.function(lambda *given: optimizer.apply(list(given), weights))
    for step in range(20):
        update(*(tf.constant(gradient) for gradient in gradients(step, weights)))
        momentum = min(0.5, (1 + step) / (10 + step))
        expected = [
            momentum * old + (1 - momentum) * weight.numpy() for old, weight in zip(expected, weights, strict=True)
        ]
        for average, value in zip(averaged(optimizer), expected, strict=True):
            np.testing.assert_allclose(average.numpy(), value, rtol=1e-5, atol=1e-6)


def test_the_average_is_never_written_into_the_weights():

    weights, plain = layer().trainable_variables, layer().trainable_variables
    optimizer = make(weights, ema=0.9)
    assert_same(train(optimizer, weights), train(make(plain), plain), rtol=0)
    # What Keras' fit does in the end.
    optimizer.finalize_variable_values(weights)
    for weight, other in zip(weights, plain, strict=True):
        np.testing.assert_array_equal(weight.numpy(), other.numpy())
    assert [average.shape for average in averaged(optimizer)] == [(2, 3), (3,)]


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_state_goes_on_bit_for_bit(name):
    weights, again = layer().trainable_variables, layer().trainable_variables
    optimizer, restored = (make(of, optimizer=name, ema=0.9, schedule="cosine") for of in (weights, again))
    train(optimizer, weights, steps=2)
    restored.build(again)
    for state, value in zip(restored.variables, [state.numpy() for state in optimizer.variables], strict=True):
        state.assign(value)
    for weight, value in zip(again, weights, strict=True):
        weight.assign(value.numpy())
    assert_same(train(optimizer, weights, steps=2), train(restored, again, steps=2), rtol=0)
    for average, other in zip(averaged(optimizer), averaged(restored), strict=True):
        np.testing.assert_array_equal(average.numpy(), other.numpy())


def test_the_rate_can_be_set_for_a_range_test():
    import tensorflow as tf

    weights = layer().trainable_variables
    optimizer = make(weights, optimizer="sgd", depth=1, layer_decay=0.5)
    rate = settable_rate(optimizer)
    optimizer.build(weights)
    update = tf.function(lambda: optimizer.apply([tf.ones(weight.shape) for weight in weights], weights))
    moved = []
    for value in (0.0, 0.0, 0.2):
        before = weights[1].numpy()
        rate.assign(value)
        update()
        moved.append((before - weights[1].numpy()).mean())
    assert moved == pytest.approx([0, 0, 0.2 * 0.5 * 1.9], rel=1e-5)


def test_mixed_precision_moves_the_float32_weights():
    import keras
    import tensorflow as tf

    model = keras.layers.Dense(2, dtype="mixed_bfloat16")
    model.build((None, 3))
    optimizer = make(model.trainable_variables, ema=0.9)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(model(tf.ones((4, 3))), "float32"))
    before = model.kernel.numpy()
    found = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
    optimizer.apply(found, model.trainable_variables)
    assert model.kernel.dtype == "float32"
    np.testing.assert_allclose(model.kernel.numpy(), before - 0.1, rtol=1e-4)


_REPLICAS = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import contextlib
from tests.training.test_optimizer import NAMES, averaged, gradients, layer, make, settable_rate

def after(strategy, name, set_rate=False):
    with strategy.scope() if strategy else contextlib.nullcontext():
        weights = layer().trainable_variables
        settings = {"layer_decay": 0.5, "weight_decay": 0.1, "ema": 0.9, "schedule": "cosine"}
        optimizer = make(weights, depth=1, optimizer=name, **settings)
        rate = settable_rate(optimizer) if set_rate else None
        optimizer.build(weights)

    @tf.function
    def update(*given):
        # Every replica holds the same totals.
        step = lambda: optimizer.apply(list(given), weights)
        strategy.run(step) if strategy else step()

    for step in range(3):
        if set_rate:
            rate.assign(0.1 + step)
        update(*(tf.constant(gradient) for gradient in gradients(step, weights)))
    copies = strategy.experimental_local_results if strategy else lambda value: [value]
    return [np.array(copy) for kept in [*weights, *averaged(optimizer)] for copy in copies(kept.value)]

strategies = {
    "mirrored": (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), 2),
    "multiworker": (tf.distribute.MultiWorkerMirroredStrategy(), 1),
}
for kind, (strategy, copies) in strategies.items():
    for name, set_rate in [*((name, False) for name in NAMES), ("adamw", True)]:
        alone = [value for value in after(None, name, set_rate) for _ in range(copies)]
        found = after(strategy, name, set_rate)
        assert len(found) == len(alone), (kind, name, len(found))
        for one, other in zip(alone, found):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=f"{kind} {name}")
print("equal")
"""


def test_replicas_end_as_one_device_does():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _REPLICAS], cwd=root, capture_output=True, text=True, timeout=300)
    assert done.stdout.endswith("equal\n"), done.stderr[-3000:]
