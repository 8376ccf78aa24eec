"""The split is a pure function of each row's text and the seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.data.read import read_rows
from kerasft.data.split import split_rows
from kerasft.errors import KerasftError


def rows_of(pairs):
    records = [{"text": text, "label": label} for text, label in pairs]
    return read_rows(records, text_columns=("text",), label_column="label", task_name="sentiment").rows


def held_out_texts(pairs, share=0.3, seed=0):
    rows = rows_of(pairs)
    train, held_out = split_rows(rows, ("text",), share, seed)
    assert sorted([*train, *held_out]) == list(range(len(rows)))
    assert train.dtype == held_out.dtype == np.int64
    return set(rows.take(held_out).column("text")), set(rows.take(train).column("text"))


# Enough rows that neither side of a split is ever empty.
BASE = [(f"text {i}", "ab"[i % 2]) for i in range(60)]
MORE = st.lists(st.tuples(st.text(min_size=1).filter(lambda t: t.strip() and t.isprintable()), st.sampled_from("ab")))


@settings(max_examples=50, deadline=None)
@given(more=MORE, seed=st.integers(0, 2**40), random=st.randoms(use_true_random=False))
def test_rows_keep_their_side(more, seed, random):
    held_out, train = held_out_texts(BASE, seed=seed)
    grown = BASE + more + [(text, "c") for text, _ in BASE[::3]]  # appended rows, and duplicates with other labels
    random.shuffle(grown)
    held_out_later, train_later = held_out_texts(grown, seed=seed)
    assert held_out <= held_out_later
    assert train <= train_later
    assert not held_out_later & train_later


def test_share_is_met_in_each_class():
    rows = rows_of([(f"review number {i}", "rare" if i % 10 == 0 else "common") for i in range(20_000)])
    for seed in range(3):
        _, held_out = split_rows(rows, ("text",), 0.1, seed)
        labels = np.array(rows.take(held_out).column("label"))
        assert abs(len(held_out) - 2000) < 5 * 43  # five standard deviations of the binomial
        assert abs((labels == "rare").sum() - 200) < 5 * 14


def test_seeds_differ_and_larger_shares_only_add():
    first, _ = held_out_texts(BASE, seed=1)
    second, _ = held_out_texts(BASE, seed=2)
    larger, _ = held_out_texts(BASE, share=0.6, seed=1)
    assert first != second
    assert first < larger


def test_split_never_changes_between_releases():
    _, held_out = split_rows(rows_of(BASE), ("text",), 0.1, 0)
    assert held_out.tolist() == [2, 16, 21, 41]


def test_columns_are_told_apart():
    pairs = [{"premise": "a" * i, "hypothesis": "b" * j} for i in range(1, 30) for j in range(1, 30)]
    names = ("premise", "hypothesis")
    rows = read_rows(pairs, text_columns=names, label_column=None, task_name="nli").rows
    _, both = split_rows(rows, names, 0.5, 0)
    _, one = split_rows(rows, names[:1], 0.5, 0)
    assert both.tolist() != one.tolist()
    assert len(one) % 29 == 0


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_share_out_of_range(share):
    with pytest.raises(KerasftError, match="between 0 and 1"):
        split_rows(rows_of(BASE), ("text",), share, 0)


def test_nothing_left_on_one_side():
    with pytest.raises(KerasftError, match=r"A share of 1e-06 of 60 rows leaves no held-out row: .*--eval-data"):
        split_rows(rows_of(BASE), ("text",), 1e-6, 0)
