"""Masked language modelling: what it leaves is a backbone, and what it serves fills gaps."""

import math

import numpy as np
import pytest

import kerasft
from kerasft.backbones.load import load_backbone, load_text_functions
from kerasft.data.encode import encode
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.export.check import check_export
from kerasft.run import read_json
from kerasft.tasks.masked_lm import TASK, judge, pose
from kerasft.training.order import new_order
from kerasft.training.phases import plan
from kerasft.training.recipe import make_recipe
from kerasft.weights import network_weights
from tests.run_results import differences, history_of, weights_of, write_bert
from tests.small_runs import recorder
from tests.toy import toy_rows

HEAD = {"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2}
TOP = [HEAD, {"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3, "lora": 2}]
ALL = [{"unfrozen": "all", "epochs": 3, "learning_rate": 1e-2}]


def lines(count, seed=0):
    return [{"text": row["text"]} for row in toy_rows(count, seed)]


def fit(backbone, output, **settings):
    common = {"task": "masked-lm", "data": lines(90), "eval_data": lines(30, seed=1), "batch_size": 8}
    common |= {"max_length": 16, "precision": "float32", "report": lambda line: None}
    return kerasft.fit(backbone=str(backbone), output=output, **{**common, **settings})


def arrays_of(backbone):
    layers = (*backbone.bottom, *backbone.blocks, *backbone.top)
    return [weight.numpy() for layer in layers for weight in plain_weights(layer)]


def plain_weights(layer):
    """Without the states of dropout's random numbers."""
    return [weight for weight in layer.weights if "seed_generator" not in weight.path]


def same(ours, theirs):
    return all(one.tobytes() == other.tobytes() for one, other in zip(ours, theirs, strict=True))


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def source(request, toy_backbone, toy_gpt2):
    return toy_backbone if request.param == "bert" else toy_gpt2


@pytest.fixture(scope="module")
def adapted(source, tmp_path_factory):
    """A run over head and low-rank factors, with what it reported."""
    reported = []
    return fit(source, tmp_path_factory.mktemp("runs") / "run", phases=TOP, report=reported.append), reported


def test_the_adapted_backbone_is_the_trained_one_whole(source, adapted):
    run, _ = adapted
    before, after = load_backbone(source), load_backbone(run.adapted)
    assert same(arrays_of(after), arrays_of(run.network.backbone))
    changed = [one.tobytes() != other.tobytes() for one, other in zip(arrays_of(before), arrays_of(after), strict=True)]
    assert any(changed)
    # Nothing has flowed into frozen embeddings through the tied head.
    bottom = sum(len(plain_weights(layer)) for layer in before.bottom)
    assert same(arrays_of(before)[:bottom], arrays_of(after)[:bottom])
    # Nor is lost what the network does not use.
    assert len(after.model.weights) == len(before.model.weights)
    if hasattr(before.model, "pooled_dense"):
        pooler = [[weight.numpy() for weight in one.model.pooled_dense.weights] for one in (before, after)]
        assert same(*pooler)
    ours, theirs = load_text_functions(source), load_text_functions(run.adapted)
    assert ours.vocabulary == theirs.vocabulary
    assert ours.max_length == theirs.max_length
    texts = ["a Film, caf\u00e9s!", "\u5317\u4eac [MASK]"]
    assert ours.tokenize(texts).ids.to_list() == theirs.tokenize(texts).ids.to_list()
    assert not [path for path in run.folder.iterdir() if path.name.startswith(".")]


def test_another_task_begins_with_it(adapted, tmp_path):
    run, _ = adapted
    other = kerasft.fit(
        task="sentiment",
        data=toy_rows(60),
        backbone=str(run.adapted),
        output=tmp_path / "run",
        phases=[HEAD],
        max_length=16,
        precision="float32",
        report=lambda line: None,
    )
    assert same(arrays_of(other.network.backbone), arrays_of(load_backbone(run.adapted)))


def test_figures_are_of_the_same_hidden_tokens_every_time(source, adapted, tmp_path):
    run, reported = adapted
    found = run.metrics["metrics"]
    assert found["perplexity"] == pytest.approx(math.exp(found["log_loss"]))
    assert found["hidden_tokens"] >= 30
    assert found["accuracy_95"][0] <= found["accuracy"] <= found["accuracy_95"][1]
    again = run.evaluate(lines(30, seed=1))["metrics"]
    for name in ("accuracy", "hidden_tokens", "rows"):
        assert again[name] == found[name]
    assert again["log_loss"] == pytest.approx(found["log_loss"], rel=1e-6)
    watched = [float(row["eval_loss"]) for row in history_of(run.folder)]
    assert min(abs(loss - found["log_loss"]) for loss in watched) < 1e-4
    assert run.metrics["seconds"]["backbone"] >= 0
    assert any(line.startswith("No prefix cache: what task 'masked-lm' reads") for line in reported)
    # The tied matrix is kept once.
    size = (len(run.text.vocabulary), run.network.backbone.hidden_size)
    assert [array.shape for array in weights_of(run.folder).values()].count(size) == 1
    weights = network_weights(run.network)
    assert len({id(weight) for weight in weights}) == len(weights)


def test_a_gap_is_answered_for_each_mask(adapted):
    run, _ = adapted
    answers = run.predict(["a very [MASK] film and [MASK]", "a film", "[MASK] " * 30])
    assert [answer["count"] for answer in answers][:2] == [2, 0]
    assert answers[0]["filled"] == f"a very {answers[0]['words'][0][0]} film and {answers[0]['words'][1][0]}"
    assert answers[0]["truncated"] is False
    assert answers[1]["filled"] == "a film"
    assert answers[2]["truncated"] is True
    assert 0 < answers[2]["count"] < 30
    assert answers[2]["filled"].count("[MASK]") == 30 - answers[2]["count"]
    # A request without any gap, alone.
    assert run.predict(["a film"]) == [
        {"text": "a film", "words": [], "scores": [], "count": 0, "filled": "a film", "truncated": False}
    ]
    for answer in answers:
        for words, scores in zip(answer["words"][: answer["count"]], answer["scores"], strict=False):
            assert len(set(words)) == len(words) == 5
            assert sorted(scores, reverse=True) == scores


@pytest.fixture(scope="module")
def learnt(toy_backbone, tmp_path_factory):
    """A run over everything, and what `kill -9` would have left of it after 20 updates."""
    parent = tmp_path_factory.mktemp("learnt")
    calls = [recorder(parent / "whole", parent, {20})]
    return fit(toy_backbone, parent / "whole", phases=ALL, save_steps=4, callbacks=calls), parent / "20"


def test_it_learns_and_goes_on_after_a_kill_to_the_last_bit(learnt, toy_backbone):
    whole, killed = learnt
    history = history_of(whole.folder)
    assert float(history[-1]["eval_loss"]) < float(history[0]["eval_loss"]) - 0.2
    # As if it had been killed while the backbone was written, too.
    (killed / ".adapted_backbone.half").mkdir()
    (killed / "adapted_backbone").mkdir()
    kerasft.fit(resume=killed, data=lines(90), eval_data=lines(30, seed=1), report=lambda line: None)
    assert differences(killed, whole.folder) == []
    assert same(*(arrays_of(load_backbone(folder / "adapted_backbone")) for folder in (killed, whole.folder)))
    assert not list(killed.glob(".*"))
    # With the embeddings unfrozen, they move.
    moved, begun = (
        load_backbone(folder).token_embedding.embeddings.numpy() for folder in (whole.adapted, toy_backbone)
    )
    assert np.abs(moved - begun).max() > 1e-3


def test_the_export_is_proven_on_gaps_and_passes_the_check(learnt, tmp_path, opened_once):
    run, _ = learnt
    exported = run.export(export_dir=tmp_path / "saved_models")
    texts = [pose(row["text"].encode(), number).decode() for number, row in enumerate(lines(12, seed=3))]
    for ours, served in zip(run.predict(texts), kerasft.predict(exported, texts), strict=True):
        assert ours["words"] == served["words"]
        assert ours["filled"] == served["filled"]
    assert [answer["filled"] for answer in kerasft.predict(exported, ["a film"])] == ["a film"]
    proof = read_json(next(exported.rglob("proof.json")))
    assert sum(proof["hostile"]["outputs"]["count"]) > 45
    assert check_export(exported)["servable"]
    with pytest.raises(kerasft.KerasftError, match="evaluate the run that it came from"):
        kerasft.evaluate(exported, lines(5))


def test_the_loss_is_the_mean_over_hidden_tokens():
    logits = np.zeros((2, 4, 5), np.float32)
    logits[0, 0, 2] = 3.0
    # As batches are filled up: the targets are wider than the logits, or than the places that are real.
    targets = np.array([[3, 5, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.int32)
    expected = (np.log(np.exp(3) + 4) - 3 + np.log(5)) / 2
    np.testing.assert_allclose(TASK.loss(0.0)(targets, logits), [expected, 0.0], rtol=1e-5)
    np.testing.assert_allclose(judge(targets, logits), [[expected, 1, 2], [0, 0, 0]], rtol=1e-5)


def test_a_long_line_is_read_to_its_end_and_no_token_twice(source):
    text = load_text_functions(source)
    long = " ".join(row["text"] for row in lines(12))
    encoded = encode(text, [[long, "a film"]], 16, overlap=TASK.windows.overlap)
    ids = encoded.inputs["token_ids"]
    read = [ids[a:b] for a, b in zip(encoded.starts[:-1], encoded.starts[1:], strict=True)]
    special = set(text.filling().special)
    flat = [int(token) for window in read for token in window if int(token) not in special]
    assert flat == text.tokenize([long, "a film"]).ids.values.numpy().tolist()
    assert len(encoded) > 5


def test_lines_of_text_files(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes('\ufeffA film.\r\n\n  \n with, commas "and" quotes\u2028inside\n[MASK] here'.encode())
    read = read_for(TASK, path)
    assert read.rows.column("text") == ["A film.", ' with, commas "and" quotes\u2028inside', "[MASK] here"]
    assert read.rows.place(1) == "lines.txt line 4"
    assert read.notes == ("lines.txt: 2 blank lines are left out.",)
    assert read_for(TASK, [{"text": "A film."}]).rows.column("text") == ["A film."]
    (tmp_path / "rows.csv").write_text("text,label\nA film.,x\n")
    assert read_for(TASK, tmp_path).rows.column("text")[-1] == "A film."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lines.txt is empty \\(0 bytes\\): it needs rows"),
        (b"\n \n", "lines.txt has no rows: all of it is blank"),
        (b"good\nb\xe4d\n", "lines.txt is not UTF-8: byte 0xe4"),
        (b"a\x00b\n", "lines.txt"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, message):
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    with pytest.raises(kerasft.KerasftError, match=message):
        read_for(TASK, path)


def test_a_line_that_is_not_utf_8_is_skipped_and_counted(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"good\nb\xe4d\nfine\n")
    read = read_for(TASK, path, on_bad_row="skip")
    assert read.rows.column("text") == ["good", "fine"]
    assert [(one.place, one.reason) for one in read.skipped] == [("lines.txt line 2", "the line is not UTF-8")]


def test_a_backbone_without_a_mask_is_refused_before_anything_is_written(tmp_path):
    folder = write_bert(tmp_path / "bert")
    vocabulary = folder / "assets" / "tokenizer" / "vocabulary.txt"
    vocabulary.write_text(vocabulary.read_text().replace("[MASK]", "[GAP]"))
    with pytest.raises(kerasft.KerasftError, match=r"needs a mask token: the backbone's vocabulary has .* no \[MASK\]"):
        fit(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "setting", [{"labels": ["a", "b"]}, {"pooling": "cls"}, {"dropout": 0.3}, {"label_smoothing": 0.1}]
)
def test_settings_that_mean_nothing_are_refused(setting):
    (key,) = setting
    recipe = make_recipe({"task": "masked-lm", **setting})
    with pytest.raises(kerasft.KerasftError, match=f"Task 'masked-lm' has no use for '{key}'"):
        prepare_sets(TASK, recipe, lines(20), lines(5, seed=1), None, "error")


def test_masks_in_the_training_rows_are_told():
    rows = [*lines(20), {"text": "a [MASK] film"}]
    sets = prepare_sets(TASK, make_recipe({"task": "masked-lm"}), rows, lines(5, seed=1), None, "error")
    assert any("1 training rows have '[MASK]' in them" in warning for warning in sets.warnings)


def test_its_own_plan_gives_way_to_one_that_is_named(toy_backbone, tmp_path):
    found = {}
    for name, settings in {"own": {"epochs": 3}, "named": {"plan": "head"}, "spelt": {"phases": [HEAD]}}.items():
        sources = {"data": lines(20), "eval_data": None, "test_data": None}
        order = new_order("masked-lm", str(toy_backbone), None, None, settings, tmp_path / name, sources, "error")
        found[name] = [(phase.unfrozen, phase.epochs) for phase in plan(order.recipe, blocks=4)]
    assert found == {"own": [("head", 2), ("all", 3)], "named": [("head", 5)], "spelt": [("head", 1)]}
