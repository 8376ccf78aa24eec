"""GPT-2 networks with random weights, of any size (Radford et al. 2019)."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.backbones.gpt2 import save_tokenizer, text_functions
from kerasft.backbones.layout import CONFIG
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


def learn_vocabulary(texts: Iterable[str], size: int, folder: Path) -> int:
    """Learns a byte-level BPE from a corpus and writes it, as `write_definition` takes it.

    Args:
        texts: the corpus.
        size: pieces wanted.
        folder: of `vocab.json` and `merges.txt`; made when it is not there.

    Returns:
        The pieces there are: fewer where the corpus gives no more.

    Raises:
        KerasftError: as `kerasft.text.train_bpe.train_byte_pairs`.
    """
    from kerasft.text.train_bpe import train_byte_pairs, write_byte_pairs

    trained = train_byte_pairs(texts, size)
    write_byte_pairs(folder, trained)
    return len(trained.pieces)


def write_definition(settings: Mapping[str, float], vocabulary: Path, folder: Path) -> None:
    """Writes what a Keras preset folder holds beside weights: the architecture and the vocabulary.

    Args:
        settings: a value for each of `SETTINGS`.
        vocabulary: a folder with `vocab.json` and `merges.txt`.
        folder: is there, and empty.
    """
    import keras
    import keras_nlp

    model = keras_nlp.models.GPT2Backbone
    config = {
        "name": "gpt2_backbone",
        "trainable": True,
        # Of the file alone: whoever loads it computes in the precision of the moment.
        "dtype": keras.dtype_policies.serialize(keras.dtype_policies.get("float32")),
        "vocabulary_size": len(text_functions(vocabulary).vocabulary),
        "num_layers": settings["layers"],
        "num_heads": settings["heads"],
        "hidden_dim": settings["hidden"],
        "intermediate_dim": settings["inner"],
        "dropout": settings["dropout"],
        "max_sequence_length": settings["context"],
    }
    # What `keras.saving.serialize_keras_object` gives for a model, without making one: it would take all the memory.
    described = {
        "module": model.__module__,
        "class_name": model.__name__,
        "config": config,
        "registered_name": keras.saving.get_registered_name(model),
    }
    (folder / CONFIG).write_text(json.dumps(described, indent=4), encoding="utf-8")
    save_tokenizer(vocabulary, folder)


def draw(model: Any, seed: int) -> None:
    """Gives a `keras_nlp.models.GPT2Backbone` new weights: normal ones, those of the residual projections smaller by
    the root of their number. Biases and norms stay as Keras makes them.

    Args:
        model: is changed in place.
        seed: the same gives the same weights, whatever was drawn before.
    """
    numbers = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            deviation = _WEIGHTS / np.sqrt(2 * model.num_layers) if weight.path.endswith(_RESIDUAL) else _WEIGHTS
        elif weight.path.startswith("token_embedding"):
            deviation = _WEIGHTS
        elif weight.path.startswith("position_embedding"):
            deviation = _POSITIONS
        else:
            continue
        weight.assign(numbers.standard_normal(weight.shape, np.float32) * np.float32(deviation))
