"""What an optimizer carries along: a fair average, a state that can be put back, the same on every replica."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasft.training.optimizer import averaged, settable_rate
from tests.toy_optimizer import NAMES, assert_same, gradients, layer, make, train


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
from kerasft.training.optimizer import averaged, settable_rate
from tests.toy_optimizer import NAMES, gradients, layer, make

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
