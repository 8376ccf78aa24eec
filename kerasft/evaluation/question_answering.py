"""Figures of extractive question answering, by the rules of SQuAD's evaluation script."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(answer: str) -> str:
    """An answer as SQuAD's script compares it (Rajpurkar et al. 2016).

    In this order: lower case; the 32 ASCII punctuation marks deleted; the words a, an and the out; white space
    collapsed. Other punctuation stays, such as curly quotes.
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_WITHOUT_PUNCTUATION)).split())


def qa_figures(truth: Sequence[Sequence[str]], predicted: Sequence[str], no_answer: np.ndarray) -> dict:
    """Everything said of question answering, as shares of 1 where the script gives percentages.

    It follows the script of SQuAD 2.0 (Rajpurkar et al. 2018), which for questions with answers agrees with that of
    1.1: exact match and F1 over words, both on normalised answers, the best over a question's gold answers; gold
    answers that normalise to nothing are left out; where either side is empty, F1 is 1 if both are, else 0; a question
    is unanswerable when it has no gold answers at all.

    It departs in two places, both so that a best figure is one that its threshold really gives: equal probabilities
    are taken or left together, and an answer that normalises to nothing is no answer there too.

    Args:
        truth: the gold answers of each of the N questions, none for an unanswerable one.
        predicted: the N answers, "" for none.
        no_answer: float[N], the probability that there is no answer; it has no part in `exact_match` and `f1`.

    Returns:
        `exact_match`, `f1`, `rows`. When some questions are unanswerable also `no_ans_exact`, `no_ans_f1` (the same
        figure), `no_ans_rows` over those; `has_ans_exact`, `has_ans_f1`, `has_ans_rows` over the others, if any; and
        `best_exact`, `best_exact_threshold`, `best_f1`, `best_f1_threshold`: the figures when answers whose `no_answer`
        exceeds the threshold are withdrawn, with the lowest threshold that gives the best.
    """
    scores = np.array([_scores(gold, answer) for gold, answer in zip(truth, predicted, strict=True)], np.float64)
    scores = scores.reshape(-1, 2)
    exact, f1 = scores.T
    answerable = np.array([len(gold) > 0 for gold in truth], bool)
    figures = {"exact_match": float(exact.mean()), "f1": float(f1.mean()), "rows": len(scores)}
    if answerable.all():
        return figures
    for prefix, part in (("has_ans", answerable), ("no_ans", ~answerable)):
        if part.any():
            figures[f"{prefix}_exact"] = float(exact[part].mean())
            figures[f"{prefix}_f1"] = float(f1[part].mean())
            figures[f"{prefix}_rows"] = int(part.sum())
    for name, values in (("exact", exact), ("f1", f1)):
        best, threshold = _best_threshold(values, answerable, np.asarray(no_answer))
        figures[f"best_{name}"] = best
        figures[f"best_{name}_threshold"] = threshold
    return figures


def _scores(gold: Sequence[str], predicted: str) -> tuple[float, float]:
    """Exact match and F1 of one answer against its gold answers."""
    words = normalise_answer(predicted).split()
    # Normalised answers are words with one space between: they are equal when their words are.
    golds = [some for answer in gold if (some := normalise_answer(answer).split())] or [[]]
    return float(words in golds), max(_word_f1(some, words) for some in golds)


def _word_f1(gold: list[str], predicted: list[str]) -> float:
    if not gold or not predicted:
        return float(gold == predicted)
    return 2 * (Counter(gold) & Counter(predicted)).total() / (len(gold) + len(predicted))


def _best_threshold(scores: np.ndarray, answerable: np.ndarray, no_answer: np.ndarray) -> tuple[float, float]:
    """The best mean score when answers with `no_answer` above a threshold are withdrawn, and the lowest such threshold.

    The candidates are the probabilities themselves, as in the script, and a threshold below them all: 0, or -1 when a
    probability is 0.
    """
    order = np.argsort(no_answer, kind="stable")
    ordered = no_answer[order]
    # With every answer withdrawn the unanswerable questions are right; each answer given back then changes the sum.
    total = (~answerable).sum() + np.cumsum((scores - ~answerable)[order])
    last_of_ties = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    totals = np.append((~answerable).sum(), total[last_of_ties])
    thresholds = np.append(0.0 if ordered[0] > 0 else -1.0, ordered[last_of_ties].astype(np.float64))
    best = totals.argmax()
    return float(totals[best] / len(scores)), float(thresholds[best])
