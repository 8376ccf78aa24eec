"""Semantic role labelling: the arguments of the word that is meant, as spans of raw characters."""

import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kerasft
from kerasft import answering
from kerasft.data.encode import encode
from kerasft.data.inputs import numbers_of
from kerasft.data.prepare import read_for
from kerasft.export.check import check_export
from kerasft.tasks.semantic_role_labeling import TASK, predicate_fault
from kerasft.tasks.task import Scheme
from kerasft.text.reading import read
from tests.toy_roles import judged

SCHEME = Scheme(("A0", "A1", "AM-TMP"))


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


def test_it_learns_which_word_is_meant_and_the_export_answers_alike(toy_backbone, tmp_path, monkeypatch, opened_once):
    (tmp_path / "with_api.py").write_text(WITH_API)
    monkeypatch.syspath_prepend(tmp_path)
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

    for row, served in zip(rows, kerasft.predict(exported, rows), strict=True):
        assert (served["text"], served["predicate"]) == (row["text"], row["predicate"])
        assert served["text"][served["predicate"]] in served["predicate_word"]
    assert served["truncated"] is True

    with pytest.raises(kerasft.KerasftError, match=r"takes rows with text, predicate; found plain strings"):
        kerasft.predict(exported, ["Ada slept"])

    # A server checks no rows: what cannot be meant is answered all the same.
    odd = {"text": ["a good film"] * 4, "predicate": np.array([1, 11, -1, 2**31 - 1], np.int32)}
    found = answering.answer_all(answering.open_answerer(exported), odd)
    assert found["predicate_word"].tolist() == [b""] * 4
    assert found["count"].tolist() == [0] * 4

    report = check_export(exported)
    checks = {finding["check"]: finding["status"] for finding in report["findings"]}
    assert report["servable"]
    for check in ("hostile texts to serving_default", "hostile texts to regress", "the answers of the proof"):
        assert checks[check] == "ok"
    stored = json.loads((exported / "assets.extra" / "kerasft" / "proof.json").read_text())
    assert {-1, 0, 2**31 - 1} < set(stored["hostile"]["numbers"]["predicate"])
