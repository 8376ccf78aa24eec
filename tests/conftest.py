"""A toy backbone on the disk, small enough to fine-tune in seconds and whole enough to go the real way."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import pytest

from tests.run_results import write_bert
from tests.toy import TOY_PHASES, toy_rows, write_csv

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def toy_backbone(tmp_path_factory) -> Path:
    """A Keras preset folder: BERT, 4 blocks of 16, random weights from a fixed seed."""
    return write_bert(tmp_path_factory.mktemp("toy") / "bert", blocks=4, positions=64)


@pytest.fixture(scope="session")
def toy_csv(tmp_path_factory) -> Path:
    """120 rows that a toy can learn."""
    return write_csv(tmp_path_factory.mktemp("data") / "toy.csv", toy_rows(120))


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
        # `auto` measures the machine: the figures would depend on it.
        precision="float32",
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
