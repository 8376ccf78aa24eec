"""Slices of like length: every row's answer is its own, in its place, and no slice is larger than told."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.export.slices import in_slices

LENGTHS = st.lists(st.integers(0, 70), max_size=12)


def batch_of(lengths, width=None):
    """Row r has the ids 100 r + 1, 100 r + 2, … and is filled up with 0; `own` is no value of a token."""
    width = max([*lengths, 1]) if width is None else width
    ids, mask = np.zeros((2, len(lengths), width), np.int32)
    for row, length in enumerate(lengths):
        ids[row, :length] = 100 * row + 1 + np.arange(length)
        mask[row, :length] = 1
    own = np.repeat(np.arange(len(lengths), dtype=np.int32)[:, np.newaxis], 3, axis=1)
    return {"token_ids": tf.constant(ids), "padding_mask": tf.constant(mask), "own": tf.constant(own)}


def sliced(inputs, tokens, fill_up=False):
    """What in_slices gives in a graph, and the shapes of `token_ids` that the network was called with."""
    shapes = []

    def seen(rows, width):
        shapes.append((int(rows), int(width)))
        return np.int32(0)

    def run(some):
        ids = tf.cast(some["token_ids"], tf.float32)
        told = tf.numpy_function(seen, [tf.shape(ids)[0], tf.shape(ids)[1]], tf.int32)
        with tf.control_dependencies([told]):
            own = tf.cast(some["own"], tf.float32)
        if fill_up:
            return tf.stack([ids, ids + own[:, :1]], axis=2)
        return tf.concat([tf.reduce_sum(ids, axis=1, keepdims=True), own], axis=1)

    graph = tf.function(lambda: in_slices(run, inputs, {"token_ids", "padding_mask"}, tokens, fill_up))
    return graph().numpy(), shapes


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(1, 300))
def test_each_row_has_its_own_answer(lengths, tokens):
    inputs = batch_of(lengths)
    found, shapes = sliced(inputs, tokens)
    ids = inputs["token_ids"].numpy()
    assert found.shape == (len(lengths), 4)
    np.testing.assert_array_equal(found[:, 0], ids.sum(1))
    np.testing.assert_array_equal(found[:, 1:], inputs["own"].numpy())
    assert sum(rows for rows, _ in shapes) == len(lengths)
    assert all(rows * width <= tokens for rows, width in shapes if rows > 1)


@settings(max_examples=20, deadline=None)
@given(LENGTHS)
def test_a_value_for_each_token_is_filled_up_to_the_whole_width(lengths):
    inputs = batch_of(lengths, width=75)
    found, _ = sliced(inputs, 8192, fill_up=True)
    ids, mask = inputs["token_ids"].numpy(), inputs["padding_mask"].numpy()
    assert found.shape == (len(lengths), 75, 2)
    np.testing.assert_array_equal(found[:, :, 0], ids)
    np.testing.assert_array_equal((found[:, :, 1] - ids) * mask, np.arange(len(lengths))[:, np.newaxis] * mask)


def test_a_long_text_does_not_widen_the_short_ones():
    _, shapes = sliced(batch_of([5, 64, 9, 7, 61]), 8192)
    assert sorted(shapes) == [(2, 64), (3, 9)]


@pytest.mark.parametrize("lengths", [[12] * 6, [12]], ids=["alike", "one"])
def test_rows_of_one_length_stay_together(lengths):
    _, shapes = sliced(batch_of(lengths), 8192)
    assert shapes == [(len(lengths), 12)]
