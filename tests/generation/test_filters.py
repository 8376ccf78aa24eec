"""Top-k, top-p and min-p against a plain loop; draws against the probabilities that the filters leave."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.generation import choose as choosing
from kerasft.generation.choose import choose
from kerasft.generation.filters import Filters, keep
from kerasft.generation.knobs import knobs_for


def kept_by_loop(probabilities, top_k, top_p, min_p):
    """The ids that may be drawn, one rule after the other, as they are defined."""
    order = np.argsort(-probabilities, kind="stable")
    order = order[: top_k or len(order)]
    if top_p < 1:
        shares = probabilities[order] / probabilities[order].sum()
        enough = np.flatnonzero(np.cumsum(shares) >= top_p)
        order = order[: enough[0] + 1] if len(enough) else order
    return [number for number in order if probabilities[number] >= min_p * probabilities[order[0]]]


def softmax(scores):
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(1, 40),
    top_k=st.integers(0, 50),
    top_p=st.floats(1 / 64, 1.0, width=32),
    min_p=st.floats(0.0, 1.0, width=32),
)
def test_the_filters_keep_what_a_plain_loop_keeps(seed, size, top_k, top_p, min_p):
    scores = np.random.default_rng(seed).normal(scale=3, size=size).astype(np.float32)
    probabilities = softmax(scores.astype(np.float64))
    expected = kept_by_loop(probabilities, top_k, top_p, min_p)
    filters = Filters(*(tf.constant([value]) for value in (top_k, np.float32(top_p), np.float32(min_p))))
    total = tf.constant([np.log(np.exp(scores.astype(np.float64)).sum())], tf.float32)
    ranked = -np.sort(-scores)
    whole = keep(tf.constant(ranked[None]), total, size, filters)
    assert whole.whole.numpy() == [True]
    # Within rounding of a border, either is right.
    assert abs(int(whole.count[0]) - len(expected)) <= is_near_a_border(probabilities, top_k, top_p, min_p)
    for shown in range(1, size):
        some = keep(tf.constant(ranked[None, :shown]), total, size, filters)
        if some.whole[0]:
            assert int(some.count[0]) == int(whole.count[0])
        else:
            assert int(whole.count[0]) >= shown or 0 < top_k < size


def is_near_a_border(probabilities, top_k, top_p, min_p):
    """bool: whether another number of tokens would do when the filters' numbers differ by a millionth."""
    near = [
        len(kept_by_loop(probabilities, top_k, top_p * change, min_p * other))
        for change in (1 - 1e-5, 1, 1 + 1e-5)
        for other in (1 - 1e-5, 1, 1 + 1e-5)
    ]
    return len(set(near)) > 1


DRAWS = 20_000


@pytest.mark.parametrize("shown", [4, 256])
@pytest.mark.parametrize(
    "knobs",
    [
        {"temperature": 1.0},
        {"temperature": 0.5},
        {"temperature": 2.0, "top_k": 7},
        {"temperature": 1.0, "top_p": 0.8},
        {"temperature": 1.3, "min_p": 0.1},
        {"temperature": 1.5, "top_k": 12, "top_p": 0.9, "min_p": 0.02},
    ],
)
@pytest.mark.parametrize("along", ["seed", "place"])
def test_draws_follow_the_probabilities_that_are_left(monkeypatch, shown, knobs, along):
    """A chi-square test; with few tokens shown, the draws from the whole vocabulary are tested too."""
    from scipy import stats

    monkeypatch.setattr(choosing, "SHOWN", shown)
    logits = np.random.default_rng(5).normal(scale=1.5, size=40).astype(np.float32)
    numbers = np.arange(DRAWS)
    seeds, places = (numbers, np.full(DRAWS, 11)) if along == "seed" else (np.full(DRAWS, 11), numbers)
    given_knobs = knobs_for(DRAWS, seed=seeds, **knobs)
    drawn = choose(tf.constant(np.tile(logits, (DRAWS, 1))), given_knobs, tf.constant(places, tf.int32)).numpy()

    probabilities = softmax(logits.astype(np.float64) / knobs["temperature"])
    filters = {"top_k": 0, "top_p": 1.0, "min_p": 0.0} | knobs
    left = kept_by_loop(probabilities, filters["top_k"], filters["top_p"], filters["min_p"])
    expected = np.zeros(40)
    expected[left] = probabilities[left] / probabilities[left].sum() * DRAWS
    counts = np.bincount(drawn, minlength=40)
    assert counts[expected == 0].sum() == 0
    # Rare tokens are counted together: the test wants five of each.
    rare = (expected > 0) & (expected < 5)
    seen, wanted = counts[expected >= 5], expected[expected >= 5]
    if rare.any():
        seen, wanted = np.append(seen, counts[rare].sum()), np.append(wanted, expected[rare].sum())
    assert stats.chisquare(seen, wanted).pvalue > 1e-4


def test_tokens_that_follow_each_other_are_drawn_independently():
    """Pairs of draws of one seed at two places, and of two seeds at one place, over a table of 8 x 8."""
    from scipy import stats

    logits = tf.zeros([DRAWS, 8])
    numbers = np.arange(DRAWS)

    def draw(seeds, places):
        knobs = knobs_for(DRAWS, seed=seeds, temperature=1.0)
        return choose(logits, knobs, tf.constant(places, tf.int32)).numpy()

    first = draw(numbers, np.full(DRAWS, 3))
    for other in (
        draw(numbers, np.full(DRAWS, 4)),
        draw(numbers + 1, np.full(DRAWS, 3)),
        draw(numbers + 2**32, np.full(DRAWS, 3)),
    ):
        table = np.zeros((8, 8))
        np.add.at(table, (first, other), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_equal_tokens_the_lowest_id_first():
    knobs = knobs_for(2, temperature=[0.0, 1.0], top_k=1)
    assert choose(tf.constant([[1.0, 3.0, 3.0]] * 2), knobs, tf.constant([0, 0])).numpy().tolist() == [1, 1]
