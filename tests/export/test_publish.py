"""Publishing: whole or not at all, whatever happens in the middle."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kerasft
from kerasft import cli
from kerasft.export import proof, saved_model
from kerasft.export.session import Session
from kerasft.export.versions import PROOF, model_folder
from tests.interruptible import ctrl_c_counts

ROOT = Path(__file__).parents[2]


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_export_says_what_it_is(toy_export, toy_run):
    stored = json.loads((toy_export / PROOF).read_text())
    assert stored["task"] == "sentiment"
    assert stored["scheme"] == {"labels": ["negative", "positive"], "numbers": {}}
    assert stored["metrics"] == toy_run.metrics["metrics"]
    assert stored["data"]["train"]["rows"] + stored["data"]["eval"]["rows"] == 120
    assert stored["proof"]["xla"] is False
    assert stored["proof"]["max_difference"] <= 1e-5
    assert {case["what"] for case in stored["proof"]["cases"]} >= {"held-out rows", "hostile texts"}
    assert (toy_export.name, toy_export.parent.name) == ("1", "sentiment")
    assert everything_below(toy_export.parent)[0] == "1"
    assert toy_run.metrics["seconds"]["export"] > 0


def test_both_signatures_answer_in_the_c_runtime(toy_export):
    import tensorflow as tf

    texts = [b"a lovely warm film", b"a dull plot", b""]
    examples = [
        tf.train.Example(
            features=tf.train.Features(feature={"text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))})
        ).SerializeToString()
        for text in texts
    ]
    with Session(toy_export) as session:
        served = session.run("serving_default", {"text": texts})
        classified = session.run("classify", {"inputs": examples})
    assert served["label"].shape == served["score"].shape == (3,)
    assert served["probabilities"].shape == (3, 2)
    np.testing.assert_allclose(served["probabilities"].sum(1), 1, atol=1e-6)
    assert classified["classes"].tolist() == [[b"negative", b"positive"]] * 3
    np.testing.assert_allclose(classified["scores"], served["probabilities"], atol=1e-6)


def test_a_wrong_rank_is_refused_by_the_graph_itself(toy_export):
    with Session(toy_export) as session, pytest.raises(Exception, match=r"\[\?\]|rank|shape|Shape"):
        session.run("serving_default", {"text": np.array([[b"a"], [b"b"]], object)})


def test_the_next_export_is_the_next_version_and_leaves_the_first_alone(toy_export, toy_run, tmp_path, monkeypatch):
    first = Path(shutil.copytree(toy_export, tmp_path / "mood" / "1"))
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in first.rglob("*")}
    # It is the first one's over again, which was proven.
    replayed = []
    monkeypatch.setattr(proof, "prove", lambda *_, also, **__: replayed.extend(also) or ({}, []))
    second = toy_run.export(export_dir=tmp_path, name="mood")
    assert second == tmp_path / "mood" / "2"
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in first.rglob("*")} == before
    assert sorted(path.name for path in first.parent.iterdir()) == ["1", "2"]
    assert [name for name, _ in replayed] == ["serving_default"] * 3 + ["classify"] * 3


def test_a_failed_proof_publishes_nothing(toy_run, tmp_path, monkeypatch):
    honest = saved_model.save

    def forge(task, *rest):
        def respond(logits, labels):
            return {
                name: value * 0.999 if name == "score" else value
                for name, value in task.respond(logits, labels).items()
            }

        honest(dataclasses.replace(task, respond=respond), *rest)

    monkeypatch.setattr(saved_model, "save", forge)
    with pytest.raises(kerasft.KerasftError, match="output score"):
        toy_run.export(export_dir=tmp_path)
    assert everything_below(tmp_path) == ["sentiment"]


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", ".."])
def test_a_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(kerasft.KerasftError, match="cannot name a model"):
        model_folder(Path("saved_models"), name)


def test_a_full_disk_leaves_no_half_version(toy_run, tmp_path, capsys):
    """A limit on the size of a file stands in for the full disk: the write of the weights fails in the middle."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(SystemExit) as stop:
            cli.main(["export", str(toy_run.folder), "--export-dir", str(tmp_path / "out")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in said
    assert everything_below(tmp_path / "out") == ["sentiment"]


def test_ctrl_c_while_exporting_leaves_no_half_version(toy_run, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasft", "export", str(toy_run.folder), "--export-dir", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ctrl_c_counts,
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("Proving"):
            # As a terminal does it: to the whole group, the proving process included.
            os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert lines[-1] == "Interrupted.\n"
    assert everything_below(tmp_path / "out") == ["sentiment"]
