"""Question answering figures by hand, and thresholds against trying them all."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.evaluation.question_answering import normalise_answer, qa_figures


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Old  Mill.", "old mill"),
        ("a\tpear,\nan apple", "pear apple"),
        ("Theatre of Athens", "theatre of athens"),
        ("semi-detached", "semidetached"),
        ("the-end", "theend"),  # punctuation goes first: no article is left
        ("U.S.A.", "usa"),
        ("A", ""),
        ("?!", ""),
        ("£5 (five)", "£5 five"),
        ("“quoted”", "“quoted”"),  # only ASCII punctuation
        ("L'École", "lécole"),
        ("ÉTÉ\u00a0LÀ", "été là"),  # a no-break space is white space
        ("東京 タワー。", "東京 タワー。"),
        ("à la carte", "à la carte"),
        ("an an the", ""),
    ],
)
def test_normalised_as_squad_does(answer, expected):
    assert normalise_answer(answer) == expected
    assert normalise_answer(expected) == expected


def one(gold, predicted):
    found = qa_figures([gold], [predicted], np.zeros(1))
    return found["exact_match"], pytest.approx(found["f1"])


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        (["the old mill"], "Old Mill!", 1, 1),
        (["old mill"], "the old mill house", 0, 4 / 5),
        (["red red red"], "red red blue", 0, 2 / 3),  # a word counts as often as it is in both
        (["mill old"], "old mill", 0, 1),
        (["old"], "new", 0, 0),
        (["one two", "two"], "two", 1, 1),  # the best of the gold answers
        (["one two three four", "five six"], "one six", 0, 1 / 2),
        (["old"], "", 0, 0),
        ([], "", 1, 1),
        ([], "old", 0, 0),
        ([], "the", 1, 1),
        (["the", "old"], "", 0, 0),  # "the" is no gold answer beside another
        (["the"], "", 1, 1),
        (["the"], "a", 1, 1),
    ],
)
def test_one_question(gold, predicted, exact, f1):
    assert one(gold, predicted) == (exact, f1)


def test_without_unanswerable_questions_there_are_no_figures_on_them():
    found = qa_figures([["x"], ["y z"]], ["x", "y"], np.array([0.3, 0.4]))
    assert found == {"exact_match": 0.5, "f1": pytest.approx((1 + 2 / 3) / 2), "rows": 2}


def test_by_hand_with_unanswerable_questions():
    truth = [["old mill"], [], ["sea"], [], ["red"]]
    predicted = ["mill", "tower", "sea", "", "blue"]
    found = qa_figures(truth, predicted, np.array([0.2, 0.6, 0.4, 0.8, 0.1], np.float32))
    assert found["exact_match"] == pytest.approx(2 / 5)
    assert found["f1"] == pytest.approx((2 / 3 + 0 + 1 + 1 + 0) / 5)
    assert found["has_ans_exact"] == pytest.approx(1 / 3)
    assert found["has_ans_f1"] == pytest.approx((2 / 3 + 1) / 3)
    assert found["no_ans_exact"] == found["no_ans_f1"] == 0.5
    assert (found["rows"], found["has_ans_rows"], found["no_ans_rows"]) == (5, 3, 2)
    # Up to 0.4 the three answerable ones keep their answers, and "tower" is withdrawn.
    assert found["best_exact"] == pytest.approx(3 / 5)
    assert found["best_f1"] == pytest.approx((2 / 3 + 1 + 2) / 5)
    assert found["best_exact_threshold"] == found["best_f1_threshold"] == float(np.float32(0.4))
    json.dumps(found, allow_nan=False)


def test_only_unanswerable_questions():
    found = qa_figures([[], []], ["", "x"], np.array([0.9, 0.8]))
    assert "has_ans_f1" not in found
    assert (found["no_ans_exact"], found["best_exact"], found["best_exact_threshold"]) == (0.5, 1.0, 0.0)


WORDS = ["", "the", "old", "mill", "old mill", "the mill", "sea", "."]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(WORDS[1:]), max_size=2),
            st.sampled_from(WORDS),
            st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_best_figure_is_what_its_threshold_gives_and_none_gives_more(rows):
    truth, predicted, no_answer = [list(column) for column in zip(*rows, strict=True)]
    found = qa_figures(truth, predicted, np.array(no_answer))
    if all(truth):
        assert "best_f1" not in found
        return

    def figure(key, threshold):
        kept = ["" if value > threshold else answer for answer, value in zip(predicted, no_answer, strict=True)]
        scores = [qa_figures([gold], [answer], np.zeros(1)) for gold, answer in zip(truth, kept, strict=True)]
        # An answerable question whose answer is withdrawn is wrong, even if its gold answers normalise to nothing.
        withdrawn = [value > threshold and bool(gold) for gold, value in zip(truth, no_answer, strict=True)]
        return np.mean([0.0 if out else row[key] for row, out in zip(scores, withdrawn, strict=True)])

    for key, best in (("exact_match", "best_exact"), ("f1", "best_f1")):
        every = {threshold: figure(key, threshold) for threshold in (-1.0, 0.0, 0.25, 0.5, 1.0)}
        assert found[best] == pytest.approx(max(every.values()))
        assert figure(key, found[f"{best}_threshold"]) == pytest.approx(found[best])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from("pqrs"), min_size=1, max_size=6), st.lists(st.sampled_from("pqrs"), max_size=6))
def test_f1_is_the_harmonic_mean_of_precision_and_recall_over_words(gold, predicted):
    shared = sum(min(count, Counter(predicted)[word]) for word, count in Counter(gold).items())
    expected = 0.0
    if shared:
        precision, recall = shared / len(predicted), shared / len(gold)
        expected = 2 * precision * recall / (precision + recall)
    assert one([" ".join(gold)], " ".join(predicted))[1] == expected


def test_the_figures_of_the_official_script():
    # What the logic of SQuAD's evaluate-v2.0.py gives for these answers, divided by 100.
    rows = [
        (["the old mill", "a mill"], "Old mill.", 0.05),
        (["in 1887"], "1887", 0.30),
        (["Zoë's bakery", "the bakery"], "Zoë's new bakery", 0.22),
        ([], "", 0.91),
        ([], "the harbour", 0.64),
        (["red and white"], "white and red", 0.11),
        (["three"], "", 0.83),
        ([], "", 0.42),
        (["U.S. Navy"], "US navy", 0.18),
        ([], "two men", 0.15),
        (["the"], "", 0.55),
        (["seven boats", "boats, boats, boats"], "boats and more boats", 0.47),
    ]
    truth, predicted, no_answer = zip(*rows, strict=True)
    assert qa_figures(truth, predicted, np.array(no_answer)) == pytest.approx(
        {
            "exact_match": 0.4166666666666667,
            "f1": 0.6698412698412698,
            "rows": 12,
            "has_ans_exact": 0.375,
            "has_ans_f1": 0.7547619047619047,
            "has_ans_rows": 8,
            "no_ans_exact": 0.5,
            "no_ans_f1": 0.5,
            "no_ans_rows": 4,
            "best_exact": 0.5,
            "best_exact_threshold": 0.55,
            "best_f1": 0.7531746031746032,
            "best_f1_threshold": 0.55,
        }
    )
