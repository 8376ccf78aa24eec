"""Figures of language models and of generated texts, by hand and against slow but plain programs."""

import json
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.errors import KerasftError
from kerasft.evaluation.generated import exact_match_figures, rouge_figures
from kerasft.evaluation.language import language_figures
from kerasft.evaluation.translation import translation_figures, words_of


def test_perplexity_is_over_tokens_and_bits_are_over_bytes():
    found = language_figures(np.array([1.0, 3.0]), np.array([3, 1]), size=10, rows=7)
    assert found["log_loss"] == pytest.approx(1.5)
    assert found["perplexity"] == pytest.approx(math.exp(1.5))
    assert found["bits_per_byte"] == pytest.approx(6 / math.log(2) / 10)
    assert (found["tokens"], found["bytes"], found["rows"]) == (4, 10, 7)


def test_a_uniform_model_over_bytes_has_eight_bits_a_byte():
    found = language_figures(np.full(5, math.log(256)), np.full(5, 20), size=100, rows=5)
    assert found["bits_per_byte"] == pytest.approx(8)
    assert found["perplexity"] == pytest.approx(256)


@pytest.mark.parametrize(("losses", "tokens"), [([], []), ([0.0], [0]), ([1e6], [2])])
def test_no_tokens_and_no_hope_are_figures_too(losses, tokens):
    json.dumps(language_figures(np.array(losses), np.array(tokens), size=0, rows=0), allow_nan=False)


def test_exact_match():
    wanted = ["def f():\n    return 1\n", "a", "b", ""]
    found = exact_match_figures(wanted, ["\ndef f():  \n    return 1", "a", "B", "x"])
    assert found["exact_match"] == 0.5
    assert found["rows"] == 4
    # Within a line, and at its beginning, white space is a part of a program.
    assert exact_match_figures(["if x:\n    y"], ["if x:\n  y"])["exact_match"] == 0


@pytest.mark.parametrize(
    ("wanted", "generated", "expected"),
    [
        ("the cat sat on the mat", "the cat was on the mat", (10 / 12, 6 / 10, 10 / 12)),
        ("police killed the gunman", "the gunman kill police", (6 / 8, 2 / 6, 4 / 8)),  # Lin 2004, without its stemmer
        ("the the the", "the", (2 / 4, 0, 2 / 4)),
        ("a b c", "a b c", (1, 1, 1)),
        ("One-two, THREE!", "one two three", (1, 1, 1)),
        ("Äpfel und Öl", "äpfel  und_öl", (1, 1, 1)),
        ("a", "b", (0, 0, 0)),
        ("a", "a", (1, 0, 1)),
        ("", "a", (0, 0, 0)),
        ("", "", (0, 0, 0)),
        ("...", "a b", (0, 0, 0)),
        ("a b c d", "d a b c", (1, 4 / 6, 6 / 8)),
    ],
)
def test_rouge_by_hand(wanted, generated, expected):
    found = rouge_figures([wanted], [generated])
    assert (found["rouge1"], found["rouge2"], found["rougeL"]) == pytest.approx(expected)


def test_rouge_is_a_mean_over_texts():
    found = rouge_figures(["a b", "c d"], ["a b", "x y"])
    assert found == {"rouge1": 0.5, "rouge2": 0.5, "rougeL": 0.5, "rows": 2}


def longest_common(first, second):
    """By the definition, without a table."""
    if not first or not second:
        return 0
    if first[-1] == second[-1]:
        return 1 + longest_common(first[:-1], second[:-1])
    return max(longest_common(first[:-1], second), longest_common(first, second[:-1]))


WORDS = st.lists(st.sampled_from("abc"), max_size=7)


@settings(deadline=None, max_examples=80)
@given(WORDS, WORDS)
def test_rouge_l_against_the_definition(wanted, generated):
    found = rouge_figures([" ".join(wanted)], [" ".join(generated)])["rougeL"]
    total = len(wanted) + len(generated)
    assert found == pytest.approx(2 * longest_common(wanted, generated) / total if total else 0)
    assert found == pytest.approx(rouge_figures([" ".join(generated)], [" ".join(wanted)])["rougeL"])


def test_translations():
    pytest.importorskip("sacrebleu", reason="sacrebleu, an extra, is not installed")
    wanted = ["Das ist ein kleines Haus am See.", "Ich trinke heute lieber Tee als Kaffee."]
    same = translation_figures(wanted, wanted)
    assert (same["bleu"], same["chrf"]) == pytest.approx((100, 100))
    # 4 words right of 5, 3 pairs of 4, 2 triples of 3, 1 run of 2; no penalty for equal lengths.
    found = translation_figures(["a b c d e"], ["a b c d x"])
    assert found["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert 0 < found["chrf"] < 100
    assert "version" in found["bleu_signature"]
    json.dumps(found)


@pytest.mark.parametrize(
    ("wanted", "generated", "words"),
    [
        ("我喜欢喝茶和咖啡。", "我喜欢喝茶和牛奶。", "zh"),
        ("猫はストーブの前で寝ている。", "猫はストーブの横で寝ている。", "zh"),
        ("แมวนอนอยู่หน้าเตา", "แมวนอนอยู่ข้างเตา", "char"),
        ("고양이가 난로 앞에서 자고 있다.", "고양이가 난로 앞에서 놀고 있다.", "13a"),
        ("The cat sleeps beside the stove 火.", "The cat sleeps behind the stove 火.", "13a"),
    ],
)
def test_a_translation_into_a_script_without_blanks_has_words_too(wanted, generated, words):
    pytest.importorskip("sacrebleu", reason="sacrebleu, an extra, is not installed")
    assert words_of([wanted]) == words
    assert words_of(["", "12."]) == "13a"
    found = translation_figures([wanted], [generated])
    assert 10 < found["bleu"] < 100
    assert f"tok:{words}|" in found["bleu_signature"]


def test_without_sacrebleu(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(KerasftError, match=r"pip install 'kerasft\[generation\]'"):
        translation_figures(["a"], ["a"])
