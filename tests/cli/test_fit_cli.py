"""`kerasft fit`: going on, looking for a rate, and settings that cannot be."""

from pathlib import Path

import pytest

from kerasft import cli
from kerasft.export import proof
from tests.toy import toy_rows, write_csv

HEAD = "phases=[{unfrozen: head, epochs: 1, learning_rate: 0.01}]"


@pytest.fixture
def fit(capsys, tmp_path, monkeypatch):
    """Runs `kerasft fit` in this process, in an empty folder but for rows.csv; gives status, output, error lines."""
    write_csv(tmp_path / "rows.csv", toy_rows(60))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capsys.readouterr()
        try:
            cli.main(["fit", *map(str, arguments)])
            status = 0
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return status, out, err.splitlines()

    return run


@pytest.fixture
def rows(toy_backbone):
    """What names task, rows and backbone."""
    return ["--task", "sentiment", "--data", "rows.csv", "--backbone", toy_backbone]


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "rows.csv")


def test_help_names_what_a_stopped_run_needs(fit):
    status, out, _ = fit("--help")
    assert status == 0
    for option in ("--resume RUN_DIR", "--keep-cache", "--find-lr", "--set K=V", "--export-dir DIR"):
        assert option in out


IMPOSSIBLE = {
    "a phase without epochs": ("phases=[{unfrozen: head, epochs: 0, learning_rate: 0.01}]", "epochs", "1 or more"),
    "more blocks than there are": ("phases=[{unfrozen: 9, epochs: 1, learning_rate: 0.01}]", "9 blocks", "has 2"),
    "more blocks by a plan": ("plan=top-9", "9 blocks", "has 2"),
    "no blocks": ("phases=[{unfrozen: 0, epochs: 1, learning_rate: 0.01}]", "'head', 'all' or a number", "found 0"),
    "no phases": ("phases=[]", "one phase or more"),
    "more micro-batches than rows": ("accumulate=500", "500 micro-batches", "smaller accumulate"),
    "workers that nobody named": ("strategy=multiworker", "TF_CONFIG", "kerasft launch -n 2"),
    "float16 without a GPU": ("precision=fp16", "GPU", "precision=bf16"),
    "an unknown plan": ("plan=gradul", "'gradul'", 'Did you mean "gradual"?'),
    "an unknown strategy": ("strategy=mirored", 'Did you mean "mirrored"?'),
    "factors as wide as the kernel": ("phases=[{unfrozen: 1, epochs: 1, learning_rate: 0.01, lora: 99}]", "1 to 16"),
    "factors in the head": ("phases=[{unfrozen: head, epochs: 1, learning_rate: 0.01, lora: 2}]", "into blocks"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_settings_that_cannot_be_are_one_line_and_leave_nothing(fit, rows, tmp_path, monkeypatch, what):
    import tensorflow as tf

    monkeypatch.delenv("TF_CONFIG", raising=False)
    if what.startswith("float16") and tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")
    assignment, *expected = IMPOSSIBLE[what]
    status, out, err = fit(*rows, "--set", assignment)
    assert status == 2
    assert out == ""
    assert [line for line in err if line.startswith("Error: ")] == err[-1:]
    for words in expected:
        assert words in err[-1]
    assert written(tmp_path) == []


def test_find_lr_prints_what_it_found_and_leaves_the_curve_alone(fit, rows, tmp_path):
    status, out, err = fit(*rows, "--set", HEAD, "--find-lr")
    assert status == 0, err
    first = out.splitlines()[0]
    if not first.startswith("No suggestion"):
        assert 1e-7 < float(first.removeprefix("Suggested: --set learning_rate=")) < 1
    assert f"Table: {Path('runs/sentiment-rates-1/learning_rates.csv')}" in out
    assert written(tmp_path) == ["runs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["sentiment-rates-1"]


@pytest.mark.parametrize(
    "option", [["--resume", "x"], ["--test-data", "x"], ["--name", "x"], ["--keep-cache"], ["--no-export"]]
)
def test_find_lr_takes_no_option_of_a_run(fit, rows, tmp_path, option):
    status, _, err = fit(*rows, "--find-lr", *option)
    assert status == 2
    assert err == [f"Error: --find-lr trains nothing: leave {option[0]} away."]
    assert written(tmp_path) == []


def test_a_run_whose_export_was_interrupted_is_published_where_the_first_command_said(fit, rows, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    where = ["--export-dir", "served", "--name", "reviews", "--output", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(proof, "prove", interrupted)
        status, _, err = fit(*rows, "--set", HEAD, *where)
    assert status == 130
    assert err[-1] == "Interrupted."
    assert list((tmp_path / "served" / "reviews").iterdir()) == []

    # The rows are not needed any more: its training is done. How an export is proven is told elsewhere.
    monkeypatch.setattr(proof, "prove", lambda *_, **__: ({}, []))
    (tmp_path / "rows.csv").unlink()
    status, out, err = fit("--resume", "run")
    assert status == 0, err
    assert "Run run has finished its training." in err
    assert "SavedModel: served/reviews/1\n" in out
    assert "accuracy" in out
    assert written(tmp_path) == ["run", "served"]

    # And once is enough.
    status, out, _ = fit("--resume", "run")
    assert status == 0
    assert "SavedModel" not in out
    assert [path.name for path in (tmp_path / "served" / "reviews").iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--seed", "1"], "its own seed"), (["--set", "epochs=3"], "its own 'epochs'"), (["--data", "x.csv"], "x.csv")],
)
def test_a_resumed_run_keeps_what_it_learns_from(fit, tmp_path, arguments, expected):
    from kerasft.training.recipe import make_recipe, recipe_yaml

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(recipe_yaml(make_recipe({"task": "sentiment"})))
    sources = '{"data": "rows.csv", "eval_data": null, "test_data": null}'
    (tmp_path / "run" / "run.json").write_text(f'{{"sources": {sources}, "on_bad_row": "error", "data": {{}}}}')
    status, _, err = fit("--resume", "run", *arguments)
    assert status == 2
    assert len(err) == 1
    assert expected in err[0]
