"""Gradient checkpointing: the same gradients as without, dropout and all, in less memory."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from kerasft.lora import add_lora
from kerasft.network import freeze, full_model, suffix_model
from kerasft.training.phases import Frontier
from kerasft.weights import seed_states
from tests.toy_network import BLOCKS, toy_batch, toy_network

EVERYTHING = Frontier(0, embeddings=True)


def gradients(model, batch, labels, parts: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of one training step, and the random generators after it, which are put back.

    Args:
        parts: 0 for one batch; else so many micro-batches in a loop with a tape of its own in each turn.
    """
    import keras
    import tensorflow as tf

    states = seed_states(model)
    before = [state.numpy() for state in states]
    trained = [variable.value for variable in model.trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def dense(inputs, truth):
        with tf.GradientTape() as tape:
            error = loss(truth, model(inputs, training=True))
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(error, trained)]

    @tf.function
    def step():
        inputs = {name: tf.constant(values) for name, values in batch.items()}
        truth = tf.constant(labels)
        if not parts:
            return dense(inputs, truth)
        rows = len(labels) // parts

        def turn(number, sums):
            here = slice(number * rows, (number + 1) * rows)
            found = dense({name: values[here] for name, values in inputs.items()}, truth[here])
            return number + 1, [one + other for one, other in zip(sums, found, strict=True)]

        zeros = [tf.zeros(variable.shape) for variable in trained]
        return tf.while_loop(lambda number, _: number < parts, turn, (0, zeros))[1]

    found = [np.asarray(gradient) for gradient in step()]
    after = [state.numpy() for state in states]
    for state, value in zip(states, before, strict=True):
        state.assign(value)
    return found, after


def assert_the_same(network, batch, labels, parts=0, atol=1e-5, **options):
    plain, states = gradients(full_model(network, **options), batch, labels, parts)
    again, states_again = gradients(full_model(network, recompute=True, **options), batch, labels, parts)
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_allclose(other, one, atol=atol)
    for one, other in zip(states, states_again, strict=True):
        np.testing.assert_array_equal(other, one)
    assert any(np.abs(one).max() > 100 * atol for one in plain)


@pytest.mark.parametrize("parts", [0, 3])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_same_gradients_with_dropout(family, parts):
    network = toy_network(family)
    freeze(network, EVERYTHING)
    assert_the_same(network, *toy_batch(family), parts=parts)


def test_dropout_is_at_work_in_these_tests():
    network = toy_network()
    model = full_model(network, recompute=True)
    batch, labels = toy_batch()
    first, _ = gradients(model, batch, labels)
    for state in seed_states(model):
        state.assign(state.numpy() + 1)
    other, _ = gradients(model, batch, labels)
    assert max(np.abs(one - two).max() for one, two in zip(first, other, strict=True)) > 1e-3


def test_the_same_gradients_above_a_frozen_part():
    network = toy_network()
    freeze(network, Frontier(1, embeddings=False))
    assert_the_same(network, *toy_batch(), frozen_below=1)


def test_the_same_gradients_of_factors():
    network = toy_network("gpt2")
    freeze(network, EVERYTHING)
    add_lora(network, EVERYTHING, rank=2, seed=0)
    assert_the_same(network, *toy_batch("gpt2"), atol=1e-6)


def test_the_same_gradients_in_mixed_precision():
    network = toy_network(dtype="mixed_bfloat16")
    freeze(network, EVERYTHING)
    # The same operations on the same numbers: nothing is rounded otherwise than without.
    assert_the_same(network, *toy_batch(), atol=1e-4)


def test_the_models_have_the_same_weights_in_the_same_order():
    network = toy_network()
    for plain, again in (
        (full_model(network), full_model(network, recompute=True)),
        (full_model(network, frozen_below=1), full_model(network, frozen_below=1, recompute=True)),
        (suffix_model(network, 1), suffix_model(network, 1, recompute=True)),
    ):
        assert [id(weight) for weight in again.weights] == [id(weight) for weight in plain.weights]
        assert [id(state) for state in seed_states(again)] == [id(state) for state in seed_states(plain)]
    batch, _ = toy_batch()
    np.testing.assert_array_equal(*(full_model(network, recompute=again).predict(batch) for again in (False, True)))


@pytest.mark.parametrize("start", range(BLOCKS))
def test_only_trained_blocks_run_again_and_not_the_last(start):
    network = toy_network()
    for model in (suffix_model(network, start, recompute=True), full_model(network, start, recompute=True)):
        again = [layer.name for layer in model.layers if layer.name.endswith("_recomputed")]
        assert again == [f"{block.name}_recomputed" for block in network.backbone.blocks[start:-1]]


def run_alone(script: str) -> str:
    """Runs a script in a process of its own: devices are chosen, and memory is counted, once in a process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_replicas_with_factors():
    """Under a mirrored strategy: the same gradients on each replica, factors created and merged on both."""
    run_alone(
        """
        import numpy as np, tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from kerasft.lora import add_lora, lora_weights, merge_lora
        from kerasft.network import freeze, full_model
        from kerasft.training.phases import Frontier
        from kerasft.weights import seed_states
        from tests.toy_network import toy_batch, toy_network

        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        batch, labels = toy_batch()
        line = Frontier(1, embeddings=False)

        def run(recompute):
            model = full_model(network, frozen_below=1, recompute=recompute)
            trained = [variable.value for variable in model.trainable_variables]

            def step(rows):
                with tf.GradientTape() as tape:
                    error = tf.reduce_sum(model(rows, training=True) ** 2)
                return tape.gradient(error, trained)

            def value(context):
                here = slice(3 * context.replica_id_in_sync_group, 3 * context.replica_id_in_sync_group + 3)
                return {name: tf.constant(values[here]) for name, values in batch.items()}

            states = seed_states(model)
            before = [state.numpy() for state in states]
            rows = strategy.experimental_distribute_values_from_function(value)
            found = tf.function(lambda: strategy.run(step, (rows,)))()
            after = [state.numpy() for state in states]
            for state, old in zip(states, before, strict=True):
                state.assign(old)
            return [part.numpy() for one in found for part in strategy.experimental_local_results(one)], after

        with strategy.scope():
            network = toy_network()
            full_model(network)
            freeze(network, line)
            add_lora(network, line, rank=2, seed=0)
            for factor in lora_weights(network):
                factor.assign(factor.numpy() + 0.1)
            (plain, seeds), (again, seeds_again) = run(False), run(True)
            assert len(plain) == 2 * (2 * 4 + 2)
            for one, other in zip(plain, again, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5)
            assert max(np.abs(one - two).max() for one, two in zip(plain[::2], plain[1::2])) > 1e-3
            for one, other in zip(seeds, seeds_again, strict=True):
                np.testing.assert_array_equal(one, other)
            inference = full_model(network)
            before = inference(batch, training=False).numpy()
            merge_lora(network)
            np.testing.assert_allclose(inference(batch, training=False).numpy(), before, atol=1e-5)
            kernel = network.backbone.blocks[2].weights[0].value
            np.testing.assert_array_equal(*(part.numpy() for part in kernel.values))
        """
    )


def test_it_needs_less_memory():
    """The high-water mark of a process: first with, then without."""
    peaks = run_alone(
        """
        import numpy as np, tensorflow as tf
        import tests.toy_network as toy
        toy.SIZE, toy.BLOCKS = 64, 5
        from kerasft.network import full_model

        network = toy.toy_network(dropout=0.1)

        def rows(count):
            return {name: tf.constant(values) for name, values in toy.toy_batch(rows=count, tokens=32)[0].items()}

        def make_step(recompute):
            model = full_model(network, recompute=recompute)
            trained = [variable.value for variable in model.trainable_variables]

            @tf.function(input_signature=[{name: tf.TensorSpec([None, None], "int32") for name in rows(1)}])
            def step(batch):
                with tf.GradientTape() as tape:
                    error = tf.reduce_sum(model(batch, training=True) ** 2)
                return [tf.reduce_sum(one) for one in map(tf.convert_to_tensor, tape.gradient(error, trained))]

            step(rows(1))
            return step

        def peak():
            # Not getrusage: its maximum is handed down from the process that started this one.
            lines = open("/proc/self/status").read().splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

        def growth(step):
            before = peak()
            step(rows(256))
            return peak() - before

        steps = [make_step(recompute) for recompute in (True, False)]
        print(*map(growth, steps))
        """
    )
    again, more = map(int, peaks.split())
    # `more` is what plain training takes beyond the peak of checkpointed training: of 5 blocks, 1 against 5.
    assert more > again
