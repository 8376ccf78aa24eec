"""Semantic role labelling: the arguments of the word that is meant, as spans of raw characters."""

import json
import random

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kerasft
from kerasft.answering import answer_all, open_answerer
from kerasft.backbones.load import load_text_functions
from kerasft.cli.tasks import tasks
from kerasft.data.encode import encode
from kerasft.data.inputs import numbers_of
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.export import servable
from kerasft.export.check import check_export
from kerasft.tasks.semantic_role_labeling import TASK, is_core, predicate_fault
from kerasft.tasks.task import Scheme
from kerasft.text.reading import read
from kerasft.training.recipe import make_recipe
from tests.toy import BAD, GOOD, OTHER
from tests.toy_gpt2 import write_backbone

SCHEME = Scheme(("A0", "A1", "AM-TMP"))


@pytest.fixture(scope="module", params=["bert", "gpt2"])
def text(request, toy_backbone, tmp_path_factory):
    folder = toy_backbone if request.param == "bert" else write_backbone(tmp_path_factory.mktemp("toy") / "gpt2")
    return load_text_functions(folder)


def judged(count, seed=0):
    """Texts with a good and a bad word; the one that is meant is its own and only role."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        words = [draw.choice(OTHER) for _ in range(draw.randint(1, 5))]
        for word in (draw.choice(GOOD), draw.choice(BAD)):
            words.insert(draw.randint(0, len(words)), word)
        meant, label = draw.choice([(GOOD, "A0"), (BAD, "A1")])
        number = next(number for number, word in enumerate(words) if word in meant)
        start = len(" ".join([*words[:number], ""]))
        roles = [[start, start + len(words[number]), label]]
        rows.append({"text": " ".join(words), "predicate": start + draw.randint(0, 2), "roles": roles})
    return rows


STRANGE = [
    {"text": "a lovely-dull film was", "predicate": 19, "roles": [[2, 8, "A0"], [9, 13, "A1"]]},
    {
        "text": "cafe\u0301s \U0001f468\u200d\U0001f469 joyless!",
        "predicate": 8,
        "roles": [[0, 6, "A1"], [11, 18, "A0"]],
    },
    {"text": "\u5317\u4eac\u5927\u5b66 is good", "predicate": 6, "roles": [[0, 2, "A0"], [8, 12, "AM-TMP"]]},
    {"text": "very very dull " * 30 + "lovely", "predicate": 435, "roles": [[450, 456, "A1"]]},
    {"text": "nothing here", "predicate": 3, "roles": []},
    {"text": "you wouldn't sleep", "predicate": 13, "roles": [[0, 3, "A0"], [4, 9, "A1"], [9, 12, "AM-TMP"]]},
]


def perfect_logits(encoded, tags, reading):
    """Logits that say what the targets say."""
    windows, width = reading.token.shape
    logits = np.zeros((windows, width, 7), np.float32)
    for window in range(windows):
        for place, tag in enumerate(tags.padded(np.array([window]), width)[0]):
            logits[window, place, max(tag, 0)] = 20.0 if tag >= 0 else 0.0
    return logits


def test_what_is_learnt_is_what_is_answered(text):
    """Targets to places, places to words, words to roles, in the windows about the predicate alone."""
    rows = read_for(TASK, STRANGE).rows
    marked = numbers_of(rows, TASK)["predicate"]
    encoded = encode(text, [rows.column("text")], 48, overlap=8, marked=marked)
    assert np.bincount(encoded.places.row).max() <= 2
    assert encoded.places.truncated.tolist() == [False, False, False, True, False, False]
    tags = TASK.targets(rows, SCHEME, encoded)
    reading = read(text, {"text": tf.constant(rows.column("text"))}, 48, 8, tf.constant(marked))
    found = {k: np.asarray(v) for k, v in TASK.respond(perfect_logits(encoded, tags, reading), SCHEME, reading).items()}
    words = ["was", "\U0001f468\u200d", "is", "very", "nothing", "sleep"]
    assert [word.decode() for word in found["predicate_word"]] == words
    for number, row in enumerate(STRANGE):
        count = found["count"][number]
        roles = zip(found["starts"][number], found["ends"][number], found["labels"][number], strict=True)
        assert [[int(a), int(b), label.decode()] for a, b, label in roles][:count] == row["roles"]
        raw = row["text"].encode()
        for place in range(count):
            first, last = found["byte_starts"][number][place], found["byte_ends"][number][place]
            assert raw[first:last] == found["roles"][number][place]
    assert np.all(found["scores"][found["starts"] >= 0] > 0.99)


@pytest.fixture(scope="module")
def answered(text):
    """(text, place, random seed) -> what TASK answers with the logits of no network at all."""

    @tf.function(reduce_retracing=True)
    def respond(texts, places, seed):
        reading = read(text, {"text": texts}, 24, 8, places)
        shape = tf.concat([tf.shape(reading.token), [7]], axis=0)
        logits = tf.ensure_shape(5.0 * tf.random.stateless_normal(shape, tf.stack([seed, 0])), [None, None, 7])
        return {**TASK.respond(logits, SCHEME, reading), "truncated": reading.truncated}

    def answer(content, place, seed):
        found = respond(tf.constant([content.encode()]), tf.constant([place], tf.int32), tf.constant(seed))
        return {name: value.numpy()[0] for name, value in found.items()}

    return answer


@settings(max_examples=60, deadline=None)
@given(content=st.text(max_size=40), place=st.integers(-2, 42), seed=st.integers(0, 2**16))
@example("\u0301a\u0301\u0301 b\u200d\U0001f468\u200d\U0001f469 \u5317\u4eac", 1, 3)
@example("x" * 90 + " y z " * 30, 92, 5)
def test_places_slice_the_raw_text_to_what_is_returned(answered, content, place, seed):
    found = answered(content, place, seed)
    raw, count = content.encode(), int(found["count"])
    word = found["predicate_word"].decode()
    assert word in content
    meant = 0 <= place < len(content) and predicate_fault(str(place), {"text": content}) is None
    assert bool(word) == meant
    assert not meant or content[place] in word
    assert count == 0 or meant
    behind = 0
    for number in range(count):
        start, end = int(found["starts"][number]), int(found["ends"][number])
        first, last = int(found["byte_starts"][number]), int(found["byte_ends"][number])
        role = found["roles"][number].decode()
        assert behind <= start < end <= len(content)
        assert content[start:end] == role == raw[first:last].decode()
        assert not role[0].isspace()
        assert not role[-1].isspace()
        assert 0 < found["scores"][number] <= 1.0001
        behind = end
    for name, fill in (("roles", b""), ("labels", b""), ("starts", -1), ("byte_ends", -1)):
        assert all(value == fill for value in found[name][count:])


# With an API, so that predicates come as features of tf.Examples too.
WITH_API = """
import dataclasses
import tensorflow as tf
from kerasft.tasks import semantic_role_labeling

def regress(logits, scheme, reading):
    return {"outputs": tf.cast(semantic_role_labeling.respond(logits, scheme, reading)["count"], tf.float32)}

TASK = dataclasses.replace(semantic_role_labeling.TASK, apis={"regress": regress})
"""


def test_it_learns_which_word_is_meant_and_the_export_answers_alike(toy_backbone, tmp_path, monkeypatch):
    (tmp_path / "with_api.py").write_text(WITH_API)
    monkeypatch.syspath_prepend(tmp_path)
    # Two signatures of a toy: their tables of characters weigh more than its weights.
    monkeypatch.setattr(servable, "SIZE_ALLOWANCE", 4 << 20)
    run = kerasft.fit(
        task="with_api:TASK",
        data=judged(150),
        eval_data=judged(40, seed=1),
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        batch_size=8,
        max_length=16,
        phases=[{"unfrozen": "all", "epochs": 2, "learning_rate": 1e-2}],
        precision="float32",
        report=lambda line: None,
    )
    figures = run.metrics["metrics"]
    # Whoever is not told which of the two words is meant is right half of the time at best.
    assert figures["f1"] > 0.85
    assert figures["core_f1"] == figures["f1"]
    exported = run.export(export_dir=tmp_path / "saved_models")

    rows = [{name: row[name] for name in TASK.inputs} for row in judged(8, seed=2)]
    rows.append({"text": "a good film " * 40, "predicate": 240 + 2})
    answerer = open_answerer(exported)
    monkeypatch.setattr("kerasft.answering.open_answerer", lambda target: answerer)
    for row, served in zip(rows, kerasft.predict(exported, rows), strict=True):
        assert (served["text"], served["predicate"]) == (row["text"], row["predicate"])
        assert served["text"][served["predicate"]] in served["predicate_word"]
    assert served["truncated"] is True

    with pytest.raises(kerasft.KerasftError, match=r"takes rows with text, predicate; found plain strings"):
        kerasft.predict(exported, ["Ada slept"])

    # A server checks no rows: what cannot be meant is answered all the same.
    odd = {"text": ["a good film"] * 4, "predicate": np.array([1, 11, -1, 2**31 - 1], np.int32)}
    found = answer_all(answerer, odd)
    assert found["predicate_word"].tolist() == [b""] * 4
    assert found["count"].tolist() == [0] * 4

    report = check_export(exported)
    checks = {finding["check"]: finding["status"] for finding in report["findings"]}
    assert report["servable"]
    for check in ("hostile texts to serving_default", "hostile texts to regress", "the answers of the proof"):
        assert checks[check] == "ok"
    stored = json.loads((exported / "assets.extra" / "kerasft" / "proof.json").read_text())
    assert {-1, 0, 2**31 - 1} < set(stored["hostile"]["numbers"]["predicate"])


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ("[[0, 99, 1]]", r"the role [0, 99] is outside its text of 11"),
        ("[[0, 4, 1], [2, 6, 1]]", "the role [2, 6] begins before the one ahead"),
        ('[[0, 4, " "]]', "the role [0, 4] has no label"),
        ("[[1, 2, 1]]", "the role [1, 2] holds no word"),
        ("A0", "the roles are not of the form"),
        ("7", "the roles are not of the form"),
        ('{"A0": [0, 1]}', "the roles are not of the form"),
    ],
)
def test_faulty_roles_are_told(roles, reason):
    assert reason in TASK.cells["roles"].fault(roles, {"text": "a good film"})


PLACES = [
    (1, "the predicate 1 is on ' ', between words"),
    (11, "the predicate 11 is outside its text of 11 characters"),
    (-1, "the predicate -1 is outside its text of 11 characters"),
    ("two", "the predicate 'two' is not a whole number"),
    (2.5, "the predicate '2.5' is not a whole number"),
    ("", "the predicate is empty"),
    (None, "the predicate is missing"),
]


@pytest.mark.parametrize(("place", "reason"), PLACES)
def test_a_faulty_predicate_is_told_with_its_line_or_skipped(tmp_path, place, reason):
    path = tmp_path / "rows.jsonl"
    lines = [*judged(20), {"text": "a good film", "predicate": place, "roles": []}]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    for labelled in (True, False):
        with pytest.raises(kerasft.KerasftError, match=rf"rows.jsonl line 21: {reason}.*--on-bad-row skip"):
            read_for(TASK, path, labelled)
    assert len(read_for(TASK, path, on_bad_row="skip").skipped) == 1


def test_a_character_of_the_word_and_numbers_as_text_will_do():
    rows = [{"text": "a good film", "predicate": place, "roles": ""} for place in (2, 5, "2", " 5 ", 2.0)]
    assert numbers_of(read_for(TASK, rows).rows, TASK)["predicate"].tolist() == [2, 5, 2, 5, 2]


def test_without_predicates_nothing_can_be_asked():
    with pytest.raises(kerasft.KerasftError, match=r"needs a column 'predicate'; the data has 'text'"):
        read_for(TASK, [{"text": "a good film"}], labelled=False)


def test_roles_come_from_the_training_rows():
    recipe = make_recipe({"task": TASK.name})
    sets = prepare_sets(TASK, recipe, judged(40), judged(5, seed=1), None, "error")
    assert sets.scheme.labels == ("A0", "A1")
    other = [{"text": "a film", "predicate": 0, "roles": [[2, 6, "A00"]]}, {"text": "a plot", "predicate": 0}]
    with pytest.raises(kerasft.KerasftError, match=r'row 1: label .A00. of the eval data.*"A0"'):
        prepare_sets(TASK, recipe, judged(40), other, None, "error")
    with pytest.raises(kerasft.KerasftError, match="None of 2 training rows has a role"):
        prepare_sets(TASK, recipe, [{**row, "roles": []} for row in other], judged(5), None, "error")


def test_the_predicates_of_one_text_stay_on_one_side_of_the_split():
    rows = [{"text": f"a good film {n // 2}", "predicate": 2 + 5 * (n % 2), "roles": [[0, 1, "A0"]]} for n in range(80)]
    sets = prepare_sets(TASK, make_recipe({"task": TASK.name}), rows, None, None, "error")
    assert not set(sets.train.column("text")) & set(sets.held_out.column("text"))
    assert not any("also in the training data" in warning for warning in sets.warnings)


def test_core_roles_are_judged_alone():
    rows = read_for(
        TASK,
        [
            {"text": "Ada sold it then", "predicate": 4, "roles": [[0, 3, "A0"], [9, 11, "ARG1"], [12, 16, "AM-TMP"]]},
            {"text": "Ada slept", "predicate": 4, "roles": []},
        ],
    ).rows
    answers = {
        "starts": np.array([[0, 9, 12], [0, -1, -1]]),
        "ends": np.array([[3, 11, 16], [3, -1, -1]]),
        "labels": np.array([[b"A0", b"A2", b"AM-TMP"], [b"R-A0", b"", b""]], object),
        "count": np.array([3, 1]),
    }
    figures = TASK.measure(rows, answers, SCHEME)
    assert figures["f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert figures["core_f1"] == pytest.approx(2 * 1 / (2 + 2))
    assert figures["per_type"]["AM-TMP"]["f1"] == 1.0
    assert (figures["roles"], figures["rows"]) == (3, 2)
    labels = ["A0", "ARG5", "2", "ARGM-TMP", "R-A1", "C-ARG0", "A10"]
    assert [label for label in labels if is_core(label)] == labels[:3]


def test_a_request_has_the_predicate_as_a_number():
    found = CliRunner().invoke(tasks, [TASK.name, "--json"])
    contract = json.loads(found.output)
    assert contract["request"]["instances"] == [{"text": "Ada sold the lamp on Friday.", "predicate": 4}]
    assert contract["columns"] == ["text", "predicate", "roles"]


def test_a_rare_role_on_the_other_side_of_the_split_is_a_warning():
    rows = judged(120)
    held_out = set(
        prepare_sets(TASK, make_recipe({"task": TASK.name}), rows, None, None, "error").held_out.column("text")
    )
    rare = next(row for row in rows if row["text"] in held_out)
    rare["roles"] = [[*rare["roles"][0][:2], "AM-CAU"]]
    sets = prepare_sets(TASK, make_recipe({"task": TASK.name}), rows, None, None, "error")
    assert sets.scheme.labels == ("A0", "A1", "AM-CAU")
    assert "No training row has 'AM-CAU': it cannot be learnt." in sets.warnings
