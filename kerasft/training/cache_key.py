"""What hidden states depend on, as one number: equal keys, equal states."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasft.data.pipeline import Encoded
from kerasft.data.row_file import RowFile
from kerasft.network import Network

_FORMAT = 1
_PACKAGES = ("kerasft", "tensorflow", "keras", "keras-hub")
# Names, and how weights came to be or will be changed, do not change what a layer computes in inference.
_UNIMPORTANT = ("name", "trainable", "dropout", "initializer", "regularizer", "constraint")


def cache_keys(
    network: Network,
    encoded: Encoded,
    boundaries: Sequence[int],
    some: Mapping[int, np.ndarray] = MappingProxyType({}),
) -> dict[int, str]:
    """Names the hidden states of some rows at some boundaries by all that they depend on.

    Args:
        network: of its backbone, the weights below a boundary count, with their layers' settings and precision.
        encoded: the rows; every token counts.
        boundaries: blocks that the states enter.
        some: boundary -> int64, the rows that are wanted there, where not all are.

    Returns:
        Boundary -> SHA-256, in hexadecimal, of the weights and layers below it, the tokens, which rows, the kind of
        device and the versions of the packages that compute.
    """
    import tensorflow as tf

    backbone = network.backbone
    place = {
        "format": _FORMAT,
        "family": backbone.family,
        "hidden_size": backbone.hidden_size,
        "device": "GPU" if tf.config.list_logical_devices("GPU") else "CPU",
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    running = hashlib.sha256(_json(place) + _tokens_digest(encoded))
    keys = {}
    for boundary, layers in enumerate([backbone.bottom, *((block,) for block in backbone.blocks)]):
        # After the embeddings the states enter block 0, after block n block n + 1.
        for layer in layers:
            _add_layer(running, layer)
        if boundary in boundaries:
            whole = running.copy()
            if boundary in some:
                whole.update(np.ascontiguousarray(some[boundary], np.int64))
            keys[boundary] = whole.hexdigest()
    return keys


def _add_layer(running, layer) -> None:
    running.update(_json(_important(layer.get_config())))
    for weight in layer.weights:
        # The state of dropout's random numbers is a weight too, but not one of the layer's function.
        if "seed_generator" not in weight.path:
            value = np.ascontiguousarray(weight.numpy())
            running.update(_json([str(value.dtype), value.shape]))
            running.update(value.view(np.uint8))


def _tokens_digest(encoded: Encoded) -> bytes:
    """SHA-256 of the tokens of all rows, where each begins, and what fills them up."""
    whole = hashlib.sha256(np.ascontiguousarray(encoded.starts, dtype=np.int64))
    whole.update(_json(dict(encoded.padding)))
    for name, values in sorted(encoded.inputs.items()):
        one = hashlib.sha256()
        for chunk in values.chunks() if isinstance(values, RowFile) else (np.ascontiguousarray(values, np.int32),):
            one.update(chunk)
        whole.update(name.encode() + one.digest())
    return whole.digest()


def _important(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if not key.endswith(_UNIMPORTANT)}


def _json(value: Any) -> bytes:
    # What JSON does not know goes in by its `repr`; should that differ between processes, a cache is made anew.
    return json.dumps(value, sort_keys=True, default=repr).encode()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
