"""Toy backbones and one run on the disk, small enough to make in seconds and whole enough to go the real way."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import shutil
from pathlib import Path

import pytest

from tests.made_once import made_once
from tests.run_results import write_bert
from tests.toy import TOY_PHASES, toy_rows, write_csv
from tests.toy_gpt2 import write_backbone

SHARED = Path(__file__).parents[2] / "shared"


# The files that take longest, the longest first: so the workers that share the files out end together.
LONGEST = (
    "tasks/test_contract.py",
    "training/test_replicas.py",
    "training/test_resume.py",
    "training/test_fit.py",
    "training/test_weights.py",
    "notebooks/test_notebooks.py",
    "tasks/test_masked_lm.py",
    "tasks/test_embedding.py",
    "tasks/test_semantic_role_labeling.py",
    "tasks/test_token_classification.py",
    "tasks/test_question_answering_task.py",
    "training/test_stopping.py",
    "export/test_publish.py",
    "export/test_publish_writing.py",
    "generation/test_service.py",
    "cli/test_cli.py",
)


def pytest_configure(config):
    # pytest-xdist would begin with the files that have the most tests.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def toy_backbone(tmp_path_factory) -> Path:
    """A Keras preset folder: BERT, 2 blocks of 16, random weights from a fixed seed."""
    return made_once(tmp_path_factory, "bert", lambda folder: write_bert(folder, positions=64))


@pytest.fixture(scope="session")
def tall_backbone(tmp_path_factory) -> Path:
    """4 blocks, for what differs from block to block. Each block more is time in every graph that is traced."""
    return made_once(tmp_path_factory, "tall-bert", lambda folder: write_bert(folder, blocks=4, positions=64))


@pytest.fixture(scope="session")
def toy_gpt2(tmp_path_factory) -> Path:
    """A Keras preset folder: GPT-2, 2 blocks of 16, random weights from a fixed seed."""
    return made_once(tmp_path_factory, "gpt2", write_backbone)


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def text(request, toy_backbone, toy_gpt2):
    """The text functions of each family."""
    from kerasft.backbones.load import load_text_functions

    return load_text_functions(toy_backbone if request.param == "bert" else toy_gpt2)


@pytest.fixture(scope="session")
def toy_folder(toy_backbone, tmp_path_factory) -> Path:
    """A folder with `rows.csv`, 120 rows that a toy can learn; `run`, trained on them; its export in `saved_models`."""
    import kerasft

    def make(folder):
        run = kerasft.fit(
            task="sentiment",
            data=str(write_csv(folder / "rows.csv", toy_rows(120))),
            backbone=str(toy_backbone),
            output=folder / "run",
            batch_size=8,
            phases=TOY_PHASES,
            # `auto` measures the machine: the figures would depend on it.
            precision="float32",
            report=lambda line: None,
        )
        run.export(export_dir=folder / "saved_models")

    return made_once(tmp_path_factory, "toy", make)


@pytest.fixture(scope="session")
def toy_csv(toy_folder) -> Path:
    """120 rows that a toy can learn."""
    return toy_folder / "rows.csv"


@pytest.fixture(scope="session")
def toy_run(toy_folder, tmp_path_factory):
    """A finished run on the toy, of this worker's own: an export is noted in it."""
    import kerasft

    return kerasft.load_run(shutil.copytree(toy_folder / "run", tmp_path_factory.mktemp("runs") / "toy"))


@pytest.fixture(scope="session")
def toy_export(toy_folder) -> Path:
    """The toy run's export, proven and published."""
    return toy_folder / "saved_models" / "sentiment" / "1"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real public data on the project's own machines; a user's clone has none."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the maintainers' data folder beside the repository")
    return SHARED / "data"
