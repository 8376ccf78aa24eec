"""The weights of a network, listed in a fixed order and kept in files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerasft.atomic import new_file
from kerasft.network import Network


def network_weights(network: Network) -> list:
    """Every weight of the network, bottom to top, in a fixed order; low-rank factors of a LoRA phase are not among
    them."""
    from kerasft.lora import lora_weights

    factors = {id(weight) for weight in lora_weights(network)}
    backbone = network.backbone
    layers = (*backbone.bottom, *backbone.blocks, *backbone.top, network.head)
    return [
        weight
        for layer in layers
        for weight in layer.weights
        if "seed_generator" not in weight.path and id(weight) not in factors
    ]


def seed_states(model) -> list:
    """The states of a model's random number generators (dropout), in a fixed order."""
    return [variable for variable in model.variables if "seed_generator" in variable.path]


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays to one safetensors file; it is whole or not there."""
    from safetensors.numpy import save_file

    with new_file(path) as beside:
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, beside)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads what `save_arrays` wrote."""
    from safetensors.numpy import load_file

    return load_file(path)


def values(variables: Sequence, prefix: str) -> dict[str, np.ndarray]:
    """The variables' arrays, named by prefix and place."""
    return {f"{prefix}{number}": np.asarray(variable.numpy()) for number, variable in enumerate(variables)}


def assign(variables: Sequence, arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    """Puts back what `values` took.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another shape.
    """
    for number, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}{number}"])
