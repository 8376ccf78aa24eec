"""The learning-rate range test on real rows: a curve is left, and nothing else."""

import csv
import importlib.util

import pytest

from kerasft.errors import KerasftError
from kerasft.training import range_test
from kerasft.training.range_test import search_rate


def search(small, **more):
    lines = []
    settings = {"phases": small.settings["phases"][:1], "batch_size": 8, "precision": "float32", **more}
    found = search_rate("sentiment", str(small.data), backbone=str(small.backbone), report=lines.append, **settings)
    return *found, lines


def test_rates_from_tiny_to_huge_are_tried_and_the_curve_is_kept(small, tmp_path):
    found, table, picture, lines = search(small, output=tmp_path / "rates")
    assert found.rates[0] == pytest.approx(1e-7)
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    # Either it went to the end, or the loss blew up.
    assert found.rates[-1] == pytest.approx(1.0 if found.diverged_at is None else found.diverged_at)
    assert found.suggestion is None or 1e-7 < found.suggestion < 1
    with open(table, newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found.rates)
    assert table == tmp_path / "rates" / "learning_rates.csv"
    if importlib.util.find_spec("matplotlib"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    else:
        assert picture is None
        assert "pip install 'kerasft[report]'" in lines[-1]
    assert {path.name for path in (tmp_path / "rates").iterdir()} <= {"learning_rates.csv", "learning_rates.png"}
    assert "Trying 100 learning rates with the last phase unfrozen (head)." in lines


def test_the_rates_really_reach_the_weights(small, tmp_path, monkeypatch):
    """A head that learns fast: the loss at the end is another than at the start."""
    monkeypatch.setattr(range_test, "_STEPS", 40)
    found, *_ = search(small, output=tmp_path / "rates", optimizer="sgd", dropout=0.0)
    # SGD wants rates a hundred times AdamW's.
    assert found.rates[0] == pytest.approx(1e-5)
    # Seven batches an epoch: the same rows again, after updates at rates too small to matter, and after large ones.
    early = abs(found.losses[7:14].mean() - found.losses[:7].mean())
    late = abs(found.losses[-7:].mean() - found.losses[:7].mean())
    assert late > early + 0.01


def test_the_last_phase_is_the_one_that_is_tried_and_folders_are_numbered(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(range_test, "_STEPS", 10)
    phases = [*small.settings["phases"][:1], {"unfrozen": 1, "epochs": 1, "learning_rate": 1e-3, "lora": 2}]
    for number in (1, 2):
        _, table, _, lines = search(small, phases=phases if number == 1 else phases[:1])
        assert str(table.parent) == f"runs/sentiment-rates-{number}"
        assert any(f"({'1' if number == 1 else 'head'})" in line for line in lines)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["sentiment-rates-1", "sentiment-rates-2"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"phases": [{"unfrozen": 9, "epochs": 1, "learning_rate": 1e-3}]}, "unfreezes 9 blocks"),
        ({"batch_sise": 8}, 'Did you mean "batch_size"'),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_mistake_leaves_nothing(small, tmp_path, settings, expected):
    with pytest.raises(KerasftError, match=expected):
        search(small, output=tmp_path / "rates", **settings)
    assert list(tmp_path.iterdir()) == []
