"""Labelled spans of words, for the tagging tasks of bench_tasks.py: read, widened to whole words, and counted.

Both environments import this; it needs nothing else.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

Span = tuple[int, int, str]
"""First word, the word behind the last, label."""


def spans_of(tags: Sequence[str]) -> set[Span]:
    """The spans of a sentence's B-, I- and O tags, as conlleval and seqeval's default mode read them.

    A span ends before O, before B and before another label; so an I may begin one.
    """
    spans: set[Span] = set()
    start, label = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        prefix, _, its = tag.partition("-")
        if label and (prefix == "B" or its != label):
            spans.add((start, place, label))
            label = ""
        if its and not label:
            start, label = place, its
    return spans


def widened(spans: Iterable[Span], tokens: Sequence[str]) -> set[Span]:
    """Spans of the characters of `" ".join(tokens)`, as those of all tokens that they share a character with.

    Args:
        spans: first character (code point), the one behind the last, label. They neither begin nor end at a space.
        tokens: the words of the sentence.
    """
    starts = list(accumulate((len(token) + 1 for token in tokens[:-1]), initial=0))
    return {(bisect_right(starts, start) - 1, bisect_left(starts, end), label) for start, end, label in spans}


def span_figures(truth: Sequence[set[Span]], found: Sequence[set[Span]]) -> dict[str, float]:
    """Precision, recall and F1 of all spans pooled; a span is right when both its borders and its label are."""
    right = sum(len(true & given) for true, given in zip(truth, found, strict=True))
    true, given = (sum(map(len, spans)) for spans in (truth, found))
    return {"precision": right / max(given, 1), "recall": right / max(true, 1), "f1": 2 * right / max(true + given, 1)}
