import json

import pytest
from click.testing import CliRunner

from kerasft.backbones.catalog import CATALOG
from kerasft.cli.backbones import _print_table, backbones
from kerasft.errors import KerasftError


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))


def run(*arguments):
    return CliRunner().invoke(backbones, arguments)


def test_list_has_one_line_per_backbone_and_marks_the_default():
    lines = run().stdout.splitlines()
    assert len(lines) == 1 + len(CATALOG)
    assert lines[0].split()[:3] == ["name", "family", "blocks"]
    assert "minilm *" in lines[1]
    assert "6 × 384" in lines[1]
    assert "22.7 M" in lines[1]
    assert "Apache-2.0" in lines[1]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_terminal_table_cuts_nothing_off(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    _print_table([("gpt2_base_en_cnn_dailymail", "gpt2", "12 × 768", "124.4 M", "498 MB", "MIT", "no", "words")])
    printed = capsys.readouterr().out
    assert "gpt2_base_en_cnn_dailymail  gpt2" in printed
    assert "the default" in printed
    assert "parameters" in printed
    assert "…" not in printed
    assert ("description" in printed) == (width == 140)


def test_json_is_a_list_with_checksums_and_cached():
    facts = json.loads(run("--json").stdout)
    assert [fact["name"] for fact in facts] == [entry.name for entry in CATALOG]
    assert facts[0]["default"] is True
    assert facts[0]["sha256"]["vocab.txt"].startswith("07eced375cec")
    assert not any(fact["cached"] for fact in facts)


def test_fetch_prints_the_folder_alone_on_standard_output(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in {"config.json": '{"model_type": "bert"}', "vocab.txt": "a", "model.safetensors": "w"}.items():
        (folder / name).write_text(text)
    result = run("fetch", str(folder))
    assert result.exit_code == 0
    assert result.stdout.strip() == str(folder)


def test_fetch_lets_the_users_mistake_rise_for_the_main_group():
    result = run("fetch", "minilmm")
    assert isinstance(result.exception, KerasftError)
    assert 'Did you mean "minilm"' in str(result.exception)


def test_fetch_of_a_new_one_gets_its_vocabulary(tmp_path, monkeypatch):
    monkeypatch.setattr("kerasft.backbones.new.fetch", lambda name, report: tmp_path / name)
    result = run("fetch", "new:gpt2?layers=2&hidden=64")
    assert result.exit_code == 0
    assert result.stdout.strip() == str(tmp_path / "gpt2-vocabulary")
    assert "each run makes its own, by its seed; the vocabulary alone is fetched" in result.stderr
    assert "unknown key 'layer'" in str(run("fetch", "new:gpt2?layer=2").exception)
