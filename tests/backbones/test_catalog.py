import re
import subprocess
import sys

import pytest

from kerasft.backbones import catalog
from kerasft.backbones.presets import keras_presets
from kerasft.errors import KerasftError

PRESETS = [entry for entry in catalog.CATALOG if not entry.files]


def test_default_is_minilm_with_every_file_checked():
    entry = catalog.find(catalog.DEFAULT)
    assert entry.name == "minilm"
    assert {"config.json", "model.safetensors", "vocab.txt"} <= {file.name for file in entry.files}
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size > 0 for file in entry.files)
    assert "==" in entry.wheel.requirement
    assert entry.wheel.folder.endswith("/")


def test_names_are_unique():
    assert len({entry.name for entry in catalog.CATALOG}) == len(catalog.CATALOG)


@pytest.mark.parametrize("entry", catalog.VOCABULARIES, ids=lambda entry: entry.name)
def test_a_vocabulary_has_known_files_and_is_no_backbone(entry):
    assert catalog.find(entry.name) is entry
    assert entry not in catalog.CATALOG
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size > 0 for file in entry.files)
    assert set(entry.wheel.names) <= {file.name for file in entry.files}
    # Its source is a whole model: that address must not give the vocabulary alone.
    with pytest.raises(KerasftError):
        catalog.find(entry.source)


def test_all_bert_and_gpt2_presets_of_the_installed_keras_nlp_are_listed():
    known = {name for name in keras_presets() if name.startswith(("bert_", "gpt2_"))}
    assert known, "keras-nlp keeps its preset tables elsewhere: kerasft.backbones.presets must follow"
    assert {entry.name for entry in PRESETS} == known
    for entry in PRESETS:
        assert keras_presets()[entry.name] == (entry.source, entry.family)


@pytest.mark.parametrize("entry", catalog.CATALOG, ids=lambda entry: entry.name)
def test_blocks_and_width_account_for_the_parameters(entry):
    """Vaswani et al. 2017's block at 4 × width, BERT's pooler and GPT-2's last norm leave a whole vocabulary."""
    width = entry.width
    block = 12 * width**2 + 13 * width
    around = (512 + 2 + 2) * width + width**2 + width if entry.family == "bert" else (1024 + 2) * width
    rows, rest = divmod(entry.parameters - entry.blocks * block - around, width)
    assert rest == 0
    assert rows == 50257 if entry.family == "gpt2" else 20_000 < rows < 120_000


def test_unknown_name_gets_the_nearest():
    with pytest.raises(KerasftError, match='Did you mean "bert_base_en"'):
        catalog.find("bert_base_em")


def test_the_command_imports_no_tensorflow_keras_or_hub_client():
    code = (
        "import sys, kerasft.cli.backbones; from kerasft.backbones.locate import resolve; resolve('bge_small_en');"
        "print([m for m in ('tensorflow', 'keras', 'keras_hub', 'keras_nlp', 'kagglehub', 'huggingface_hub', 'rich')"
        " if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
