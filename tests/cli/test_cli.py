"""The command line as a user meets it: a mistake is one line and exit status 2, and nothing is written."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerasft import cli
from tests.toy import toy_rows, write_csv

ROOT = Path(__file__).parents[2]


def run(capsys, *arguments):
    """Runs a command in this process; gives status, standard output, standard error."""
    capsys.readouterr()
    try:
        cli.main([str(argument) for argument in arguments])
        status = 0
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def test_help_takes_no_tensorflow_and_no_time():
    code = "import sys; from kerasft.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'tensorflow', 'keras', 'pyarrow', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    best = 9.0
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
        best = min(best, time.monotonic() - began)
    assert best < 0.3


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(capsys, command):
    status, out, _ = run(capsys, command, "--help")
    assert status == 0
    assert "Usage: kerasft" in out


MISTAKES = {
    "unknown command": (["fitt"], 'Did you mean "fit"'),
    "unknown flag": (["fit", "--taks", "x"], "--task"),
    "no task": (["fit"], "No task"),
    "unknown task": (["fit", "--task", "sentimant"], 'Did you mean "sentiment"'),
    "unknown backbone": (["fit", "--task", "sentiment", "--backbone", "minilmm"], 'Did you mean "minilm"'),
    "unknown key": (["fit", "--task", "sentiment", "--set", "epoch=3"], 'Did you mean "epochs"'),
    "bad value": (["fit", "--task", "sentiment", "--set", "epochs=many"], "epochs"),
    "no such recipe": (["fit", "--task", "sentiment", "--recipe", "nowhere.yaml"], "nowhere.yaml"),
    "no such data": (["fit", "--task", "sentiment", "--data", "nowhere.csv"], "nowhere.csv"),
    "no such task module": (["fit", "--task", "no_module:TASK"], "'no_module' cannot be imported"),
    "nothing to resume": (["fit", "--resume", "nowhere"], "nothing to resume"),
    "resume of no run": (["fit", "--resume", "."], "is not a run of kerasft"),
    "no such run": (["evaluate", "nowhere", "--data", "x.csv"], "nowhere"),
    "neither text nor data": (["predict", "nowhere"], "--text"),
    "no such export": (["check", "nowhere"], "nowhere"),
    "run to export missing": (["export", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_line_and_status_two(capsys, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    arguments, expected = MISTAKES[what]
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert err.count("\n") == 1
    assert err.startswith("Error: ")
    assert expected in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


BAD_DATA = {
    "missing column": (b"a,b,c\nfine,good,5\npoor,bad,1\n", "'text'"),
    "empty file": (b"", "empty"),
    "header only": (b"text,label\n", "row"),
    "empty text": (b"text,label\nfine,a\n,b\n", "row 2"),
    "missing label": (b"text,label\nfine,a\npoor,\n", "row 2"),
    "one class": (b"text,label\n" + b"".join(b"fine %d,a\n" % n for n in range(40)), "'a'"),
    "too few rows": (b"text,label\n" + b"".join(b"fine %d,a\n" % n for n in range(40)) + b"poor,b\n", "'b'"),
    "ragged row": (b"text,label\nfine,a\npoor,b,c\n", "row 2"),
    "not UTF-8": (b"text,label\nfine,a\nd\xe9j\xe0,b\n", "byte"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "PNG"),
}


@pytest.mark.parametrize("what", BAD_DATA)
def test_bad_data_is_one_line_with_the_file_and_nothing_written(capsys, tmp_path, monkeypatch, toy_backbone, what):
    content, expected = BAD_DATA[what]
    (tmp_path / "reviews.csv").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, "fit", "--task", "sentiment", "--data", "reviews.csv", "--backbone", toy_backbone)
    assert status == 2
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert err.splitlines()[-1] == errors[0]
    assert expected in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


def test_a_label_of_the_eval_data_that_training_has_not(capsys, tmp_path, monkeypatch, toy_backbone):
    write_csv(tmp_path / "train.csv", toy_rows(40))
    write_csv(tmp_path / "eval.csv", [*toy_rows(10, seed=1), {"text": "so so", "label": "neutral"}])
    monkeypatch.chdir(tmp_path)
    arguments = [
        "fit",
        "--task",
        "sentiment",
        "--data",
        "train.csv",
        "--eval-data",
        "eval.csv",
        "--backbone",
        toy_backbone,
    ]
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "eval.csv row 11" in err.splitlines()[-1]
    assert "neutral" in err.splitlines()[-1]


def test_a_run_folder_is_never_overwritten(capsys, toy_run, toy_backbone):
    before = {path: path.stat().st_mtime_ns for path in toy_run.folder.rglob("*")}
    status, _, err = run(capsys, "fit", "--task", "sentiment", "--backbone", toy_backbone, "--output", toy_run.folder)
    assert status == 2
    assert "never overwritten" in err
    assert {path: path.stat().st_mtime_ns for path in toy_run.folder.rglob("*")} == before


def test_evaluate_and_predict_agree_on_a_run_and_its_export(capsys, toy_run, toy_export, toy_csv, tmp_path):
    figures, answers = [], []
    for target in (toy_run.folder, toy_export, toy_export.parent):
        status, out, _ = run(capsys, "evaluate", target, "--data", toy_csv, "--json")
        assert status == 0
        figures.append(json.loads(out))
        status, _, _ = run(capsys, "predict", target, "--data", toy_csv, "--output", tmp_path / "answers.jsonl")
        assert status == 0
        answers.append([json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()])
    assert figures[0]["task"] == "sentiment"
    for other_figures, other_answers in zip(figures[1:], answers[1:], strict=True):
        assert other_figures["metrics"]["accuracy"] == figures[0]["metrics"]["accuracy"]
        assert other_figures["metrics"]["confusion_matrix"] == figures[0]["metrics"]["confusion_matrix"]
        for one, other in zip(answers[0], other_answers, strict=True):
            assert (one["text"], one["label"]) == (other["text"], other["label"])
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_predict_takes_any_text(capsys, toy_export):
    status, out, _ = run(
        capsys, "predict", toy_export, "--text", "a lovely film", "--text", "", "--text", "🙂\u200dé\x01"
    )
    assert status == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == ["a lovely film", "", "🙂\u200dé\x01"]
    assert all(set(row) == {"text", "label", "score", "probabilities", "truncated"} for row in rows)


def test_tokens_are_printed_as_json(capsys, toy_backbone):
    status, out, _ = run(capsys, "tokens", "--backbone", toy_backbone, "--text", "Good [MASK]!", "--json")
    assert status == 0
    row = json.loads(out)
    assert row["pieces"] == ["good", "[", "m", "##a", "##s", "##k", "]", "!"]
    assert row["offsets"] == [[0, 4], [5, 6], [6, 7], [7, 8], [8, 9], [9, 10], [10, 11], [11, 12]]
    assert len(row["ids"]) == 8


def test_a_task_is_shown_with_a_request_and_its_answer(capsys):
    status, out, _ = run(capsys, "tasks", "ranking", "--json")
    assert status == 0
    contract = json.loads(out)
    assert contract["columns"] == ["query", "document", "relevance"]
    assert contract["request"]["instances"][0].keys() == {"query", "document"}
    assert contract["response"]["predictions"][0].keys() == {"score", "truncated"}
    assert contract["signatures"] == ["serving_default", "regress"]
    status, out, _ = run(capsys, "tasks", "regression")
    assert status == 0
    assert "text_pair (optional)" in out
    status, _, err = run(capsys, "tasks", "rankin")
    assert status == 2
    assert 'Did you mean "ranking"' in err


def test_tasks_are_listed(capsys):
    status, out, _ = run(capsys, "tasks", "--json")
    assert status == 0
    assert {json.loads(line)["name"] for line in out.splitlines()} >= {"sentiment", "text-classification"}
