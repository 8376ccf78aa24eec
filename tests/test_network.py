"""The models made from one network agree with each other, and freezing freezes what it says."""

import numpy as np
import pytest

from kerasft.backbones.load import load_backbone
from kerasft.heads import pooled_head
from kerasft.network import Network, depths, freeze, full_model, prefix_model, suffix_model
from kerasft.training.phases import Frontier


@pytest.fixture(scope="module")
def network(tall_backbone):
    backbone = load_backbone(tall_backbone)
    return Network(backbone, pooled_head(backbone.hidden_size, 2))


@pytest.fixture(scope="module")
def batch():
    random = np.random.default_rng(0)
    mask = (np.arange(7) < np.array([7, 3, 5])[:, None]).astype(np.int32)
    return {
        "token_ids": random.integers(5, 30, (3, 7)).astype(np.int32) * mask,
        "segment_ids": np.zeros((3, 7), np.int32),
        "padding_mask": mask,
    }


def test_the_view_gives_what_the_backbone_gives(network, batch, tall_backbone):
    import keras_nlp

    whole = keras_nlp.models.Backbone.from_preset(str(tall_backbone)).predict(batch, verbose=0)["sequence_output"]
    ours = prefix_model(network, [4]).predict(batch, verbose=0)["4"]
    real = batch["padding_mask"].astype(bool)
    np.testing.assert_allclose(ours[real], whole[real], atol=1e-6)


@pytest.mark.parametrize("start", [0, 2, 4])
def test_prefix_then_suffix_is_the_whole(network, batch, start):
    states = prefix_model(network, [start]).predict(batch, verbose=0)[str(start)]
    suffix = suffix_model(network, start).predict({"hidden": states, "padding_mask": batch["padding_mask"]}, verbose=0)
    np.testing.assert_allclose(suffix, full_model(network).predict(batch, verbose=0), atol=1e-5)


def test_the_frozen_part_has_no_dropout_even_in_training(network, batch):
    # Without the head's dropout, two passes in training are the same to the bit.
    network.head.get_layer("head_dropout").rate = 0.0
    np.testing.assert_array_equal(
        *(np.asarray(full_model(network, frozen_below=4)(batch, training=True)) for _ in range(2))
    )
    live = [np.asarray(full_model(network)(batch, training=True)) for _ in range(2)]
    assert np.abs(live[0] - live[1]).max() > 1e-6
    network.head.get_layer("head_dropout").rate = 0.1


@pytest.mark.parametrize(
    ("line", "trained"),
    [(Frontier(4, False), 0), (Frontier(3, False), 1), (Frontier(0, False), 4), (Frontier(0, True), 4)],
)
def test_what_is_frozen(network, line, trained):
    freeze(network, line)
    blocks = network.backbone.blocks
    assert sum(bool(block.trainable_variables) for block in blocks) == trained
    assert bool(network.backbone.bottom[0].trainable_variables) is line.embeddings
    assert network.head.trainable_variables
    freeze(network, Frontier(0, True))


def test_every_trained_weight_has_its_own_depth(network):
    freeze(network, Frontier(0, True))
    found = depths(network)
    model = full_model(network)
    assert {weight.path for weight in model.trainable_variables} <= set(found)
    assert len({weight.path for weight in model.trainable_variables}) == len(model.trainable_variables)
    assert found["logits/kernel"] == 0
    assert found["transformer_layer_3/feedforward_output_dense/kernel"] == 1
    assert found["token_embedding/embeddings"] == 5
