"""LoRA phases: only the factors and the head learn, and merging leaves the plain network, with what they learnt."""

import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.lora import add_lora, lora_weights, merge_lora
from kerasft.network import depths, freeze, full_model
from kerasft.training.phases import Frontier
from kerasft.weights import network_weights
from tests.toy_network import BLOCKS, HEADS, SIZE, toy_batch, toy_network

TOP_TWO = Frontier(BLOCKS - 2, embeddings=False)
FAMILIES = ["bert", "gpt2"]


def logits(network, batch) -> np.ndarray:
    return np.asarray(full_model(network)(batch, training=False))


def train(network, batch, labels, steps: int = 3) -> list:
    """A few plain steps on whatever trains; returns the variables that did."""
    import keras
    import tensorflow as tf

    model = full_model(network)
    trained = [variable.value for variable in model.trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            error = loss(labels, model(batch, training=True))
        for variable, gradient in zip(trained, tape.gradient(error, trained), strict=True):
            variable.assign_sub(0.5 * gradient)

    for _ in range(steps):
        step()
    return model.trainable_variables


@pytest.mark.parametrize("family", FAMILIES)
def test_a_phase_from_beginning_to_merge(family):
    network = toy_network(family)
    batch, labels = toy_batch(family)
    before = logits(network, batch)
    plain = network_weights(network)
    listed = [[weight.path for weight in block.weights] for block in network.backbone.blocks]
    start = [weight.numpy() for weight in plain]
    freeze(network, TOP_TWO)
    add_lora(network, TOP_TWO, rank=2, seed=5)

    np.testing.assert_array_equal(logits(network, batch), before)
    assert [id(weight) for weight in network_weights(network)] == [id(weight) for weight in plain]
    trained = train(network, batch, labels)
    assert {id(variable) for variable in trained} == {
        id(variable) for variable in [*lora_weights(network), *network.head.weights]
    }
    count = sum(int(np.prod(variable.shape)) for variable in trained)
    assert count == 2 * 2 * (SIZE * 2 + 2 * SIZE) + SIZE * 2 + 2
    head = {id(weight) for weight in network.head.weights}
    for weight, value in zip(plain, start, strict=True):
        if id(weight) not in head:
            np.testing.assert_array_equal(weight.numpy(), value)

    learnt = logits(network, batch)
    assert all(np.abs(variable.numpy()).max() > 0 for variable in lora_weights(network))
    merge_lora(network)
    np.testing.assert_allclose(logits(network, batch), learnt, atol=1e-5)
    assert [id(weight) for weight in network_weights(network)] == [id(weight) for weight in plain]
    assert [[weight.path for weight in block.weights] for block in network.backbone.blocks] == listed
    assert lora_weights(network) == []
    moved = [
        weight.path for weight, value in zip(plain, start, strict=True) if np.abs(weight.numpy() - value).max() > 0
    ]
    assert all(path.endswith(("query/kernel", "value/kernel")) for path in moved if not path.startswith("logits"))
    assert len([path for path in moved if "/self_attention" in path]) == 4


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_after_the_merge_it_loads_into_a_network_that_knows_no_factors(family, tmp_path):
    network = toy_network(family)
    batch, labels = toy_batch(family)
    freeze(network, TOP_TWO)
    add_lora(network, TOP_TWO, rank=2, seed=5)
    train(network, batch, labels)
    merge_lora(network)
    full_model(network).save_weights(tmp_path / "model.weights.h5")
    other = toy_network(family)
    full_model(other).load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(logits(other, batch), logits(network, batch))


def test_phases_follow_each_other():
    network = toy_network()
    batch, labels = toy_batch()
    freeze(network, TOP_TWO)
    plain = [variable.path for variable in full_model(network).trainable_variables]
    for rank in (1, 4):
        freeze(network, TOP_TWO)
        add_lora(network, TOP_TWO, rank=rank, seed=0)
        assert len(train(network, batch, labels)) == 2 * 4 + 2
        merge_lora(network)
    freeze(network, TOP_TWO)
    before = logits(network, batch)
    assert [variable.path for variable in train(network, batch, labels)] == plain
    assert np.abs(logits(network, batch) - before).max() > 0


def test_freezing_a_network_with_factors_trains_no_more_than_they():
    network = toy_network("gpt2")
    add_lora(network, TOP_TWO, rank=2, seed=0)
    freeze(network, TOP_TWO)
    assert len(full_model(network).trainable_variables) == 2 * 4 + 2


def test_with_the_embeddings_named_too_they_stay_frozen():
    network = toy_network()
    freeze(network, Frontier(0, embeddings=True))
    add_lora(network, Frontier(0, embeddings=True), rank=2, seed=0)
    assert len(full_model(network).trainable_variables) == BLOCKS * 4 + 2


def test_every_factor_has_its_own_path_and_its_blocks_depth():
    network = toy_network()
    add_lora(network, TOP_TWO, rank=2, seed=0)
    found = depths(network)
    paths = [variable.path for variable in lora_weights(network)]
    assert [found[path] for path in paths] == [2] * 4 + [1] * 4
    assert len(set(paths)) == len(paths)


def test_the_seed_decides_the_factors():
    def factors(seed):
        network = toy_network()
        add_lora(network, TOP_TWO, rank=2, seed=seed)
        return [variable.numpy() for variable in lora_weights(network)]

    first, same, other = factors(1), factors(1), factors(2)
    assert all(np.array_equal(one, two) for one, two in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[2])
    assert first[1].shape == (2, HEADS, SIZE // HEADS)


def test_in_mixed_precision_the_factors_are_kept_whole():
    network = toy_network(dtype="mixed_bfloat16")
    batch, labels = toy_batch()
    freeze(network, TOP_TWO)
    add_lora(network, TOP_TWO, rank=2, seed=0)
    train(network, batch, labels)
    assert {variable.dtype for variable in lora_weights(network)} == {"float32"}
    learnt = logits(network, batch)
    merge_lora(network)
    np.testing.assert_allclose(logits(network, batch), learnt, atol=0.02)


@pytest.mark.parametrize(
    ("line", "rank", "said"),
    [
        (TOP_TWO, 0, "a rank from 1 to 16"),
        (TOP_TWO, 17, "a rank from 1 to 16"),
        (Frontier(BLOCKS, embeddings=False), 4, "the head alone"),
    ],
)
def test_what_cannot_be_adapted(line, rank, said):
    network = toy_network()
    with pytest.raises(KerasftError, match=said):
        add_lora(network, line, rank=rank, seed=0)
    assert lora_weights(network) == []


def test_factors_are_not_put_on_factors():
    network = toy_network()
    add_lora(network, TOP_TWO, rank=2, seed=0)
    with pytest.raises(ValueError, match="merge_lora"):
        add_lora(network, TOP_TWO, rank=2, seed=0)
