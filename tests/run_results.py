"""What two runs are compared by, and a backbone small enough to train them in seconds."""

import csv
from pathlib import Path

import numpy as np

from tests.toy import VOCABULARY

# Figures of the clock, not of the training.
_SPEEDS = ("rows_per_second",)


def write_bert(folder: Path, blocks: int = 2, dropout: float = 0.1, positions: int = 32) -> Path:
    """A Keras preset folder: BERT, blocks of 16, random weights from a fixed seed."""
    import keras
    import keras_nlp

    keras.utils.set_random_seed(1)
    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=blocks,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        dropout=dropout,
        max_sequence_length=positions,
    )
    backbone.save_to_preset(str(folder))
    keras_nlp.models.BertTokenizer(vocabulary=VOCABULARY, lowercase=True).save_to_preset(str(folder))
    return folder


def weights_of(run: Path) -> dict[str, np.ndarray]:
    """The arrays in a run's `model.weights.h5`, by their path in it."""
    import h5py

    found = {}
    with h5py.File(Path(run) / "model.weights.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def history_of(run: Path) -> list[dict[str, str]]:
    """The lines of a run's `history.csv`, as they are written, without the speeds."""
    with open(Path(run) / "history.csv", newline="", encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name not in _SPEEDS} for row in csv.DictReader(file)]


def differences(run: Path, other: Path) -> list[str]:
    """What two runs differ in, to the last bit; empty where nothing."""
    ours, theirs = weights_of(run), weights_of(other)
    found = [name for name in sorted({*ours, *theirs}) if not _same(ours.get(name), theirs.get(name))]
    return [*found, *(["history.csv"] if history_of(run) != history_of(other) else [])]


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is not None and other is not None and one.dtype == other.dtype and one.tobytes() == other.tobytes()
