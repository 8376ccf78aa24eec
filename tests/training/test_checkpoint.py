"""Checkpoints on the disk: what is put in comes out, and whatever ends the process, the newest whole one is found."""

import json

import numpy as np
import pytest
import tensorflow as tf

from kerasft.training import checkpoint
from kerasft.training.checkpoint import State, load_best, load_checkpoint, save_best, save_checkpoint

NOTHING: dict[str, tf.Variable] = {}
OPTIMIZER = {"o0": tf.Variable(3, dtype=tf.int64)}


def weights(value: float = 0.0) -> dict[str, tf.Variable]:
    return {"w0": tf.Variable(np.full((2, 3), value, np.float32))}


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_saved_comes_back_to_the_last_bit(tmp_path):
    draw = np.random.default_rng(0)
    arrays = {
        "scalar": np.float32(0.1) + np.zeros((), np.float32),
        "count": np.array(7, np.int64),
        "kernel": draw.normal(size=(3, 4)).astype(np.float32),
        "turned": draw.normal(size=(3, 4)).astype(np.float32).T,
        "half": draw.normal(size=5).astype(np.float16),
        "seed": np.array([2**32 - 1, 12], np.uint32),
        "flag": np.array([True, False]),
        "strange": np.array([np.nan, np.inf, -0.0, np.finfo(np.float32).tiny / 8], np.float32),
        "empty": np.zeros((0, 4), np.float32),
    }
    state = State(phase=2, epoch=1, step=3, updates=12, loss=1 / 3, rows=24, bad_epochs=1, best_rank=[0.7, -1e-17])
    state.history.append({"phase": 1, "loss": 0.1 + 0.2})
    state.phases.append({"trains": "the head", "seconds": 1.5})
    variables = {name: tf.Variable(array) for name, array in arrays.items()}
    kernels = {name: variable for name, variable in variables.items() if variable.dtype == tf.float32}
    others = {name: variable for name, variable in variables.items() if name not in kernels}
    save_checkpoint(tmp_path, state, kernels, others, keep=1)
    found, back = load_checkpoint(tmp_path)
    assert found == state
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape), name
        assert back[name].tobytes() == array.tobytes(), name


def test_between_two_phases_there_is_no_optimizer(tmp_path):
    save_checkpoint(tmp_path, State(phase=2, updates=8), weights(), NOTHING, keep=1)
    _, arrays = load_checkpoint(tmp_path)
    assert set(arrays) == {"w0"}


def test_there_may_be_none(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "nowhere") is None


def test_the_newest_wins(tmp_path):
    """By updates, then by phase, then by epoch, as numbers: an epoch's end comes after its last update."""
    order = [(2, 9, 9), (10, 1, 0), (10, 1, 1), (10, 1, 10), (10, 2, 0), (123_456_789, 2, 1), (123_456_790, 2, 0)]
    for updates, phase, epoch in order:
        save_checkpoint(tmp_path, State(phase, epoch, updates=updates), weights(), NOTHING, keep=100)
        found, _ = load_checkpoint(tmp_path)
        assert (found.updates, found.phase, found.epoch) == (updates, phase, epoch)


def test_only_the_last_ones_are_kept(tmp_path):
    for updates in (4, 8, 12, 16):
        save_checkpoint(tmp_path, State(updates=updates), weights(updates), NOTHING, keep=2)
    assert names(tmp_path) == ["00000012-1-0", "00000016-1-0"]
    state, arrays = load_checkpoint(tmp_path)
    assert state.updates == 16
    assert (arrays["w0"] == 16).all()


def test_one_that_is_there_already_is_left_as_it_is(tmp_path):
    """A resumed run comes by the same place with the same weights."""
    made = save_checkpoint(tmp_path, State(updates=4), weights(1), NOTHING, keep=1)
    before = {path.name: path.stat().st_mtime_ns for path in made.iterdir()}
    assert save_checkpoint(tmp_path, State(updates=4), weights(1), NOTHING, keep=1) == made
    assert {path.name: path.stat().st_mtime_ns for path in made.iterdir()} == before


def test_the_best_weights_stay_as_long_as_a_checkpoint_names_them(tmp_path):
    state = State(updates=7)
    save_best(tmp_path, state, weights(7))
    first = state.best_file
    save_checkpoint(tmp_path, state, weights(), NOTHING, keep=1)

    state.updates = 14
    save_best(tmp_path, state, weights(14))
    # Killed here, the run goes on from update 7, whose best weights have to be there.
    assert {first, state.best_file} <= set(names(tmp_path))
    found, _ = load_checkpoint(tmp_path)
    assert load_best(tmp_path, found)["w0"][0, 0] == 7

    save_checkpoint(tmp_path, state, weights(), NOTHING, keep=1)
    assert first not in names(tmp_path)
    found, _ = load_checkpoint(tmp_path)
    assert load_best(tmp_path, found)["w0"][0, 0] == 14


def test_best_weights_that_no_checkpoint_ever_named_go(tmp_path):
    """Two better epochs in a row, with no checkpoint between them."""
    state = State(updates=7)
    save_best(tmp_path, state, weights(7))
    state.updates = 14
    save_best(tmp_path, state, weights(14))
    assert names(tmp_path) == [state.best_file]


def test_a_half_written_one_is_never_taken(tmp_path):
    save_checkpoint(tmp_path, State(updates=4), weights(4), NOTHING, keep=1)
    # What `kill -9` leaves: a hidden folder, part of what belongs in it, a file in the making.
    half = tmp_path / ".checkpoint.abc123"
    half.mkdir()
    (half / "state.json").write_text(json.dumps({"updates": 8})[:-3])
    (tmp_path / ".xyz.best-00000008-1.npz").write_bytes(b"\x00")
    state, _ = load_checkpoint(tmp_path)
    assert state.updates == 4
    save_checkpoint(tmp_path, State(updates=8), weights(8), NOTHING, keep=1)
    assert load_checkpoint(tmp_path)[0].updates == 8


@pytest.mark.parametrize("where", ["save_variables", "publish"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_older_one(tmp_path, monkeypatch, where, error):
    state = State(updates=4)
    save_best(tmp_path, state, weights(4))
    save_checkpoint(tmp_path, state, weights(4), OPTIMIZER, keep=1)
    before = names(tmp_path)

    def fail(*_):
        raise error

    monkeypatch.setattr(checkpoint, where, fail)
    state.updates = 8
    with pytest.raises(type(error)):
        save_checkpoint(tmp_path, state, weights(8), OPTIMIZER, keep=1)
    assert names(tmp_path) == before
    found, arrays = load_checkpoint(tmp_path)
    assert found.updates == 4
    assert arrays["w0"][0, 0] == 4
    assert load_best(tmp_path, found)["w0"][0, 0] == 4
