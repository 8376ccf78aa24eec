"""Stop strings against Python's own search, in whole texts and in growing ones."""

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.generation.stops import begun_at_end, find_first, nothing_written, write

SMALL = st.lists(st.sampled_from(b"ab\0\xff"), max_size=12).map(bytes)
STOPS = st.lists(st.lists(st.sampled_from(b"ab\0\xff"), max_size=4).map(bytes), min_size=2, max_size=2)


def first_in(text, stops):
    return min((text.find(stop) for stop in stops if stop and stop in text), default=-1)


@settings(deadline=None, max_examples=80)
@given(rows=st.lists(st.tuples(SMALL, STOPS), min_size=1, max_size=4))
def test_the_first_stop_string_of_a_text(rows):
    texts, stops = zip(*rows, strict=True)
    found = find_first(tf.constant(texts), tf.constant(stops))
    assert found.numpy().tolist() == [first_in(*row) for row in rows]


@settings(deadline=None, max_examples=80)
@given(rows=st.lists(st.tuples(SMALL, STOPS), min_size=1, max_size=4))
def test_the_end_of_a_text_that_may_become_a_stop_string(rows):
    texts, stops = zip(*rows, strict=True)
    expected = [
        max(n for n in range(4) if n == 0 or any(len(s) > n and text[-n:] == s[:n] and len(text) >= n for s in own))
        for text, own in rows
    ]
    assert begun_at_end(tf.constant(texts), tf.constant(stops)).numpy().tolist() == expected


@settings(deadline=None, max_examples=80)
@given(pieces=st.lists(SMALL.map(lambda piece: piece[:4]), max_size=8), stops=STOPS)
def test_a_growing_text_ends_with_the_first_piece_that_completes_a_stop_string(pieces, stops):
    written, text = nothing_written(1), b""
    for piece in pieces:
        text += piece
        written = write(written, tf.constant([piece]), tf.constant([stops]))
        assert written.cut.numpy() == [first_in(text, stops)]
        if written.cut[0] >= 0:
            return


def test_no_stop_string_and_no_row():
    written = write(nothing_written(2), tf.constant(["a", "b"]), tf.zeros([2, 0], tf.string))
    assert written.cut.numpy().tolist() == [-1, -1]
    assert find_first(tf.constant(["a"]), tf.zeros([1, 0], tf.string)).numpy().tolist() == [-1]
    assert find_first(tf.zeros([0], tf.string), tf.zeros([0, 1], tf.string)).shape == (0,)
    assert begun_at_end(tf.constant(["a"]), tf.zeros([1, 0], tf.string)).numpy().tolist() == [0]
