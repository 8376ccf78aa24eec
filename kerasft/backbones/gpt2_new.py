"""GPT-2 networks with random weights, of any size (Radford et al. 2019)."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.backbones.gpt2 import save_tokenizer, text_functions
from kerasft.backbones.setting import Setting
from kerasft.errors import KerasftError

# By default GPT-2 small.
SETTINGS = {
    "layers": Setting(12, 1, 1000),
    "hidden": Setting(768, 1, 100_000),
    "heads": Setting(12, 1, 10_000),
    "inner": Setting(3072, 1, 1_000_000),  # of the feed-forward network; 4 * hidden where the name does not say
    "context": Setting(1024, 2, 1_000_000),  # the most tokens of a sequence
    "dropout": Setting(0.1, 0.0, 0.99, whole=False),
}
VOCABULARY = "gpt2-vocabulary"
"""The vocabulary of one that is given no other, by its name in the catalogue."""
_HEAD_WIDTH = 64  # of every GPT-2 that was published

# Standard deviations of the paper's published program.
_WEIGHTS, _POSITIONS = 0.02, 0.01
# The projections whose output is added to the residual stream.
_RESIDUAL = ("attention_output/kernel", "feedforward_output_dense/kernel")


def check(name: str, settings: Mapping[str, float], told: Collection[str]) -> None:
    """Raises `KerasftError` where the heads do not divide the hidden size."""
    hidden, heads = settings["hidden"], settings["heads"]
    if "heads" not in told or hidden % heads == 0:
        return
    near = sorted((number for number in range(1, hidden + 1) if hidden % number == 0), key=lambda n: abs(n - heads))[:2]
    raise KerasftError(
        f"'{name}': {heads} heads do not divide hidden={hidden}. Set heads={' or heads='.join(map(str, sorted(near)))}."
    )


def completed(settings: Mapping[str, float], told: Collection[str]) -> dict[str, float]:
    """The settings that follow from others, where the name does not say: heads as near 64 wide as can be; `inner`."""
    hidden = settings["hidden"]
    found = dict(settings)
    if "heads" not in told:
        divisors = [number for number in range(1, hidden + 1) if hidden % number == 0]
        found["heads"] = min(divisors, key=lambda number: abs(hidden / number - _HEAD_WIDTH))
    if "inner" not in told:
        found["inner"] = 4 * hidden
    return found


def write(settings: Mapping[str, float], vocabulary: Path, folder: Path, seed: int) -> None:
    """Writes a network and its vocabulary as a Keras preset folder.

    Args:
        settings: a value for each of `SETTINGS`.
        vocabulary: a folder with `vocab.json` and `merges.txt`.
        folder: is there, and empty.
        seed: of the weights.
    """
    import keras_nlp

    model = keras_nlp.models.GPT2Backbone(
        vocabulary_size=len(text_functions(vocabulary).vocabulary),
        num_layers=settings["layers"],
        num_heads=settings["heads"],
        hidden_dim=settings["hidden"],
        intermediate_dim=settings["inner"],
        dropout=settings["dropout"],
        max_sequence_length=settings["context"],
        dtype="float32",
    )
    _draw(model, settings["layers"], seed)
    model.save_to_preset(str(folder))
    save_tokenizer(vocabulary, folder)


def _draw(model: Any, layers: int, seed: int) -> None:
    """Normal weights; those of the residual projections smaller by the root of their number. Biases and norms stay."""
    draw = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            deviation = _WEIGHTS / np.sqrt(2 * layers) if weight.path.endswith(_RESIDUAL) else _WEIGHTS
        elif weight.path.startswith("token_embedding"):
            deviation = _WEIGHTS
        elif weight.path.startswith("position_embedding"):
            deviation = _POSITIONS
        else:
            continue
        weight.assign(draw.standard_normal(weight.shape, np.float32) * np.float32(deviation))
