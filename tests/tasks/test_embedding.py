"""Embedding: what counts against a text, what it has to find, and vectors that find it."""

import itertools
import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kerasft
from kerasft.data.prepare import prepare_sets, read_for
from kerasft.tasks.embedding import TASK, TEMPERATURE, count, halves, loss, measure, targets, views
from kerasft.tasks.task import Scheme
from kerasft.training.recipe import make_recipe
from tests.run_results import differences
from tests.small_runs import recorder
from tests.toy_pairs import toy_pairs

SIZE = 5
UNSCORED = Scheme()


def rows_of(rows):
    return read_for(TASK, rows).rows


def prepared(rows, eval_data=None, **recipe):
    return prepare_sets(TASK, make_recipe({"task": "embedding", **recipe}), rows, eval_data, None, "error")


def by_hand(ids, table):
    """The loss of each row, a text at a time: ids int[B, g], a vector for each text."""
    ids, losses = ids.tolist(), []
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    for text, pair, *_ in ids:
        known = {text} | {other for one, other, *_ in ids if one == text}
        candidates = {name for row in ids for name in row[1:]} - known | {pair}
        scores = {name: float(unit[text] @ unit[name]) / TEMPERATURE for name in candidates}
        losses.append(np.log(sum(np.exp(score - scores[pair]) for score in scores.values())))
    return np.array(losses)


BATCHES = st.tuples(st.integers(1, 9), st.integers(2, 3)).flatmap(
    lambda shape: st.lists(
        st.lists(st.integers(0, 11), min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    )
)


@settings(deadline=None, max_examples=100)
@given(BATCHES, st.integers(0, 9))
def test_a_text_is_told_from_each_other_text_once_and_from_none_that_belongs_to_it(ids, seed):
    ids = np.array(ids, np.int32)
    table = np.random.default_rng(seed).normal(size=(12, SIZE)).astype(np.float32)
    found = np.asarray(loss(0.0)(ids, table[ids].reshape(-1, SIZE)))
    np.testing.assert_allclose(found, by_hand(ids, table), atol=1e-4)
    # A device's share is filled up with the first row: that changes no other row's loss.
    filled = np.concatenate([ids[1:], ids[:1], ids[:1], ids[:1]])
    again = np.asarray(loss(0.0)(filled, table[filled].reshape(-1, SIZE)))
    np.testing.assert_allclose(again[: len(ids)], np.roll(found, -1), atol=1e-4)


def test_pairs_that_do_not_belong_together_are_only_there_to_be_told_from():
    scored = [{**row, "score": score} for row, score in zip(toy_pairs(4), (5, 4, 3.9, 0), strict=True)]
    rows = rows_of(scored)
    found = targets(rows, Scheme())
    assert count(found).tolist() == [1, 1, 0, 0]
    plain = targets(rows_of(toy_pairs(4)), Scheme())
    np.testing.assert_array_equal(np.where(found < 0, -1 - found, found), plain)
    table = np.random.default_rng(0).normal(size=(plain.max() + 1, SIZE)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(loss(0.0)(found, table[plain].reshape(-1, SIZE)))[:2], by_hand(plain, table)[:2], atol=1e-4
    )
    assert "2 of which belong together" in TASK.describe(rows)


def test_equal_texts_have_equal_numbers_in_whichever_column_they_stand():
    rows = rows_of([{"text": "a", "text_pair": "b", "negative": "c"}, {"text": "b", "text_pair": "d", "negative": "a"}])
    found = targets(rows, Scheme())
    assert found.shape == (2, 3)
    assert found[0, 1] == found[1, 0]
    assert found[0, 0] == found[1, 2]
    assert len(np.unique(found)) == 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one two three", ("one two", "three")),
        ("one two", ("one", "two")),
        ("oneword", ("onew", "ord")),
        ("\u5317\u4eac\u5927\u5b66", ("\u5317\u4eac", "\u5927\u5b66")),
        ("x", ("x", "")),
    ],
)
def test_a_text_without_a_pair_looks_for_its_second_half(text, parts):
    assert halves(text) == parts
    rows = rows_of([{"text": text}])
    first, second = views(rows, True)
    assert [first.to_pylist(), second.to_pylist()] == [[text], [text]]
    assert views(rows, False) == [(parts[0],), (parts[1],)]


def figures_of(rows, vectors, scheme=UNSCORED):
    """What `measure` says when each text has the vector that a dictionary gives it."""
    rows = rows_of(rows)
    listed = [[str(text) for text in column] for column in views(rows, False)]
    found = np.array([[vectors[text] for text in row] for row in zip(*listed, strict=True)], np.float32)
    return measure(rows, {"embedding": found}, scheme)


def test_neither_the_text_itself_nor_its_other_pairs_stand_in_the_way():
    rows = [
        {"text": "a", "text_pair": "b"},
        {"text": "b", "text_pair": "a"},
        {"text": "a", "text_pair": "c"},
        {"text": "d", "text_pair": "d"},
    ]
    vectors = {"a": [1, 0], "b": [0.8, 0.6], "c": [0, 1], "d": [-1, 0]}
    found = figures_of(rows, vectors)
    assert found["mrr"] == 1.0
    assert (found["rows"], found["queries"], found["documents"]) == (4, 3, 4)
    assert found["finds"] == "text_pair"
    assert "spearman" not in found
    # c is nearer to d than to a.
    assert figures_of(rows, {**vectors, "d": [0.9, -0.1]})["recall_at_k"]["1"] < 1.0


def test_negatives_are_there_to_be_found_wrongly():
    rows = [
        {"text": "a", "text_pair": "b", "negative": "x"},
        {"text": "c", "text_pair": "d", "negative": "y"},
    ]
    vectors = {"a": [1, 0], "b": [0.8, 0.6], "x": [0.96, 0.28], "c": [0, -1], "d": [0, -1], "y": [-1, 0]}
    found = figures_of(rows, vectors)
    assert found["mrr"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["documents"] == 4


def test_scores_are_compared_with_cosines():
    rows = [{"text": f"t{n}", "text_pair": f"p{n}", "score": n} for n in range(4)]
    vectors = {f"t{n}": [1, 0] for n in range(4)} | {f"p{n}": [n / 5, np.sqrt(1 - (n / 5) ** 2)] for n in range(4)}
    found = figures_of(rows, vectors)
    assert found["spearman"] == pytest.approx(1.0)
    assert (found["rows"], found["queries"]) == (4, 1)
    for row in rows:
        row["score"] = -row["score"]
    assert figures_of(rows, vectors)["spearman"] == pytest.approx(-1.0)


def test_what_belongs_together_is_a_share_of_the_highest_score_that_was_learnt_from():
    scored = [{**row, "score": number} for number, row in enumerate(toy_pairs(9))]
    scheme = prepared(scored, scored).scheme
    assert scheme.numbers == {"highest": 8.0}
    assert prepared(toy_pairs(9), scored).scheme == scheme
    assert prepared(toy_pairs(9), toy_pairs(9, seed=1)).scheme == Scheme()
    rows = [{"text": f"t{n}", "text_pair": f"p{n}", "score": n} for n in (1, 5, 7)]
    vectors = {f"{kind}{n}": [1, n] for kind in "tp" for n in (1, 5, 7)}
    assert figures_of(rows, vectors, scheme)["queries"] == 1
    found = figures_of(rows[:2], vectors, scheme)
    assert (found["queries"], found["rows"]) == (0, 2)
    assert "spearman" in found
    assert "mrr" not in found
    with pytest.raises(kerasft.KerasftError, match=r"nothing to find: expected pairs .* with scores of 6.4 or more"):
        prepared(scored, scored[:5])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*toy_pairs(2), {"text": "a", "text_pair": ""}], "row 3: the text_pair is empty.*--on-bad-row skip"),
        ([*toy_pairs(2, negatives=True), *toy_pairs(1)], "row 3: the negative is missing"),
        ([{"text": "a", "text_pair": "b", "score": "high"}], "row 1: the score 'high' is not a number"),
        ([{"text": "a", "text_pair": "b", "score": ""}], "row 1: the score is empty"),
    ],
)
def test_a_bad_row_is_told_or_skipped(rows, message):
    with pytest.raises(kerasft.KerasftError, match=message):
        read_for(TASK, rows)
    if len(rows) > 1:
        assert len(read_for(TASK, rows, on_bad_row="skip").skipped) == 1


@pytest.mark.parametrize(
    ("rows", "eval_data", "recipe", "message"),
    [
        (toy_pairs(1), toy_pairs(9), {}, "can be told apart, found only one"),
        ([{"text": "same"}] * 9, toy_pairs(9), {}, "found 9 with the same text"),
        ([{"text": f"t {n}", "text_pair": "same"} for n in range(9)], toy_pairs(9), {}, "with the same text_pair"),
        (toy_pairs(9), [{"text": "a", "text_pair": "a"}], {}, "nothing to find"),
        ([{"text": f"t {n}", "score": n} for n in range(9)], toy_pairs(9), {}, "'score' and no 'text_pair'"),
        (toy_pairs(9), toy_pairs(9), {"label_smoothing": 0.1}, "no use for 'label_smoothing'"),
        (toy_pairs(9), toy_pairs(9), {"class_weights": "balanced"}, "no use for 'class_weights'"),
    ],
)
def test_what_cannot_be_learnt_is_told(rows, eval_data, recipe, message):
    with pytest.raises(kerasft.KerasftError, match=message):
        prepared(rows, eval_data, **recipe)


@pytest.mark.parametrize(
    ("settings", "message"), [({"accumulate": 2}, "takes no 'accumulate'"), ({"batch_size": 1}, "must be 2 or more")]
)
def test_a_batch_is_not_cut(settings, message, tmp_path):
    with pytest.raises(kerasft.KerasftError, match=message):
        kerasft.fit(task="embedding", data=toy_pairs(20), output=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_the_split_keeps_rows_that_share_a_text_together():
    pairs = toy_pairs(60)
    turned = [{"text": row["text_pair"], "text_pair": row["text"]} for row in pairs]
    more = [{"text": f"{row['text']} {number}", "text_pair": row["text_pair"]} for number, row in enumerate(pairs)]
    sets = prepared([*pairs, *turned, *more])
    sides = [
        {text for name in ("text", "text_pair") for text in rows.column(name)} for rows in (sets.train, sets.held_out)
    ]
    assert not sides[0] & sides[1]
    assert all(sides)


def test_data_and_eval_data_may_have_different_columns_and_no_label_is_taken_for_a_score():
    scored = [{**row, "score": number} for number, row in enumerate(toy_pairs(9))]
    labelled = [{"text": row["text"], "label": "positive"} for row in toy_pairs(30, seed=1)]
    sets = prepared(labelled, scored)
    assert sets.train.table.column_names == ["text"]
    assert sets.held_out.table.column_names == ["text", "text_pair", "score"]
    named = rows_of([{"Anchor": "a", "positive": "b", "hard_negative": "c"}])
    assert named.table.column_names == ["text", "text_pair", "negative"]


def test_it_learns_and_run_and_export_agree(toy_backbone, tmp_path, opened_once):
    scored = [{**row, "score": 5} for row in toy_pairs(40, seed=1)]
    scored += [{**one, "text_pair": next_one["text_pair"], "score": 1} for one, next_one in itertools.pairwise(scored)]
    said = []
    run = kerasft.fit(
        task="embedding",
        data=toy_pairs(150, negatives=True),
        eval_data=scored,
        backbone=str(toy_backbone),
        output=tmp_path / "run",
        batch_size=16,
        max_length=16,
        phases=[
            {"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2},
            {"unfrozen": "all", "epochs": 6, "learning_rate": 5e-3},
        ],
        precision="float32",
        report=said.append,
    )
    assert any("150 rows (pairs, with negatives)" in line for line in said)
    figures, history = run.metrics["metrics"], (run.folder / "history.csv").read_text().splitlines()
    first = dict(zip(history[0].split(","), history[1].split(","), strict=True))
    assert figures["mrr"] > float(first["eval_mrr"])
    assert figures["mrr"] > 0.5
    assert figures["spearman"] > 0.5
    assert (figures["rows"], figures["queries"], figures["documents"]) == (79, 40, 40)

    exported = run.export(export_dir=tmp_path / "saved_models")
    path = tmp_path / "scored.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in scored))
    for target in (run, exported):
        again = kerasft.evaluate(target, path)["metrics"]
        assert again["mrr"] == pytest.approx(figures["mrr"], abs=1e-3)
        assert again["spearman"] == pytest.approx(figures["spearman"], abs=1e-4)
    answers = kerasft.predict(exported, ["a good film", "dull dull dull", "very " * 40])
    vectors = np.array([answer["embedding"] for answer in answers])
    assert vectors.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert [answer["truncated"] for answer in answers] == [False, False, True]
    assert set(answers[0]) == {"text", "embedding", "truncated"}


def test_texts_alone_are_learnt_from_and_a_killed_run_goes_on_to_the_same_vectors(toy_backbone, tmp_path):
    rows = [{"text": row["text"]} for row in toy_pairs(60)]
    settings = {
        "backbone": str(toy_backbone),
        "batch_size": 8,
        "batch_tokens": 160,
        "save_steps": 2,
        "phases": [
            {"unfrozen": "head", "epochs": 1, "learning_rate": 1e-2},
            {"unfrozen": 1, "epochs": 1, "learning_rate": 5e-3},
        ],
        "precision": "float32",
        "report": lambda line: None,
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    calls = [recorder(whole, killed, {11})]
    run = kerasft.fit(task="embedding", data=rows, output=whole, callbacks=calls, **settings)
    figures = run.metrics["metrics"]
    assert figures["finds"] == "second half"
    assert 0 < figures["mrr"] <= 1
    assert figures["rows"] == figures["documents"] == run.record["data"]["eval"]["rows"]
    assert [phase["from_cache"] for phase in run.metrics["phases"]] == [True, True]
    shutil.move(killed / "11", tmp_path / "left")
    kerasft.fit(resume=tmp_path / "left", data=rows, report=lambda line: None)
    assert differences(whole, tmp_path / "left") == []
