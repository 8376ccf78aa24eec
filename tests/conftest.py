"""A toy backbone on the disk, small enough to fine-tune in seconds and whole enough to go the real way."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import csv
import random
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"

GOOD = "good fine lovely warm bright clever funny great joyful brilliant".split()
BAD = "bad poor dull cold grim stupid tedious awful joyless dreadful".split()
OTHER = "a the this that film story plot cast scene and but with very quite rather it is was of in".split()
LETTERS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-[]<>|/"]
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *GOOD,
    *BAD,
    *OTHER[1:],
    *LETTERS,
    *("##" + letter for letter in LETTERS),
]


def toy_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows that a toy can learn: the label is told by one word among others."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = ("negative", "positive")[number % 2]
        words = [draw.choice(OTHER) for _ in range(draw.randint(2, 9))]
        words.insert(draw.randint(0, len(words)), draw.choice(GOOD if label == "positive" else BAD))
        rows.append({"text": " ".join(words) + f" {number}", "label": label})
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as a CSV file with a header."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def toy_backbone(tmp_path_factory) -> Path:
    """A Keras preset folder: BERT, 4 blocks of 16, random weights from a fixed seed."""
    import keras
    import keras_nlp

    folder = tmp_path_factory.mktemp("toy") / "bert"
    keras.utils.set_random_seed(1)
    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=4,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=64,
    )
    backbone.save_to_preset(str(folder))
    keras_nlp.models.BertTokenizer(vocabulary=VOCABULARY, lowercase=True).save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="session")
def toy_csv(tmp_path_factory) -> Path:
    """120 rows that a toy can learn."""
    return write_csv(tmp_path_factory.mktemp("data") / "toy.csv", toy_rows(120))


TOY_PHASES = [
    {"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2},
    {"unfrozen": 2, "epochs": 1, "learning_rate": 5e-3},
    {"unfrozen": "all", "epochs": 3, "learning_rate": 5e-3},
]


@pytest.fixture(scope="session")
def toy_run(toy_backbone, toy_csv, tmp_path_factory):
    """A finished run on the toy."""
    import kerasft

    return kerasft.fit(
        task="sentiment",
        data=str(toy_csv),
        backbone=str(toy_backbone),
        output=tmp_path_factory.mktemp("runs") / "toy",
        batch_size=8,
        phases=TOY_PHASES,
        report=lambda line: None,
    )


@pytest.fixture(scope="session")
def toy_export(toy_run, tmp_path_factory) -> Path:
    """The toy run's export, proven and published."""
    return toy_run.export(export_dir=tmp_path_factory.mktemp("saved_models"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public data on the project's own machines; a user's clone has none."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the maintainers' data folder beside the repository")
    return SHARED / "data"
