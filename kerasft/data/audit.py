"""What is wrong with the rows as a whole: errors for what cannot be learnt, warnings with numbers for the rest."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Sized

import numpy as np

from kerasft.data.plain import shortened
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError, did_you_mean

FEWEST_TEXTS = 5  # distinct training texts that a class needs
SMALL = 1_000  # training rows below which a measured figure moves by several points with the seed
RARE = 0.01  # share of the training rows below which a class is rare
SHOWN = 6  # classes or places that one message names


def class_counts(labels: Iterable[str]) -> dict[str, int]:
    """Rows per label, in the order of the labels."""
    return dict(sorted(Counter(labels).items()))


def check_classes(sets: Mapping[str, Rows], label_column: str, label_names: Sequence[str] | None = None) -> list[str]:
    """Checks that every class can be learnt and measured.

    Args:
        sets: `train` and any others, such as `eval` and `test`; the names of those appear in messages. All columns
            but the label's make up a row's text.
        label_column: the column of class names.
        label_names: the classes that the user declared, if any.

    Returns:
        Warnings, one line each: few rows, rare classes, classes absent from the other sets.

    Raises:
        KerasftError: fewer than two classes, a class with fewer than `FEWEST_TEXTS` distinct training texts, a
            declared class without rows, a label that was not declared, a label elsewhere that is unseen in training.
    """
    train = sets["train"]
    labels = train.column(label_column)
    counts = class_counts(labels)
    others = {name: rows.column(label_column) for name, rows in sets.items() if name != "train"}
    # A class may have all of its rows on the other side of the split: few rows, not an unknown label.
    split_off = {label for name, its in others.items() if sets[name].read_with(train) for label in its}
    if label_names is not None:
        _check_declared(train, labels, label_names, split_off)
    if len(set(counts) | split_off) < 2:
        raise KerasftError(
            f"All {len(train):,} training rows have the label '{shortened(labels[0])}': a classifier needs rows of at "
            "least two classes. Add rows of another, or check which column holds the labels."
        )
    text_columns = [column for column in train.table.column_names if column != label_column]
    _check_enough(_texts(train, text_columns), labels, split_off)
    for name, its_labels in others.items():
        _check_seen(name, sets[name], its_labels, counts)
    warnings = _size_warnings(counts)
    for name, its_labels in others.items():
        warnings += _absent_warning(name, its_labels, counts)
    return warnings


def audit_sets(sets: Mapping[str, Rows], text_columns: Sequence[str], label_column: str | None) -> list[str]:
    """Looks for the same texts twice.

    Args:
        sets: `train` and any others, such as `eval` and `test`; the names of those appear in messages.
        text_columns: the columns whose texts, compared exactly, tell rows apart.
        label_column: the column of labels; None where the same text may rightly have different ones.

    Returns:
        Warnings, one line each: rows of another set that are in the training data too, and texts that occur with
        different labels in training.
    """
    train = sets["train"]
    texts = _texts(train, text_columns)
    known = set(texts)
    warnings = []
    for name, rows in sets.items():
        if name != "train":
            warnings += _overlap_warning(name, rows, _texts(rows, text_columns), known)
    return warnings + (_conflict_warning(train, texts, train.column(label_column)) if label_column else [])


def audit_lengths(token_counts: Sequence[int] | np.ndarray, max_length: int) -> list[str]:
    """Says how much the limit cuts.

    Args:
        token_counts: tokens of each text, special ones included, before anything is cut.
        max_length: tokens that the model is given at most.

    Returns:
        One warning, or none when every text fits.
    """
    counts = np.asarray(token_counts, dtype=np.int64)
    over = counts[counts > max_length]
    if not len(over):
        return []
    cut = int((over - max_length).sum())
    share = _percent(len(over), len(counts))
    return [
        f"{len(over):,} of {_rows(len(counts), 'text')} ({share}) {_verb(over, 'is', 'are')} longer than "
        f"{max_length} tokens: {cut:,} of {int(counts.sum()):,} tokens ({_percent(cut, int(counts.sum()))}) are cut; "
        f"the longest has {int(over.max()):,}."
    ]


def _texts(rows: Rows, text_columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(zip(*(rows.column(column) for column in text_columns), strict=True))


def _check_declared(train: Rows, labels: Sequence[str], label_names: Sequence[str], split_off: set[str]) -> None:
    declared = set(label_names)
    for i, label in enumerate(labels):
        if label not in declared:
            raise KerasftError(
                f"{train.place(i)}: label '{shortened(label)}' is not among the declared labels."
                f"{did_you_mean(label, label_names)} Mend the row or add the label to `labels`."
            )
    known = set(labels) | split_off
    absent = [label for label in label_names if label not in known]
    if absent:
        raise KerasftError(
            f"Declared in `labels` but in no training row: {_quoted(absent)}. Add {FEWEST_TEXTS} rows of each or more, "
            "or take it out of `labels`."
        )


def _check_enough(texts: Sequence[tuple[str, ...]], labels: Sequence[str], split_off: set[str]) -> None:
    distinct: dict[str, set] = defaultdict(set, {label: set() for label in split_off})
    for text, label in zip(texts, labels, strict=True):
        distinct[label].add(text)
    few = {label: len(of_label) for label, of_label in sorted(distinct.items()) if len(of_label) < FEWEST_TEXTS}
    if few:
        shown = ", ".join(f"'{shortened(label)}' ({count})" for label, count in list(few.items())[:SHOWN])
        many = "Check that the label column is the right one, or a" if len(few) > SHOWN else "A"
        raise KerasftError(
            f"Too few training rows: every class needs {FEWEST_TEXTS} different texts, and "
            f"{shown}{_and_more(few)} {_verb(few, 'has', 'have')} fewer. "
            f"{many}dd rows of them, merge them into another class, or remove their rows."
        )


def _check_seen(name: str, rows: Rows, labels: Sequence[str], counts: Mapping[str, int]) -> None:
    unseen = [i for i, label in enumerate(labels) if label not in counts]
    if unseen:
        first = labels[unseen[0]]
        others = f" {_rows(len(unseen) - 1, 'more row')} like it." if len(unseen) > 1 else ""
        raise KerasftError(
            f"{rows.place(unseen[0])}: label '{shortened(first)}' of the {name} data is not among the training labels."
            f"{did_you_mean(first, counts)} Mend the row, or add training rows of that label.{others}"
        )


def _size_warnings(counts: Mapping[str, int]) -> list[str]:
    total = sum(counts.values())
    warnings = []
    if total < SMALL:
        warnings.append(
            f"Only {_rows(total, 'training row')}: under {SMALL:,}, results vary by some points with the seed."
        )
    rare = {label: count for label, count in counts.items() if count < RARE * total}
    if rare:
        shown = ", ".join(
            f"'{shortened(label)}' ({_rows(n, 'row')}, {_percent(n, total)})" for label, n in list(rare.items())[:SHOWN]
        )
        warnings.append(
            f"Under {RARE:.0%} of the training rows: {shown}{_and_more(rare)}; expect weak results on them."
        )
    return warnings


def _absent_warning(name: str, labels: Sequence[str], counts: Mapping[str, int]) -> list[str]:
    absent = sorted(set(counts) - set(labels))
    if not absent:
        return []
    what = "class" if len(absent) == 1 else "classes"
    return [f"No {name} row has the {what} {_quoted(absent)}: how well the model knows it is not measured."]


def _overlap_warning(name: str, rows: Rows, texts: Sequence[tuple[str, ...]], train_texts: set) -> list[str]:
    both = [i for i, text in enumerate(texts) if text in train_texts]
    if not both:
        return []
    share = _percent(len(both), len(rows))
    return [
        f"{len(both):,} of {_rows(len(rows), f'{name} row')} ({share}) {_verb(both, 'has', 'have')} a text that is "
        f"also in the training data, the first at {rows.place(both[0])}: the measured quality is too high."
    ]


def _conflict_warning(train: Rows, texts: Sequence[tuple[str, ...]], labels: Sequence[str]) -> list[str]:
    first: dict[tuple[str, ...], int] = {}
    conflicts: dict[tuple[str, ...], int] = {}
    for i, text in enumerate(texts):
        j = first.setdefault(text, i)
        if labels[i] != labels[j]:
            conflicts.setdefault(text, i)
    if not conflicts:
        return []
    i = next(iter(conflicts.values()))
    j = first[texts[i]]
    count = _rows(len(conflicts), "text")
    return [
        f"{count} {_verb(conflicts, 'occurs', 'occur')} with different labels, the first at "
        f"{train.place(j)} ('{shortened(labels[j])}') and {train.place(i)} ('{shortened(labels[i])}'): "
        "one of each pair teaches the opposite."
    ]


def _rows(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _verb(things: Sized, one: str, several: str) -> str:
    return one if len(things) == 1 else several


def _percent(part: int, whole: int) -> str:
    share = 100 * part / whole
    return f"{share:.1f} %" if share >= 1 else f"{share:.2g} %"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{shortened(name)}'" for name in names[:SHOWN]) + _and_more(names)


def _and_more(names: Sequence | Mapping) -> str:
    return f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
