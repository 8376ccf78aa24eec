"""Tokens are hidden as the paper says, and always the same ones, whoever asks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.backbones.view import Filling
from kerasft.data.masking import CHOSEN, TOKENS, hide
from kerasft.data.pipeline import Encoded, token_batch
from kerasft.data.row_file import RowFile
from kerasft.training.shares import share, training_element

PIECES, MASK, SPECIAL = 200, 4, (0, 1, 2, 3, 4)
FILLING = Filling(MASK, SPECIAL, np.zeros(PIECES, np.int8), ("",) * PIECES, np.zeros(PIECES, bool), False)


def rows_of(lengths, seed=0) -> Encoded:
    """Rows that begin and end with a special token, as BERT's do."""
    draw = np.random.default_rng(seed)
    lengths = np.asarray(lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = draw.integers(len(SPECIAL), PIECES, starts[-1]).astype(np.int32)
    tokens[starts[:-1]], tokens[starts[1:] - 1] = 2, 3
    return Encoded(
        inputs={TOKENS: tokens, "segment_ids": np.zeros_like(tokens)},
        starts=starts,
        uncut=lengths.astype(np.int32),
        padding={TOKENS: 0, "segment_ids": 0, "padding_mask": 0},
    )


def drawn(encoded, rows, epoch=0, seed=0):
    """Inputs and targets of some rows in an epoch."""
    hidden, targets = hide(encoded, FILLING, PIECES, seed)(epoch)
    batch = token_batch(hidden, rows)
    return batch, targets.padded(rows, batch["padding_mask"].shape[1])


def test_15_of_100_are_chosen_and_80_10_10_of_these_hidden_swapped_left():
    encoded = rows_of(np.random.default_rng(1).integers(3, 60, 3000))
    every = np.arange(len(encoded))
    plain = token_batch(encoded, every)[TOKENS]
    batch, targets = drawn(encoded, every)
    counts = (targets > 0).sum(axis=1)
    np.testing.assert_array_equal(counts, np.maximum(np.floor(0.15 * (encoded.lengths - 2) + 0.5), 1))
    row, number = np.nonzero(targets)
    place = batch[CHOSEN][row, number]
    there, now = plain[row, place], batch[TOKENS][row, place]
    np.testing.assert_array_equal(targets[row, number], there + 1)
    assert not np.isin(there, SPECIAL).any()
    hidden, left = np.mean(now == MASK), np.mean(now == there)
    assert hidden == pytest.approx(0.8, abs=0.01)
    assert left == pytest.approx(0.1, abs=0.01)
    swapped = now[(now != MASK) & (now != there)]
    assert not np.isin(swapped, SPECIAL).any()
    assert len(set(swapped.tolist())) > 0.9 * (PIECES - len(SPECIAL))
    # Nothing else is touched, and no place is chosen twice.
    changed = np.zeros(plain.shape, int)
    np.add.at(changed, (row, place), 1)
    assert changed.max() == 1
    np.testing.assert_array_equal(batch[TOKENS][changed == 0], plain[changed == 0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=12), st.integers(0, 5), st.integers(0, 2**31), st.data())
def test_a_row_is_the_same_in_any_batch(lengths, epoch, seed, data):
    encoded = rows_of(lengths)
    every = np.arange(len(lengths))
    some = np.array(data.draw(st.permutations(every.tolist())))[: data.draw(st.integers(1, len(lengths)))]
    whole, all_targets = drawn(encoded, every, epoch, seed)
    part, targets = drawn(encoded, some, epoch, seed)
    for name, values in part.items():
        for row, value in zip(some, values, strict=True):
            width = min(len(value), whole[name].shape[1])
            np.testing.assert_array_equal(value[:width], whole[name][row, :width])
            assert not value[width:].any()
    for row, value in zip(some, targets, strict=True):
        np.testing.assert_array_equal(value[value > 0], all_targets[row][all_targets[row] > 0])


def test_each_epoch_hides_others_and_in_time_every_token():
    encoded = rows_of([22] * 3)
    seen = np.zeros((3, 22), int)
    for epoch in range(60):
        batch, targets = drawn(encoded, np.arange(3), epoch)
        np.add.at(seen, (np.nonzero(targets)[0], batch[CHOSEN][targets[:, : batch[CHOSEN].shape[1]] > 0]), 1)
    assert (seen[:, 1:-1] > 0).all()
    assert not seen[:, [0, -1]].any()
    # The rows are of one length, and yet not hidden alike.
    assert (seen[0] != seen[1]).any()
    first, second = (drawn(encoded, np.arange(3), epoch)[0][CHOSEN] for epoch in (0, 1))
    assert (first != second).any()
    assert (first != drawn(encoded, np.arange(3), 0, seed=1)[0][CHOSEN]).any()


def test_a_row_with_one_token_hides_it_and_one_with_none_nothing():
    encoded = rows_of([3, 2, 12])
    batch, targets = drawn(encoded, np.arange(3))
    assert (targets > 0).sum(axis=1).tolist() == [1, 0, 2]
    assert batch[CHOSEN].tolist()[:2] == [[1, 0], [0, 0]]
    _, of_all = hide(encoded, FILLING, PIECES, 0)(0)
    assert of_all.counts.tolist() == [1, 0, 2]
    assert len(of_all) == 3


def test_tokens_on_the_disk_are_hidden_alike(tmp_path):
    encoded = rows_of([5, 17, 9])
    path = tmp_path / "tokens.i32"
    path.write_bytes(encoded.inputs[TOKENS].tobytes())
    file = RowFile(path, encoded.starts, np.dtype(np.int32))
    on_disk = Encoded({**encoded.inputs, TOKENS: file}, encoded.starts, encoded.uncut, encoded.padding)
    (ours, targets), (theirs, of_file) = (drawn(one, np.arange(3)) for one in (encoded, on_disk))
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])
    np.testing.assert_array_equal(targets, of_file)


@pytest.mark.parametrize(("replicas", "accumulate"), [(1, 3), (2, 1), (3, 2)])
def test_replicas_and_micro_batches_share_the_draw_of_the_whole(replicas, accumulate):
    encoded = rows_of(np.arange(4, 15))
    hidden, targets = hide(encoded, FILLING, PIECES, 7)(2)
    rows = np.arange(len(encoded))
    whole = {row: drawn(encoded, np.array([row]), 2, 7) for row in rows.tolist()}
    total = {}
    for replica in range(replicas):
        part = share(rows, targets.counts[rows].astype(np.float32), replica, replicas, accumulate)
        inputs, wanted, weights = training_element(lambda some: token_batch(hidden, some), targets, part, accumulate)
        for number, row in enumerate(part.rows.tolist()):
            micro, place = divmod(number, len(part.rows) // accumulate)
            batch, alone = whole[row]
            length = int(encoded.lengths[row])
            np.testing.assert_array_equal(inputs[TOKENS][micro, place, :length], batch[TOKENS][0])
            np.testing.assert_array_equal(wanted[micro, place, :length], alone[0])
            total[row] = total.get(row, 0.0) + float(weights[micro, place])
    # Each row counts as much as it hides.
    expected = targets.counts / targets.counts.sum()
    np.testing.assert_allclose([total[row] for row in rows.tolist()], expected, rtol=1e-5)
