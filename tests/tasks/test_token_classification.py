"""Token classification: spans of raw characters, whatever the text, the words and the family's pieces are."""

import gzip
import json
import random

import numpy as np
import pytest
import tensorflow as tf

import kerasft
from kerasft.data.encode import encode
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.tasks.task import Scheme
from kerasft.tasks.token_classification import TASK
from kerasft.text.reading import read
from kerasft.text.tags import tag_names
from kerasft.training.recipe import make_recipe
from tests.toy import BAD, GOOD, OTHER

SCHEME = Scheme(("bad", "good"))


def marked(count, seed=0):
    """Rows in which good and bad words, one or two in a row, are spans."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        text, spans = "", []
        for _ in range(draw.randint(1, 6)):
            label = draw.choice(["good", "bad", None, None])
            words = " ".join(draw.sample({"good": GOOD, "bad": BAD, None: OTHER}[label], draw.randint(1, 2)))
            start = len(text) + bool(text)
            text = f"{text} {words}".strip()
            # Two spans side by side would be one run of words for a reader too.
            if label and not (spans and spans[-1][1] == start - 1):
                spans.append([start, start + len(words), label])
            elif label:
                text = text[: start - 1] if start else ""
        if text:
            rows.append({"text": text, "spans": spans})
    return rows


STRANGE = [
    {"text": "a lovely-dull film", "spans": [[2, 8, "good"], [9, 13, "bad"]]},
    {"text": "cafe\u0301s \U0001f468\u200d\U0001f469 joyless!", "spans": [[0, 6, "good"], [11, 18, "bad"]]},
    {"text": "\u5317\u4eac\u5927\u5b66 is good", "spans": [[0, 2, "good"], [8, 12, "good"]]},
    {"text": "very very dull " * 12 + "lovely", "spans": [[10, 14, "bad"], [180, 186, "good"]]},
    {"text": "nothing here", "spans": []},
]


def perfect_logits(encoded, tags, reading):
    """Logits that say what the targets say, as the windows of the reading have their places."""
    width = reading.token.shape[1]
    logits = np.zeros((len(encoded.starts) - 1, width, 5), np.float32)
    for window in range(len(logits)):
        for place, tag in enumerate(tags.padded(np.array([window]), width)[0]):
            logits[window, place, max(tag, 0)] = 20.0 if tag >= 0 else 0.0
    return logits


def test_what_is_learnt_is_what_is_answered(text):
    """Targets to places, places to words, words to spans: there and back, for any text."""
    rows = read_for(TASK, STRANGE).rows
    encoded = encode(text, [rows.column("text")], 16, overlap=4)
    assert len(encoded) > len(rows)
    tags = TASK.targets(rows, SCHEME, encoded)
    reading = read(text, {"text": tf.constant(rows.column("text"))}, 16, 4)
    found = {k: np.asarray(v) for k, v in TASK.respond(perfect_logits(encoded, tags, reading), SCHEME, reading).items()}
    for number, row in enumerate(STRANGE):
        count = found["count"][number]
        spans = zip(found["starts"][number], found["ends"][number], found["labels"][number], strict=True)
        assert [[int(a), int(b), label.decode()] for a, b, label in spans][:count] == row["spans"]
        raw = row["text"].encode()
        for place in range(count):
            start, end = found["starts"][number][place], found["ends"][number][place]
            first, last = found["byte_starts"][number][place], found["byte_ends"][number][place]
            piece = found["spans"][number][place].decode()
            assert row["text"][start:end] == piece == raw[first:last].decode()
        assert set(found["labels"][number][count:]) <= {b""}
        assert all(found["starts"][number][count:] == -1)
        words = [word.decode() for word in found["words"][number] if word]
        assert "".join(words) == "".join(row["text"].split())
        assert len(words) == sum(tag != b"" for tag in found["tags"][number])
    assert np.all(found["scores"][found["starts"] >= 0] > 0.99)


def test_it_learns_and_the_export_gives_the_same_spans(toy_backbone, tmp_path, opened_once):
    run = kerasft.fit(
        task="token-classification",
        data=marked(1000),
        eval_data=marked(60, seed=1),
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        batch_size=8,
        max_length=16,
        # Many rows and few epochs: at the end of each, what decodes the held-out rows is traced anew.
        phases=[{"unfrozen": "all", "epochs": 4, "learning_rate": 1e-2}],
        precision="float32",
        report=lambda line: None,
    )
    assert run.metrics["metrics"]["f1"] > 0.8
    assert run.evaluate(marked(60, seed=1))["metrics"]["f1"] == pytest.approx(run.metrics["metrics"]["f1"], abs=1e-6)
    exported = run.export(export_dir=tmp_path / "saved_models")
    texts = [row["text"] for row in marked(8, seed=2)] + ["a good film " * 40]
    for ours, served in zip(run.predict(texts), kerasft.predict(exported, texts), strict=True):
        assert ours["spans"] == served["spans"]
        assert ours["starts"] == served["starts"]
        assert ours["truncated"] is False


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ("[[0, 99, 1]]", "outside its text of 11"),
        ("[[3, 3, 1]]", "outside its text"),
        ("[[-1, 3, 1]]", "outside its text"),
        ("[[0, 4, 1], [2, 6, 1]]", "begins before the one ahead"),
        ('[[0, 4, " "]]', "no label"),
        ("[[1, 2, 1]]", "holds no word"),
        ("[[0, 4]]", "not of the form"),
        ("PER", "not of the form"),
        ('[{"start": 0, "end": 1}]', "not of the form"),
        ("7", "not of the form"),
        ("[[0, Infinity, 1]]", "not of the form"),
        ("[[0, 1e400, 1]]", "not of the form"),
        ("[[0, 1.5, 1]]", "not of the form"),
        ("[[0, 1, null]]", "not of the form"),
        ('["015"]', "not of the form"),
        ('{"015": 1}', "not of the form"),
        ('[[0, 1, "\\ud800"]]', "not of the form"),
        ("[" * 100_000, "not of the form"),
    ],
)
def test_faulty_spans_are_told(spans, reason):
    assert reason in TASK.cells["spans"].fault(spans, {"text": "a good film"})


def test_a_span_without_a_word_is_told():
    assert "the span [2, 4] holds no word" in TASK.cells["spans"].fault("[[2, 4, 7]]", {"text": "a \u200b\x00film"})


def test_a_faulty_row_is_told_with_its_line_or_skipped(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [*marked(20), {"text": "a film", "spans": [[2, 60, "good"]]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    number = len(lines)
    with pytest.raises(kerasft.KerasftError, match=rf"rows.jsonl line {number}: the span \[2, 60\] is outside"):
        read_for(TASK, path)
    assert len(read_for(TASK, path, on_bad_row="skip").skipped) == 1


CONLL = "# a comment\nAda\tNNP\tB-PER\nQuill\tNNP\tI-PER\nslept\tVBD\tO\n\nin O\nTurin I-LOC\n\n\n"


def test_conll_columns_tokens_and_spans_are_the_same_rows(tmp_path):
    path = tmp_path / "rows.conll"
    path.write_text(CONLL)
    tokens = [
        {"tokens": ["Ada", "Quill", "slept"], "tags": ["B-PER", "I-PER", "O"]},
        {"tokens": ["in", "Turin"], "tags": ["O", "B-LOC"]},
    ]
    spans = [
        {"text": "Ada Quill slept", "spans": [{"start": 0, "end": 9, "label": "PER"}]},
        {"text": "in Turin", "spans": [[3, 8, "LOC"]]},
    ]
    measured = [read_for(TASK, source).rows for source in (path, tokens, spans)]
    texts = [rows.column("text") for rows in measured]
    assert texts[0] == texts[1] == texts[2] == ["Ada Quill slept", "in Turin"]
    figures = [TASK.describe(rows) for rows in measured]
    assert figures == ["LOC 1, PER 1 spans"] * 3


def test_a_folder_of_conll_files_and_packed_ones_are_read(tmp_path):
    (tmp_path / "one.conll").write_text(CONLL)
    (tmp_path / "two.conll.gz").write_bytes(gzip.compress(b"so O\n\n"))
    assert read_for(TASK, str(tmp_path)).rows.column("text") == ["Ada Quill slept", "in Turin", "so"]


def test_a_hash_is_a_word_where_columns_are_divided_by_spaces(tmp_path):
    path = tmp_path / "rows.conll"
    path.write_text("costs VBZ O\n# # B-NP\n5 CD I-NP\n\n# # O\n\n")
    rows = read_for(TASK, path).rows
    assert rows.column("text") == ["costs # 5", "#"]
    assert json.loads(rows.column("spans")[0]) == [[6, 9, "NP"]]


def test_tokens_without_tags_can_be_asked_about():
    rows = read_for(TASK, [{"tokens": ["in", "Turin"]}, {"tokens": ["so"]}], labelled=False).rows
    assert rows.column("text") == ["in Turin", "so"]


def test_spans_may_be_tuples_and_a_single_row_will_do():
    rows = read_for(TASK, [{"text": "Ada slept", "spans": [(0, 3, "PER")]}]).rows
    assert json.loads(rows.column("spans")[0]) == [[0, 3, "PER"]]
    rows = read_for(TASK, [{"text": "Ada slept", "spans": [{"start": 0, "end": 3, "label": "PER"}]}]).rows
    assert TASK.describe(rows) == "PER 1 spans"


def test_parts_of_speech_are_spans_of_a_word_each():
    rows = read_for(
        TASK, [{"tokens": ["in", "the", "barn"], "tags": ["ADP", "DET", "NOUN"]}, {"tokens": ["so"], "tags": ["ADV"]}]
    ).rows
    assert json.loads(rows.column("spans")[0]) == [[0, 2, "ADP"], [3, 6, "DET"], [7, 11, "NOUN"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Ada B-PER\nQuill\n\n", r"line 1: word 2 of the sentence has 1 column, expected 2"),
        ("Ada\nQuill\n\n", r"line 1: word 1 of the sentence has 1 column, expected 2 or more"),
        ("a x B-A\nb x O\nc x y O\n\n", r"line 1: word 3 of the sentence has 4 columns, expected 3"),
    ],
)
def test_a_word_without_a_tag_is_told_with_its_line(tmp_path, content, message):
    path = tmp_path / "rows.conll"
    path.write_text(content + "in O\nTurin B-LOC\n\n")
    with pytest.raises(kerasft.KerasftError, match=message):
        read_for(TASK, path)


def test_tags_and_tokens_of_different_number_are_told():
    rows = [{"tokens": ["a", "b"], "tags": ["O"]}, {"tokens": ["a"], "tags": ["B-X"]}]
    with pytest.raises(kerasft.KerasftError, match="row 1: 1 tags for 2 tokens"):
        read_for(TASK, rows)


def test_an_empty_tag_is_told_with_its_line_or_skipped(tmp_path):
    path = tmp_path / "rows.conll"
    path.write_text("in\tO\nTurin\tB-LOC\n\nin\tO\nTurin\t\n\n")
    with pytest.raises(kerasft.KerasftError, match=r"rows.conll line 4: word 2 of the sentence has an empty tag"):
        read_for(TASK, path)
    assert len(read_for(TASK, path, on_bad_row="skip").skipped) == 1
    with pytest.raises(kerasft.KerasftError, match=r"row 1: word 1 of the sentence has an empty tag"):
        read_for(TASK, [{"tokens": ["so"], "tags": [None]}])


def test_labels_come_from_the_training_rows():
    recipe = make_recipe({"task": "token-classification"})
    sets = prepare_sets(TASK, recipe, marked(40), marked(5, seed=1), None, "error")
    assert sets.scheme.labels == ("bad", "good")
    other = [{"text": "a film", "spans": [[0, 1, "goood"]]}, {"text": "a plot", "spans": []}]
    with pytest.raises(kerasft.KerasftError, match=r'row 1: label .goood. of the eval data.*"good"'):
        prepare_sets(TASK, recipe, marked(40), other, None, "error")
    # One label is enough for spans.
    named = make_recipe({"task": "token-classification", "labels": ["bad"]})
    with pytest.raises(kerasft.KerasftError, match=r"label .good. of the train data is not in `labels`"):
        prepare_sets(TASK, named, marked(40), marked(5, seed=1), None, "error")
    with pytest.raises(kerasft.KerasftError, match="None of 2 training rows has a span"):
        prepare_sets(TASK, recipe, [{"text": "a", "spans": []}, {"text": "b", "spans": ""}], marked(5), None, "error")


def test_the_loss_is_the_mean_over_tagged_places():
    logits = np.zeros((2, 3, 5), np.float32)
    logits[0, 0, 1] = 3.0
    tags = np.array([[1, -1, 0], [-1, -1, -1]], np.int32)
    expected = (np.log(np.exp(3) + 4) - 3 + np.log(5)) / 2
    np.testing.assert_allclose(TASK.loss(0.0)(tags, logits), [expected, 0.0], rtol=1e-5)


def test_tag_names_begin_with_o():
    assert tag_names(["x", "y"]) == ["O", "B-x", "I-x", "B-y", "I-y"]
