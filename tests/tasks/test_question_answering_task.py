"""Question answering: a part of the raw context, letter by letter, or none."""

import json

import numpy as np
import pytest
import tensorflow as tf

import kerasft
from kerasft.data.encode import encode
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.tasks.question_answering import LONGEST_ANSWER, TASK, fault, targets
from kerasft.tasks.task import Scheme
from kerasft.text import reading as readings
from kerasft.text.reading import read
from kerasft.training.order import new_order
from kerasft.training.recipe import make_recipe
from tests.toy import BAD, GOOD, OTHER

ANY, MAY_BE_NONE = Scheme(numbers={"unanswerable": False}), Scheme(numbers={"unanswerable": True, "threshold": 0.5})


def asked(count, seed=0, unanswerable=0.0):
    """Contexts with one good word beside a bad one; some with the bad one alone."""
    draw, rows = np.random.default_rng(seed), []
    for _ in range(count):
        good = "" if draw.random() < unanswerable else str(draw.choice(GOOD))
        words = [*draw.choice(OTHER, 3), good, *draw.choice(OTHER, 2), draw.choice(BAD)]
        rows.append({"question": "good", "context": " ".join(filter(None, words)), "answer": good})
    return rows


ROWS = [
    {"question": "what", "context": "it was a lovely, warm film", "answer": "lovely, warm"},
    {"question": "what", "context": "caf\u00e9 \U0001f468\u200d\U0001f469 na\u00efve plot", "answer": "na\u00efve"},
    {
        "question": "what " * 30,
        "context": "a film of the cast " * 12 + "brilliant " + "and the plot " * 9,
        "answer": "brilliant",
    },
    {"question": "what", "context": "nothing here", "answer": ""},
]


def test_what_is_learnt_is_what_is_answered(text):
    """Targets to places and back, over windows, for any text; a window that has not the answer says so."""
    rows = read_for(TASK, ROWS).rows
    encoded = encode(text, [rows.column("question"), rows.column("context")], 32, overlap=8)
    wanted = targets(rows, ANY, encoded)
    windows = np.bincount(encoded.places.row)
    assert windows[2] > 3
    assert (wanted[encoded.places.row == 2] > 0).any()
    assert not (wanted[encoded.places.row == 2] > 0).all()
    assert not wanted[encoded.places.row == 3].any()
    texts = {name: tf.constant(rows.column(name)) for name in ("question", "context")}
    reading = read(text, texts, 32, 8)
    logits = np.zeros((len(wanted), 1 + reading.token.shape[1], 2), np.float32)
    for window, (first, last) in enumerate(wanted):
        logits[window, first, 0] = logits[window, last, 1] = 12.0
    found = {name: np.asarray(value) for name, value in TASK.respond(logits, MAY_BE_NONE, reading).items()}
    for number, row in enumerate(ROWS):
        answer, start, end = found["answer"][number].decode(), found["start"][number], found["end"][number]
        assert answer == row["answer"]
        if not row["answer"]:
            assert (start, end, found["byte_start"][number], found["byte_end"][number]) == (-1, -1, -1, -1)
            assert found["no_answer_probability"][number] > 0.99
            continue
        assert row["context"][start:end] == answer
        first, last = found["byte_start"][number], found["byte_end"][number]
        assert row["context"].encode()[first:last].decode() == answer
        assert found["answers"][number][0].decode() == answer
        assert found["no_answer_probability"][number] < 0.5
    np.testing.assert_allclose(found["answer_scores"].sum(1), 1, atol=1e-5)


def test_first_and_last_token_are_chosen_together_and_not_too_far_apart(text):
    context = "a " * 60
    reading = read(text, {"question": tf.constant(["q"]), "context": tf.constant([context])}, 64, 8)
    tokens = reading.tokens.ids.row_lengths().numpy()[0]
    logits = np.full((len(reading.row), 1 + reading.token.shape[1], 2), -5.0, np.float32)
    place = {
        int(token): (w, p + 1)
        for w, row in enumerate(reading.token.numpy())
        for p, token in enumerate(row)
        if token >= 0
    }
    logits[:, 0] = 0.0
    # The best start is behind the best end, and the second best start too far ahead of it.
    for token, side, score in ((40, 0, 9.0), (38, 1, 9.0), (2, 0, 8.0), (37, 0, 6.0)):
        window, spot = place[token]
        logits[window, spot, side] = score
    found = TASK.respond(logits, ANY, reading)
    starts = reading.tokens.char_starts.to_list()[0]
    ends = reading.tokens.char_ends.to_list()[0]
    assert tokens > 40
    begin = starts[37] + (context[starts[37]] == " ")
    assert (int(found["start"][0]), int(found["end"][0])) == (begin, ends[38])
    assert LONGEST_ANSWER <= 38 - 2


def test_an_answer_never_begins_or_ends_within_a_character(text):
    context = "\u5317\u4eac \U0001f600 film"
    reading = read(text, {"question": tf.constant(["q"]), "context": tf.constant([context])}, 48, 8)
    draw = np.random.default_rng(0)
    for _ in range(20):
        logits = draw.normal(scale=4, size=(len(reading.row), 1 + reading.token.shape[1], 2)).astype(np.float32)
        found = {name: np.asarray(value) for name, value in TASK.respond(logits, ANY, reading).items()}
        start, end = found["start"][0], found["end"][0]
        assert found["answer"][0].decode() == context[start:end]
        assert all(answer.decode() in context for answer in found["answers"][0])


def test_what_no_window_has_is_never_the_answer(text, monkeypatch):
    monkeypatch.setattr(readings, "MOST_WINDOWS", 1)
    reading = read(text, {"question": tf.constant(["q"]), "context": tf.constant(["a film " * 60])}, 24, 8)
    assert bool(reading.truncated[0])
    logits = np.full((1, 1 + reading.token.shape[1], 2), -5.0, np.float32)
    logits[:, 0] = 0.0
    found = TASK.respond(logits, ANY, reading)
    last = max(token for token in reading.token.numpy()[0])
    assert int(found["end"][0]) <= reading.tokens.char_ends.to_list()[0][last]
    assert float(found["score"][0]) < 0.01


def test_an_empty_context_and_no_rows_at_all(text):
    for contexts in ([""], []):
        questions = tf.constant(["what"] * len(contexts), tf.string)
        reading = read(text, {"question": questions, "context": tf.constant(contexts, tf.string)}, 32, 8)
        logits = tf.zeros([tf.shape(reading.token)[0], 1 + tf.shape(reading.token)[1], 2])
        found = TASK.respond(logits, ANY, reading)
        assert found["answer"].numpy().tolist() == [b""] * len(contexts)
        assert found["answers"].shape == (len(contexts), 5)
        assert found["start"].numpy().tolist() == [-1] * len(contexts)


def test_it_learns_and_the_export_gives_the_same_answers(toy_backbone, tmp_path, opened_once):
    run = kerasft.fit(
        task="question-answering",
        data=asked(1200, unanswerable=0.2),
        eval_data=asked(60, seed=1, unanswerable=0.2),
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        batch_size=8,
        max_length=48,
        # Many rows and few epochs: at the end of each, what decodes the held-out rows is traced anew.
        phases=[{"unfrozen": "all", "epochs": 2, "learning_rate": 5e-3}],
        precision="float32",
        report=lambda line: None,
    )
    figures = run.metrics["metrics"]
    assert figures["f1"] > 0.6
    assert {"exact_match", "has_ans_f1", "no_ans_f1"} <= set(figures)
    assert run.scheme.numbers["unanswerable"] is True
    again = run.evaluate(asked(60, seed=1, unanswerable=0.2))["metrics"]
    assert again["f1"] == pytest.approx(figures["f1"], abs=1e-6)
    exported = run.export(export_dir=tmp_path / "saved_models")
    rows = [{key: row[key] for key in ("question", "context")} for row in asked(8, seed=2)]
    for ours, served in zip(run.predict(rows), kerasft.predict(exported, rows), strict=True):
        assert ours["answer"] == served["answer"]
        assert ours["start"] == served["start"]


SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "a film",
            "paragraphs": [
                {
                    "context": "a good film, a good plot",
                    "qas": [
                        {"id": "1", "question": "what is good", "answers": [{"text": "good plot", "answer_start": 15}]},
                        {
                            "id": "2",
                            "question": "what is bad",
                            "is_impossible": True,
                            "answers": [],
                            "plausible_answers": [],
                        },
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("indent", [None, 2])
def test_squads_json_is_read_on_one_line_or_many(tmp_path, indent):
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(SQUAD, indent=indent))
    rows = read_for(TASK, path).rows
    assert rows.column("question") == ["what is good", "what is bad"]
    assert rows.column("context") == ["a good film, a good plot"] * 2
    assert TASK.describe(rows) == "2 questions, 1 without an answer"
    assert rows.place(1) == "squad.json row 2"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("a bad film", "'a bad film' is not in the context"),
        ('[{"text": "good", "answer_start": 3}]', "'good' is not at character 3 of the context; there is 'ood '"),
        ('[{"text": "good", "answer_start": "2"}]', "is not at character 2"),
        ('[{"answer_start": 3}]', "an answer is not a text"),
        ('[{"text": "good", "answer_start": -9}]', "'good' is not at character -9 of the context"),
        ('[""]', "an answer is not a text"),
        ("[7]", "the answer '[7]' is not in the context"),
        ("[" * 100_000, "is not in the context"),
    ],
)
def test_faulty_answers_are_told(answer, reason):
    assert reason in fault(answer, {"context": "a good film"})


def test_an_answer_may_be_in_brackets():
    for answer in ("[7]", "[a]", '[{"film": 1}', "[]["):
        row = {"question": "what", "context": f"a film {answer} here", "answer": answer}
        rows = read_for(TASK, [row]).rows
        assert TASK.describe(rows) == "1 questions"
        measured = TASK.measure(
            rows, {"answer": np.array([answer.encode()]), "no_answer_probability": np.zeros(1)}, ANY
        )
        assert measured["exact_match"] == 1.0


PARAGRAPH = SQUAD["data"][0]["paragraphs"][0]


@pytest.mark.parametrize(
    "article",
    [
        7,
        {"paragraphs": 7},
        {"paragraphs": {"context": "a film"}},
        {"paragraphs": ["a film"]},
        {"paragraphs": [{**PARAGRAPH, "qas": "what is good"}]},
        {"paragraphs": [PARAGRAPH, {**PARAGRAPH, "qas": ["what is good"]}]},
    ],
)
def test_an_article_that_is_laid_out_otherwise_is_told_or_skipped(tmp_path, article):
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [*SQUAD["data"], article]}))
    with pytest.raises(kerasft.KerasftError, match=r"squad.json row 1: an article is not an object with paragraphs"):
        read_for(TASK, path)
    read = read_for(TASK, path, on_bad_row="skip")
    assert (len(read.rows), len(read.skipped)) == (2, 1)


def test_a_faulty_row_is_told_or_skipped():
    rows = [*asked(5), {"question": "what", "context": "a film", "answer": "a plot"}]
    with pytest.raises(
        kerasft.KerasftError, match=r"row 6: the answer 'a plot' is not in the context.*--on-bad-row skip"
    ):
        read_for(TASK, rows)
    assert len(read_for(TASK, rows, on_bad_row="skip").skipped) == 1
    with pytest.raises(kerasft.KerasftError, match="row 2: the context is empty"):
        read_for(TASK, [asked(1)[0], {"question": "what", "context": "", "answer": ""}])


def test_paragraphs_get_longer_windows_than_sentences_unless_the_recipe_says_so():
    sources = {"data": None, "eval_data": None, "test_data": None}
    for settings, expected in (({}, 384), ({"max_length": 96}, 96)):
        order = new_order("question-answering", None, None, None, settings, None, sources, "error")
        assert order.recipe.max_length == expected


def test_none_can_be_learnt_without_answers():
    rows = [{"question": "what", "context": f"a film {n}", "answer": ""} for n in range(9)]
    with pytest.raises(kerasft.KerasftError, match="None of 9 training questions has an answer"):
        prepare_sets(TASK, make_recipe({"task": "question-answering"}), rows, asked(3), None, "error")
    sets = prepare_sets(TASK, make_recipe({"task": "question-answering"}), asked(9), asked(3), None, "error")
    assert sets.scheme.numbers["unanswerable"] is False
