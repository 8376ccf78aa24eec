"""Figures of generated texts against the texts wanted: exact match, and ROUGE for summaries."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from kerasft.evaluation.classification import bootstrap_interval

_NO_WORD = re.compile(r"[\W_]+")


def exact_match_figures(wanted: Sequence[str], generated: Sequence[str]) -> dict:
    """How many texts are just what was wanted.

    Args:
        wanted: N texts, at least one.
        generated: N texts.

    Returns:
        `exact_match`, the share of generated texts that are equal to the wanted one but for white space at either end
        and at line ends, with its interval `exact_match_95`; `rows`.
    """
    equal = np.array([_lines(a) == _lines(b) for a, b in zip(wanted, generated, strict=True)], float)
    return {"exact_match": float(equal.mean()), "exact_match_95": bootstrap_interval(equal), "rows": len(equal)}


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def rouge_figures(wanted: Sequence[str], generated: Sequence[str]) -> dict:
    """ROUGE of summaries (Lin 2004, "ROUGE: a package for automatic evaluation of summaries").

    Words are runs of letters and digits of any script, in lower case, and are not stemmed; a text in a script without
    blanks between words has few of them. ROUGE-L looks at each text as one sequence, not sentence by sentence. On
    texts in ASCII that is what Google's `rouge_score` gives without its stemmer; it splits words at other letters.

    Args:
        wanted: N summaries, at least one.
        generated: N summaries.

    Returns:
        `rouge1`, `rouge2`, `rougeL`, means over the texts of the F-measure (precision and recall count alike) of words,
        of pairs of words, and of the longest common subsequence of words; 0 for a text where either side has none;
        `rows`.
    """
    pairs = [(_words(a), _words(b)) for a, b in zip(wanted, generated, strict=True)]
    scores = np.array([(_overlap(a, b, 1), _overlap(a, b, 2), _subsequence(a, b)) for a, b in pairs]).reshape(-1, 3)
    means = dict(zip(("rouge1", "rouge2", "rougeL"), scores.mean(axis=0).tolist(), strict=True))
    return {**means, "rows": len(scores)}


def _words(text: str) -> list[str]:
    return _NO_WORD.sub(" ", text.lower()).split()


def _overlap(wanted: list[str], generated: list[str], length: int) -> float:
    """F-measure of the runs of `length` words, each counted as often as both sides have it."""
    ours, theirs = (
        Counter(zip(*(words[start:] for start in range(length)), strict=False)) for words in (wanted, generated)
    )
    return _f_measure((ours & theirs).total(), ours.total(), theirs.total())


def _subsequence(wanted: list[str], generated: list[str]) -> float:
    """F-measure of the longest common subsequence."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys(wanted))}
    target = np.array([numbers[word] for word in wanted], int)
    # One row of the usual table at a time: the longest of the prefix of `wanted` and what was read of `generated`.
    best = np.zeros(len(wanted) + 1, int)
    for word in generated:
        hit = np.append(0, (best[:-1] + 1) * (target == numbers.get(word, -1)))
        best = np.maximum.accumulate(np.maximum(best, hit))
    return _f_measure(int(best[-1]), len(wanted), len(generated))


def _f_measure(common: int, wanted: int, generated: int) -> float:
    # With precision common / generated and recall common / wanted, their harmonic mean.
    return 2 * common / (wanted + generated) if common else 0.0
