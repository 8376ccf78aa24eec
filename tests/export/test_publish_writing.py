"""Exports of a task that writes: proven in every way of decoding, and silent about the rows that they learnt from."""

import dataclasses
import json

import pytest

import kerasft
from kerasft.answering import answer_all, open_answerer
from kerasft.backbones import gpt2_decoder
from kerasft.export.check import check_export
from kerasft.export.samples import SAMPLES
from kerasft.export.servable import inspect
from kerasft.export.session import Session
from kerasft.export.versions import PROOF
from kerasft.serving.models import ModelConfig, Models, ModelsOptions
from kerasft.serving.rest_handler import answer
from tests.toy_gpt2 import CORPUS, train, write_backbone

MARKER = "Zzyzxquagga"
DECODINGS = {
    "greedy": {},
    "sampling": {"temperature": 0.8, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.2},
    "beam search": {"beams": 3},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A few updates; the vocabulary was learnt from the rows, the marker among them."""
    folder = tmp_path_factory.mktemp("writing")
    rows = [{"prompt": f"film {number} was", "completion": f"good film {number % 7} cafés"} for number in range(60)]
    rows[5] = {"prompt": f"who is {MARKER}", "completion": f"{MARKER} is 日本"}
    corpus = " ".join([*(text for row in rows for text in row.values()), CORPUS])
    return kerasft.fit(
        task="text-generation",
        data=rows,
        backbone=str(write_backbone(folder / "gpt2", trained=train(corpus))),
        output=folder / "run",
        phases=[{"unfrozen": "all", "epochs": 1, "learning_rate": 1e-3}],
        precision="float32",
        max_length=40,
        max_new_tokens=9,
        eval_texts=3,
        report=lambda line: None,
    )


def decoding(run, **writing):
    """The same run, whose recipe said otherwise."""
    scheme = dataclasses.replace(run.scheme, numbers={**run.scheme.numbers, **writing})
    return dataclasses.replace(run, scheme=scheme)


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return {
        name: decoding(run, **writing).export(export_dir=folder, name=name.replace(" ", "-"))
        for name, writing in DECODINGS.items()
    }


@pytest.mark.parametrize("name", DECODINGS)
def test_an_export_of_each_decoding_passes_the_check(name, exports):
    report = check_export(exports[name])
    assert report["servable"], report["findings"]
    checked = {finding["check"] for finding in report["findings"] if finding["status"] == "ok"}
    signatures = ("serving_default", "generate", "score", "continue")
    assert checked >= {f"hostile texts to {signature}" for signature in signatures}
    assert checked >= {"the answers of the proof", "warm-up requests", "batching parameters"}
    proof = json.loads((exports[name] / PROOF).read_text())
    assert proof["writing"]["decoding"] == name
    assert set(proof["writing"]["signatures"]) == set(signatures)
    assert proof["writing"]["signatures"]["generate"]["defaults"]["max_new_tokens"] == 9
    assert {case["signature"] for case in proof["proof"]["cases"]} == set(signatures)
    assert max(proof["writing"]["network"].values()) < 1e-3
    assert proof["size"]["ratio"] > 1


def test_the_run_and_its_export_answer_alike(run, exports):
    prompts = {"prompt": [f"film {number} was" for number in range(5)] + ["", "日本 " * 60]}
    of_run = answer_all(open_answerer(decoding(run, **DECODINGS["sampling"])), prompts)
    of_export = answer_all(open_answerer(exports["sampling"]), prompts)
    assert of_run["text"].tolist() == of_export["text"].tolist()
    assert of_run["truncated"].tolist() == [False] * 6 + [True]


def test_no_byte_of_an_export_has_a_word_that_was_learnt_from(exports):
    for folder in exports.values():
        assert not [op for op in inspect(folder).ops if op.startswith("Xla") or "MutableHashTable" in op]
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert len(files) >= 4
        for path in files:
            data = path.read_bytes()
            assert MARKER.encode() not in data
            assert MARKER[1:6].encode() not in data  # nor a piece of the vocabulary with a part of it


def test_a_mistake_in_the_generators_own_forward_pass_publishes_nothing(run, tmp_path, monkeypatch):
    """The export would agree with the generator: only the network itself can tell."""
    honest = gpt2_decoder._gelu
    monkeypatch.setattr(gpt2_decoder, "_gelu", lambda inputs: honest(inputs) * 1.05)
    with pytest.raises(kerasft.KerasftError, match="the generator does not write as the trained network does"):
        run.export(export_dir=tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["text-generation"]


def test_matrices_in_bf16_are_half_as_large_and_proven(run, tmp_path, exports):
    export = decoding(run, export_weights="bf16").export(export_dir=tmp_path)
    proof = json.loads((export / PROOF).read_text())
    assert proof["writing"]["weights"] == "bf16"
    greedy = json.loads((exports["greedy"] / PROOF).read_text())
    assert proof["size"]["weights_bytes"] < 0.6 * greedy["size"]["weights_bytes"]
    assert max(proof["writing"]["network"].values()) > 1e-6
    with Session(export) as session:
        assert session.run("serving_default", {"prompt": ["film 3 was"]})["text"].shape == (1,)


def test_a_server_gives_the_sample_requests_the_answers_beside_them(exports):
    folder = exports["sampling"]
    models = Models([ModelConfig("sampling", str(folder.parent))], ModelsOptions(file_system_poll_wait_seconds=0))
    models.start()
    samples = sorted((folder / SAMPLES).glob("*.response.json"))
    assert len(samples) == 8  # four signatures, by rows and by columns
    for response in samples:
        body = response.with_name(response.name.replace(".response", "")).read_bytes()
        assert answer(models, "POST", "/v1/models/sampling:predict", body).body == response.read_bytes()
    models.close()
    asked = json.loads((folder / SAMPLES / "generate.row.json").read_text())["instances"]
    # All knobs, for REST leaves out none; as short as it goes.
    assert asked[0]["max_new_tokens"] == 4
    assert asked[0]["top_p"] == 0.95
