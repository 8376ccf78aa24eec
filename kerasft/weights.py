"""The weights of a network, listed in a fixed order and kept in files."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def named(variables: Sequence, prefix: str) -> dict[str, Any]:
    """The variables by prefix and place, as `save_variables` takes them."""
    return {f"{prefix}{number}": variable for number, variable in enumerate(variables)}


def save_variables(path: Path, variables: Mapping[str, Any]) -> None:
    """Writes named variables to one `.npz` file; it is whole or not there.

    One after the other: a copy of all of them at once would be the peak of a run's memory.
    """
    with new_file(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for name, variable in variables.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _array(variable), allow_pickle=False)


def _array(variable) -> np.ndarray:
    """The variable's present value; not a copy where TensorFlow can help it, so for a moment's use only."""
    import keras

    variable = variable.value if isinstance(variable, keras.Variable) else variable
    return np.asarray(variable.read_value())


class SavedArrays(Mapping):
    """What `save_variables` wrote; an array is read when it is asked for. The file is never left open, so that the
    folder it lies in can be removed on any file system."""

    def __init__(self, path: Path):
        self._path = path
        with self._open() as archive:
            self._names = tuple(archive.files)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        with self._open() as archive:
            return archive[name]

    def __iter__(self):
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _open(self):
        return np.load(self._path, allow_pickle=False)


def assign(variables: Sequence, arrays: Mapping[str, np.ndarray], prefix: str) -> None:
    """Puts back what was saved under `named(variables, prefix)`.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another shape.
    """
    for number, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}{number}"])
