"""Labelled spans of words: reading them from tags, and the figures of found ones against true ones."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from kerasft.errors import KerasftError

Span = tuple[int, int, str]
"""First word, word after the last, label."""

SCHEMES = ("bio", "bioes", "plain")
OUTSIDE = "O"
BEGINS = frozenset("BSU")
ENDS = frozenset("ESLU")
PREFIXES = ENDS | {"B", "I"}
NO_LABEL = "_"

_TYPED = re.compile(r"([BIESLU])-([^-].*)", re.DOTALL)
_LOWER_CASE = re.compile(r"[bi]-[^-]")


def find_tag_scheme(all_tags: Iterable[str]) -> str:
    """How the tags of a data set are to be read.

    Args:
        all_tags: every tag of the whole data set; repeats do not matter.

    Returns:
        `"bioes"` when a tag has one of the prefixes E-, S- (BIOES), L- or U- (BILOU); `"bio"` when the prefixes are B-
        and I- alone (IOB1 or IOB2), or all words are O; `"plain"` when no tag has a prefix, as parts of speech.
        Prefixes without labels (only B, I, O and perhaps E, S, L, U) are a scheme too; the label is then `"_"`.

    Raises:
        KerasftError: a tag is empty, or fits none of the schemes beside the other tags.
    """
    tags = set(all_tags)
    if "" in tags:
        raise KerasftError('Expected a tag for every word, found an empty one: write "O" for a word outside all spans.')
    typed = {tag for tag in tags if _TYPED.fullmatch(tag)}
    if typed and (misfits := sorted(tags - typed - {OUTSIDE})):
        raise KerasftError(
            f'Expected "O" or a tag that begins with B-, I-, E-, S-, L- or U-, as "{min(typed)}" does, found '
            f'"{misfits[0]}": write all tags so, or none.'
        )
    prefixes = {tag[0] for tag in typed} or tags - {OUTSIDE}
    if prefixes <= PREFIXES:
        return "bioes" if prefixes & ENDS else "bio"
    if lower_case := sorted(tag for tag in tags if _LOWER_CASE.match(tag)):
        raise KerasftError(f'Expected prefixes in capitals, such as "B-PER", found the tag "{lower_case[0]}".')
    return "plain"


def spans_of_tags(tags: Sequence[str], scheme: str = "bio") -> list[Span]:
    """The spans of one row's tags.

    Read as conlleval does (Tjong Kim Sang and Buchholz 2000), which makes spans of illegal sequences too: a span begins
    at B, S and U, and at any other prefix that follows O, the end of a span, or another label; it ends with E, S, L
    and U, before the next beginning, and before O. So IOB1, IOB2, BIOES and BILOU are read by the same rules.

    Args:
        tags: a tag for each word.
        scheme: as `find_tag_scheme` says. With `"plain"` each word is a span of its own, labelled by its tag, save
            those tagged O.

    Returns:
        The spans, in order.

    Raises:
        KerasftError: a tag is not of the scheme.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}: expected one of {SCHEMES}")
    if scheme == "plain":
        return [(place, place + 1, tag) for place, tag in enumerate(tags) if tag != OUTSIDE]
    spans: list[Span] = []
    start, open_label = 0, None
    for place, tag in enumerate(tags):
        prefix, label = _parts(tag, scheme)
        if open_label is not None and (label != open_label or prefix in BEGINS):
            spans.append((start, place, open_label))
            open_label = None
        if open_label is None and label is not None:
            start, open_label = place, label
        if prefix in ENDS:
            spans.append((start, place + 1, label))
            open_label = None
    if open_label is not None:
        spans.append((start, len(tags), open_label))
    return spans


def _parts(tag: str, scheme: str) -> tuple[str, str | None]:
    """The prefix and the label of a tag; O has none."""
    if tag == OUTSIDE:
        return tag, None
    match = _TYPED.fullmatch(tag)
    prefix, label = match.groups() if match else (tag, NO_LABEL)
    if prefix in ("B", "I") or (scheme == "bioes" and prefix in ENDS):
        return prefix, label
    example = "B-PER or I-PER" if scheme == "bio" else "B-PER, I-PER, E-PER or S-PER"
    raise KerasftError(f'Expected tags such as O, {example}, found "{tag}".')


def span_figures(truth: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> dict:
    """Everything said of found spans. A span is right when both its borders and its label are.

    The same spans give the same figures in conlleval (as percentages there) and in seqeval's default mode.

    Args:
        truth: the spans of each of the N rows, as (start, end, label), in any units.
        predicted: the same of what was found.

    Returns:
        `precision`, `recall`, `f1` (all spans pooled); `macro_f1`, the mean over the labels that are true or found
        anywhere; `per_type` by label (precision, recall, f1, and `rows`, its true spans); `spans`, all true spans;
        `rows`, N. A ratio with an empty denominator is 0.
    """
    rows, found, right = Counter(), Counter(), Counter()
    for actual, guessed in zip(truth, predicted, strict=True):
        # Sets: a span that is given twice counts once.
        actual, guessed = {tuple(span) for span in actual}, {tuple(span) for span in guessed}
        for counts, spans in ((rows, actual), (found, guessed), (right, actual & guessed)):
            counts.update(label for _, _, label in spans)
    per_type = {
        label: {**_figures(right[label], found[label], rows[label]), "rows": rows[label]}
        for label in sorted(rows.keys() | found.keys())
    }
    every_f1 = [figures["f1"] for figures in per_type.values()]
    return {
        **_figures(right.total(), found.total(), rows.total()),
        "macro_f1": sum(every_f1) / max(len(every_f1), 1),
        "per_type": per_type,
        "spans": rows.total(),
        "rows": len(truth),
    }


def _figures(right: int, found: int, rows: int) -> dict[str, float]:
    return {
        "precision": right / max(found, 1),
        "recall": right / max(rows, 1),
        "f1": 2 * right / max(found + rows, 1),
    }
