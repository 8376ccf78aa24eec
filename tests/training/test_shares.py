"""What each replica is given of a global batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.data.pipeline import evened
from kerasft.training.shares import distributed_dataset, pieces, share, training_element


@settings(max_examples=200, deadline=None)
@given(
    weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=40),
    replicas=st.integers(1, 8),
    accumulate=st.integers(1, 5),
)
def test_every_row_counts_once_with_its_weight(weights, replicas, accumulate):
    rows = np.arange(len(weights)) * 3 + 100
    parts = [share(rows, np.array(weights), replica, replicas, accumulate) for replica in range(replicas)]
    assert len({part.rows.shape for part in parts}) == 1
    assert parts[0].rows.shape == (accumulate * -(-len(rows) // (replicas * accumulate)),)
    assert all(part.rows.shape == part.weights.shape and part.weights.dtype == np.float32 for part in parts)

    given_rows = np.concatenate([part.rows[part.weights > 0] for part in parts])
    given_weights = np.concatenate([part.weights[part.weights > 0] for part in parts])
    order = np.argsort(given_rows)
    np.testing.assert_array_equal(given_rows[order], rows)
    np.testing.assert_allclose(given_weights[order], np.array(weights) / sum(weights), rtol=1e-5)
    assert sum(part.weights.sum(dtype=np.float64) for part in parts) == pytest.approx(1.0, abs=1e-5)


def test_a_replica_without_a_row_gets_one_that_counts_nothing():
    parts = [share(np.array([7]), np.ones(1), replica, replicas=3) for replica in range(3)]
    assert [part.rows.tolist() for part in parts] == [[7]] * 3
    assert [part.weights.tolist() for part in parts] == [[1.0], [0.0], [0.0]]


def test_neighbours_in_length_go_to_different_replicas():
    rows = np.arange(8)
    parts = [share(rows, np.ones(8), replica, replicas=2, accumulate=2).rows.tolist() for replica in range(2)]
    assert parts == [[0, 4, 1, 5], [2, 6, 3, 7]]


def element(accumulate):
    part = share(np.arange(7), np.ones(7), replica=0, replicas=1, accumulate=accumulate)
    tokens = np.arange(70).reshape(7, 5, 2)
    mask = np.ones((7, 5), np.int32)
    return training_element(
        lambda rows: {"tokens": tokens[rows], "padding_mask": mask[rows]}, np.arange(7) * 10, part, accumulate
    )


def test_micro_batches_are_an_axis_in_front():
    inputs, labels, weights = element(accumulate=3)
    assert inputs["tokens"].shape == (3, 3, 5, 2)
    np.testing.assert_array_equal(inputs["tokens"][..., 0, 0] / 10, labels // 10)
    assert labels.shape == weights.shape == (3, 3)
    assert sorted(labels[weights > 0].tolist()) == list(range(0, 70, 10))


def test_rows_are_filled_up_to_few_lengths():
    batch = {"hidden": np.ones((7, 5, 2), np.float16), "padding_mask": np.ones((7, 5), np.int32)}
    filled = evened(batch, most=100)
    assert filled["hidden"].shape == (7, 8, 2)
    assert filled["hidden"].dtype == np.float16
    np.testing.assert_array_equal(filled["padding_mask"], np.arange(8)[None].repeat(7, 0) < 5)
    assert not filled["hidden"][:, 5:].any()
    assert filled["hidden"][:, :5].all()
    # A row never gets more places than the position embedding has.
    assert evened(batch, most=6)["padding_mask"].shape == (7, 6)
    assert evened(batch, most=5)["padding_mask"].shape == (7, 5)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 64), st.integers(1, 512), st.integers(1, 4), st.integers(1, 5), st.integers(1, 2000))
def test_long_batches_come_in_as_many_pieces_as_the_memory_needs(rows, length, replicas, accumulate, at_once):
    number = pieces(rows, length, replicas, accumulate, at_once)
    assert number >= accumulate
    largest = -(-rows // (replicas * number))
    # A row alone may be longer than all that is to be there at once.
    assert largest * length <= max(at_once, length) + length * (number > 1)
    if number > accumulate:
        each = -(-rows // replicas)
        assert number <= each
        assert each * length > (number - 1) * at_once


def test_short_batches_stay_whole():
    assert pieces(rows=32, length=24, replicas=1, accumulate=1, at_once=1024) == 1
    assert pieces(rows=32, length=80, replicas=1, accumulate=1, at_once=1024) == 3
    assert pieces(rows=32, length=80, replicas=2, accumulate=1, at_once=1024) == 2


def test_no_tuner_waits_behind_the_dataset():
    """Freeing an iterator waited for that thread's next look: half a minute at the end of a phase, on two cores."""
    import tensorflow as tf

    made = distributed_dataset(tf.distribute.get_strategy(), lambda replicas: iter([({"x": np.zeros([2, 3])},)]))
    assert made.options().autotune.enabled is False
    assert next(iter(made))[0]["x"].shape == (2, 3)
