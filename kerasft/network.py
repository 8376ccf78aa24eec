"""The functional models of a run: backbone and head in one, and its upper part alone for cached phases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kerasft.backbones.view import Backbone
from kerasft.lora import freeze_plain, lora_weights
from kerasft.recompute import recomputed
from kerasft.training.phases import Frontier


@dataclass(frozen=True)
class Network:
    """A backbone with a task's head on it; the layers are shared by every model made from it."""

    backbone: Backbone
    head: Any


def full_model(network: Network, frozen_below: int = 0, recompute: bool = False):
    """Tokens -> logits.

    Args:
        network: the layers.
        frozen_below: blocks below this one, and the embeddings, run as in inference even in training, without dropout,
            so that a frozen part gives the same hidden states as the prefix cache. 0 is for everything unfrozen.
        recompute: gradient checkpointing: the trained blocks keep only their inputs for the backward pass and run
            again in it. Same gradients and weights, less memory, about a third more time.

    Returns:
        A `keras.Model` from the token inputs (int32[B, T] each, `padding_mask` among them), and what the head asks for
        beside them, to logits.
    """
    import keras

    backbone = network.backbone
    inputs = backbone.inputs()
    mask = inputs["padding_mask"]
    if frozen_below:
        hidden = _in_inference(prefix_model(network, [frozen_below]))(inputs)[str(frozen_below)]
    else:
        hidden = backbone.embed(inputs)
    hidden = _run_blocks(network, frozen_below, hidden, mask, recompute)
    asked = _asked(network)
    return keras.Model({**inputs, **asked}, _logits(network, hidden, mask, asked), name="full")


def _run_blocks(network: Network, start: int, hidden, mask, recompute: bool):
    """The last block is never run again: its backward pass comes first, so letting go of it would free nothing."""
    backbone = network.backbone
    for number, block in enumerate(backbone.blocks[start:], start=start):
        if recompute and number + 1 < len(backbone.blocks):
            hidden = recomputed(block, backbone.run_block, backbone.hidden_size)(hidden, mask)
        else:
            hidden = backbone.run_block(block, hidden, mask)
    return hidden


def _in_inference(model):
    """A layer that runs `model` without dropout whatever it is told; `training=False` given to a functional model's
    layers is overruled by the `training` that the model itself is called with."""
    import keras

    class InInference(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="frozen")
            self.model = model

        def call(self, inputs):
            return self.model(inputs, training=False)

    return InInference()


def suffix_model(network: Network, start: int, recompute: bool = False):
    """Hidden states that enter block `start` -> logits.

    Args:
        network: the layers.
        start: the lowest block of the model.
        recompute: as in `full_model`.

    Returns:
        A `keras.Model` from `hidden` float[B, T, H], `padding_mask` int32[B, T] and what the head asks for beside
        them, to logits.
    """
    import keras

    backbone = network.backbone
    hidden = entry = keras.Input((None, backbone.hidden_size), name="hidden")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    hidden = _run_blocks(network, start, hidden, mask, recompute)
    asked = _asked(network)
    inputs = {"hidden": entry, "padding_mask": mask, **asked}
    return keras.Model(inputs, _logits(network, hidden, mask, asked), name=f"from_{start}")


def prefix_model(network: Network, stops: Sequence[int]):
    """Tokens -> the hidden states that enter each block of `stops`; to be called with `training=False`.

    Returns:
        A `keras.Model` with one output float[B, T, H] for each stop, keyed by `str(stop)`.
    """
    import keras

    backbone = network.backbone
    inputs = backbone.inputs()
    hidden = backbone.embed(inputs)
    outputs = {}
    for number in range(max(stops) + 1):
        if number in stops:
            outputs[str(number)] = hidden
        if number < max(stops):
            hidden = backbone.run_block(backbone.blocks[number], hidden, inputs["padding_mask"])
    return keras.Model(inputs, outputs, name="prefix")


def freeze(network: Network, line: Frontier) -> None:
    """Sets what trains: the head, the blocks from `line.block` up, and the embeddings if it says so; of a network with
    LoRA factors, they and the head alone."""
    backbone = network.backbone
    for layer in backbone.bottom:
        layer.trainable = line.embeddings
    for number, block in enumerate(backbone.blocks):
        block.trainable = number >= line.block
    for layer in backbone.top:
        layer.trainable = line.block < len(backbone.blocks)
    network.head.trainable = True
    if lora_weights(network):
        freeze_plain(network)


def depths(network: Network) -> dict[str, int]:
    """How far below the head each weight lies: 0 for head and top, 1 for the last block, …, blocks + 1 for the
    embeddings.

    Returns:
        Keyed by the weight's path.
    """
    backbone = network.backbone
    levels = [(network.head, *backbone.top), *((block,) for block in reversed(backbone.blocks)), backbone.bottom]
    return {weight.path: depth for depth, layers in enumerate(levels) for layer in layers for weight in layer.weights}


def _asked(network: Network) -> dict[str, Any]:
    """What the head takes beside hidden states and mask, as inputs of a new model."""
    import keras

    usual = ("hidden", "padding_mask")
    return {
        name: keras.Input(entry.shape[1:], dtype=entry.dtype, name=name)
        for name, entry in network.head.input.items()
        if name not in usual
    }


def _logits(network: Network, hidden, mask, asked):
    return network.head({"hidden": network.backbone.finish(hidden), "padding_mask": mask, **asked})
