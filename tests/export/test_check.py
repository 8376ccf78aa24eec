import base64
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from kerasft.cli.check import check
from kerasft.errors import KerasftError
from kerasft.export.check import check_export, version_folder
from kerasft.export.check_files import judge_files
from kerasft.export.hostile import HOSTILE_TEXTS
from kerasft.export.session import Session
from kerasft.export.warm_file import Request, write_warm_file
from kerasft.serving.warm_up import REQUESTS


def failures(report):
    return [
        f"{finding['check']}: {finding['detail']}" for finding in report["findings"] if finding["status"] == "failed"
    ]


@pytest.fixture(scope="module")
def report(good):
    return check_export(good.parent)


def test_a_good_export_is_servable(report, good):
    assert failures(report) == []
    assert report["servable"] is True
    assert report["export"] == str(good)
    assert report["lowest_release"] == "2.12"
    checks = {finding["check"] for finding in report["findings"]}
    assert {"hostile texts to serving_default", "hostile texts to classify", "loads in the C++ loader"} <= checks
    json.dumps(report)


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("python", "PyFunc"),
        ("compiled", "XLA"),
        ("growing", "keeps a table that grows"),
        ("lost", "hostile texts to serving_default|loads in the C"),
        ("entangled", "alone and in a batch"),
    ],
)
def test_a_bad_export_is_not(bad, which, words):
    found = check_export(bad[which])
    assert found["servable"] is False
    assert any(any(word in line for word in words.split("|")) for line in failures(found))


def test_shapes_that_the_apis_refuse_are_named(bad):
    lines = failures(check_export(bad["shapes"]))
    assert any("input x is of shape []: without an open batch dimension" in line for line in lines)
    assert any("classes must be string [batch, classes]" in line for line in lines)
    assert any("scores must be float32 [batch, classes]" in line for line in lines)


def test_answers_are_compared_with_those_of_the_proof(good, tmp_path):
    folder = tmp_path / "model" / "7"
    shutil.copytree(good, folder)
    texts = [text for _, text in HOSTILE_TEXTS]
    with Session(folder) as session:
        outputs = session.run("serving_default", {"text": texts}, outputs=["label", "probabilities"])
    stored = {
        "signature": "serving_default",
        "texts_base64": {"text": [base64.b64encode(text).decode() for text in texts]},
        "outputs": {
            "label": [label.decode() for label in outputs["label"]],
            "probabilities": outputs["probabilities"].tolist(),
        },
    }
    path = folder / "assets.extra" / "kerasft" / "proof.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"hostile": stored}))
    found = check_export(tmp_path / "model")
    assert failures(found) == []
    assert any(finding["check"] == "the answers of the proof" for finding in found["findings"])

    stored["outputs"]["label"][3] = "neither"
    path.write_text(json.dumps({"hostile": stored}))
    (line,) = failures(check_export(folder))
    assert "the answers of the proof: output label, row 3: expected b'neither'" in line


def test_the_highest_version_is_taken(tmp_path):
    for name in ("2", "10", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()  # not yet a SavedModel
    assert version_folder(tmp_path).name == "10"


def test_not_a_saved_model_is_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(KerasftError) as caught:
            check_export(path)
        assert "\n" not in str(caught.value)


def test_the_command_prints_marks_and_exits_with_0_or_1(good, bad):
    right = CliRunner().invoke(check, [str(good)])
    assert right.exit_code == 0
    assert "Servable from TensorFlow Serving 2.12 on." in right.output
    wrong = CliRunner().invoke(check, [str(bad["growing"]), "--json"])
    assert wrong.exit_code == 1
    assert json.loads(wrong.output)["servable"] is False


def test_files_that_would_keep_a_server_from_loading_it_are_found(good, tmp_path):
    folder = shutil.copytree(good, tmp_path / "1")
    write_warm_file(folder, [Request("classify", "predict", {"inputs": np.array([b"no example"], object)})])
    (folder / "batching_params.pbtxt").write_text("max_batch_size { value: 4 }\nallowed_batch_sizes: 2\n")
    lines = failures(check_export(folder))
    assert [line.partition(":")[0] for line in lines] == ["batching parameters", "warm-up requests"]
    assert "Last entry in allowed_batch_sizes must match max_batch_size" in lines[0]
    assert "number 0, to classify, fails" in lines[1]
    (folder / REQUESTS).write_bytes(b"nonsense")
    requests, [(status, _, detail), _] = judge_files(folder)
    assert (requests, status) == ([], "failed")
    assert "truncated record at 0" in detail
