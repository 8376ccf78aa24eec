"""Windows over long texts: every token is read, and the network's outputs find their way back to it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.text import reading as readings
from kerasft.text.reading import by_token, read
from kerasft.text.windows import windows


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    room=st.integers(1, 12),
    overlap=st.integers(0, 20),
    most=st.integers(1, 8),
)
def test_windows_cover_every_token_up_to_the_cut(lengths, room, overlap, most):
    long = tf.RaggedTensor.from_row_lengths(tf.range(sum(lengths)), tf.constant(lengths, tf.int64))
    found = windows([long], tf.fill([len(lengths)], room), overlap, most)
    row, first, parts = found.row.numpy(), found.first.numpy(), found.segments[0].to_list()
    assert sorted(row) == list(row)
    for number, tokens in enumerate(long.to_list()):
        mine = [(int(first[w]), parts[w]) for w in range(len(row)) if row[w] == number]
        assert 1 <= len(mine) <= most
        assert all(len(part) <= room and part == tokens[start : start + len(part)] for start, part in mine)
        covered = {token for _, part in mine for token in part}
        assert bool(found.cut[number]) == (covered != set(tokens))
        shared = min(overlap, room // 2)
        for (start, part), (after, _) in itertools.pairwise(mine):
            assert start + len(part) - after == shared
        # None is there for nothing.
        assert len(mine) == 1 or mine[-1][0] + shared < len(tokens)


LONG = ["a lovely film with a very dull plot and a cast of brilliant bad cold grim stories " * 3, "", "good"]


def read_long(text, questions=None, max_length=16):
    texts = {**({"question": tf.constant(questions)} if questions else {}), "context": tf.constant(LONG)}
    return read(text, texts, max_length, overlap=4)


@pytest.mark.parametrize("questions", [None, ["was it good", "", "a very long question about the film " * 5]])
def test_each_place_knows_its_token(text, questions):
    found = read_long(text, questions)
    ids, token, row = found.inputs["token_ids"].numpy(), found.token.numpy(), found.row.numpy()
    tokens = found.tokens.ids.to_list()
    assert ids.shape == token.shape == found.inputs["padding_mask"].shape
    assert ids.shape[1] <= 16
    for window in range(len(row)):
        held = [place for place in range(ids.shape[1]) if token[window, place] >= 0]
        assert [ids[window, place] for place in held] == [tokens[row[window]][token[window, place]] for place in held]
        assert all(found.inputs["padding_mask"].numpy()[window, place] for place in held)
    for number, its_tokens in enumerate(tokens):
        read_ones = {token[w, p] for w in range(len(row)) if row[w] == number for p in range(ids.shape[1])} - {-1}
        assert read_ones == set(range(len(its_tokens)))
    # The long question was cut, and that is said.
    assert found.truncated.numpy().tolist() == [False, False, bool(questions)]


def test_outputs_of_several_windows_meet_at_their_token(text):
    found = read_long(text)
    values = tf.cast(found.token, tf.float32)[..., tf.newaxis] * [1.0, 10.0]
    back = by_token(found, values)
    for tokens, ours in zip(found.tokens.ids.to_list(), back.to_list(), strict=True):
        np.testing.assert_allclose(
            np.reshape(ours, (-1, 2)), [[n, 10.0 * n] for n in range(len(tokens))] or np.zeros((0, 2))
        )


def test_more_windows_than_allowed_are_said(text, monkeypatch):
    monkeypatch.setattr(readings, "MOST_WINDOWS", 2)
    found = read_long(text)
    assert found.truncated.numpy().tolist() == [True, False, False]
    assert max(np.bincount(found.row.numpy())) == 2


def test_no_rows_at_all(text):
    found = read(text, {"context": tf.zeros([0], tf.string)}, 16, 4)
    assert found.row.shape == (0,)
    assert found.truncated.shape == (0,)
    assert by_token(found, tf.zeros([*found.token.shape, 3])).shape[0] == 0
