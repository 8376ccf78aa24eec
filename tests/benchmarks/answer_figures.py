"""Exact match and F1 of answers to questions, by the rules of SQuAD's evaluation script (Rajpurkar et al. 2016, 2018).

Written a second time on purpose, apart from kerasft's own: the peer's figures check the rules too.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence


def words_of(answer: str) -> list[str]:
    """What is compared: small letters, ASCII punctuation deleted, then the articles left out, cut at white space."""
    letters = "".join(letter for letter in answer.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", letters).split()


def word_f1(gold: list[str], given: list[str]) -> float:
    """F1 over words, each as often as it occurs; where a side has none, whether the other has none either."""
    if not gold or not given:
        return float(gold == given)
    shared = sum((Counter(gold) & Counter(given)).values())
    return 2 * shared / (len(gold) + len(given))


def answer_figures(truth: Sequence[Sequence[str]], given: Sequence[str]) -> dict[str, float]:
    """Means over the questions, each judged by the gold answer that suits it best.

    Args:
        truth: the gold answers of each question. One that is empty once normalised is left out if there are others.
        given: one answer a question.

    Returns:
        `exact_match` and `f1`, as shares of 1.
    """
    exact, f1 = [], []
    for golds, answer in zip(truth, given, strict=True):
        words = words_of(answer)
        choices = [choice for gold in golds if (choice := words_of(gold))] or [[]]
        exact.append(words in choices)
        f1.append(max(word_f1(choice, words) for choice in choices))
    return {"exact_match": sum(exact) / len(exact), "f1": sum(f1) / len(f1)}
