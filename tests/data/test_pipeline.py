"""Batches: every row once, within the budget, the same each time; and the same tokens from memory and from a file."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.backbones.load import load_text_functions
from kerasft.data.encode import encode
from kerasft.data.pipeline import Encoded, padded, shuffled_batches, sorted_batches, token_batch
from kerasft.data.row_file import RowFile
from kerasft.data.rows import end_to_end
from tests.toy import toy_rows

LENGTHS = st.lists(st.integers(0, 60), max_size=300).map(lambda found: np.array(found, np.int64))
SIZES = st.integers(1, 40)


@given(LENGTHS, SIZES, st.integers(0, 3))
def test_without_a_budget_an_epoch_has_every_row_once_in_full_batches(lengths, size, epoch):
    batches = shuffled_batches(lengths, size, seed=7, epoch=epoch)
    rows = np.concatenate([np.zeros(0, np.int64), *batches])
    assert sorted(rows) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert sum(len(batch) != size for batch in batches) <= 1


@given(LENGTHS, st.none() | SIZES, st.integers(1, 200), st.integers(0, 3))
def test_with_a_budget_an_epoch_has_every_row_once_in_batches_that_keep_it(lengths, size, budget, epoch):
    batches = shuffled_batches(lengths, size, seed=7, epoch=epoch, batch_tokens=budget)
    rows = np.concatenate([np.zeros(0, np.int64), *batches])
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
        assert size is None or len(batch) <= size
    again = shuffled_batches(lengths, size, seed=7, epoch=epoch, batch_tokens=budget)
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


@given(LENGTHS, st.none() | SIZES, st.integers(1, 200))
def test_sorted_batches_begin_with_the_longest_rows_and_keep_a_budget(lengths, size, budget):
    batches = sorted_batches(lengths, size, budget)
    rows = np.concatenate([np.zeros(0, np.int64), *batches])
    assert sorted(rows) == list(range(len(lengths)))
    assert np.all(np.diff(lengths[rows]) <= 0)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
        assert size is None or len(batch) <= size


def test_a_budget_is_used_up_and_epochs_differ():
    lengths = np.random.default_rng(0).integers(3, 60, 5000)
    first, second = (shuffled_batches(lengths, None, seed=1, epoch=epoch, batch_tokens=512) for epoch in (0, 1))
    areas = [len(batch) * lengths[batch].max() for batch in first]
    assert np.mean(areas) > 0.9 * 512
    # Rows of like length together: less than a tenth of the tokens is padding.
    assert lengths.sum() > 0.9 * sum(areas)
    assert not any(np.array_equal(*pair) for pair in zip(first, second, strict=False))


@pytest.mark.parametrize("budget", [None, 2048])
def test_an_epoch_of_100_000_rows_is_planned_in_well_under_a_second(budget):
    lengths = np.random.default_rng(0).integers(3, 128, 100_000)
    began = time.process_time()
    shuffled_batches(lengths, 32, seed=0, epoch=0, batch_tokens=budget)
    assert time.process_time() - began < 0.5


def row_file(path: Path, lengths, shape=(), dtype=np.int32) -> tuple[RowFile, np.ndarray]:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.random.default_rng(1).integers(0, 1000, (starts[-1], *shape)).astype(dtype)
    path.write_bytes(values.tobytes())
    return RowFile(path, starts, np.dtype(dtype), shape), values


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=20),
    shape=st.sampled_from([(), (3,)]),
    dtype=st.sampled_from([np.int32, np.float16]),
    data=st.data(),
)
def test_rows_read_from_a_file_are_those_of_the_array(tmp_path_factory, lengths, shape, dtype, data):
    file, values = row_file(tmp_path_factory.mktemp("rows") / "rows", lengths, shape, dtype)
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=30)), np.int64)
    found = file.padded(rows, 7)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, padded(values, file.starts, rows, 7))


def test_a_file_that_was_cut_short_is_an_error_and_not_a_row_of_zeros(tmp_path):
    file, _ = row_file(tmp_path / "rows", [5, 5, 5])
    os.truncate(file.path, 4 * 12)
    file.padded(np.array([0, 1]), 0)
    with pytest.raises(OSError, match="cut short"):
        file.padded(np.array([1, 2]), 0)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_reading_a_large_file_does_not_make_the_process_larger(tmp_path):
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    rows, tokens, width = 2000, 100, 384
    path = tmp_path / "states"
    with open(path, "wb") as file:
        file.truncate(rows * tokens * width * 2)
    states = RowFile(path, np.arange(rows + 1) * tokens, np.dtype(np.float16), (width,))
    states.padded(np.arange(32), 0)
    before = resident()
    for first in range(0, rows, 32):
        states.padded(np.arange(first, min(first + 32, rows)), 0)
    assert resident() - before < 16 * 2**20 < path.stat().st_size // 8


@pytest.fixture(scope="module")
def text(toy_backbone):
    return load_text_functions(toy_backbone)


@pytest.mark.parametrize("columns", [1, 2])
def test_tokens_are_the_same_from_lists_and_arrow_in_memory_and_in_a_file(text, tmp_path, columns):
    # More rows than are tokenised at once; Arrow chunks that end elsewhere.
    texts = [[row["text"] for row in toy_rows(1100, seed=seed)] for seed in range(columns)]
    arrow = [
        pa.chunked_array([pa.array(part[:700], pa.large_string()), pa.array(part[700:], pa.large_string())])
        for part in texts
    ]
    memory = encode(text, texts, 12)
    file = encode(text, arrow, 12, folder=tmp_path / "tokens")
    np.testing.assert_array_equal(memory.starts, file.starts)
    np.testing.assert_array_equal(memory.uncut, file.uncut)
    rows = np.array([1099, 0, 511, 512, 700, 3, 3])
    batches = token_batch(memory, rows), token_batch(file, rows)
    assert set(batches[0]) == set(batches[1]) == set(text.padding)
    for name in text.padding:
        assert batches[0][name].dtype == batches[1][name].dtype == np.int32
        np.testing.assert_array_equal(batches[0][name], batches[1][name])
    # And what the family's own packing gives for these rows.
    packed = text.pack([text.tokenize([part[row] for row in rows]).ids for part in texts], max_length=12)
    for name, value in packed.items():
        np.testing.assert_array_equal(batches[0][name], value)


def test_no_rows_are_no_error(text, tmp_path):
    for folder in (None, tmp_path / "tokens"):
        encoded = encode(text, [[]], 12, folder=folder)
        assert len(encoded) == 0
        assert token_batch(encoded, np.zeros(0, np.int64))["token_ids"].shape == (0, 0)


def test_the_texts_of_a_row_are_sequences_of_their_own_and_go_into_a_batch_together(text):
    texts = [[row["text"] for row in toy_rows(600, seed=seed)] for seed in range(3)]
    columns = [pa.chunked_array([pa.array(texts[0], pa.large_string())]), texts[1], tuple(texts[2])]
    encoded = replace(encode(text, [end_to_end(columns)], 12), group=3)
    alone = [encode(text, [part], 12) for part in texts]
    assert len(encoded) == 1800
    np.testing.assert_array_equal(encoded.group_lengths, 3 * np.max([one.lengths for one in alone], axis=0))
    rows = np.array([599, 0, 512, 3])
    found = token_batch(encoded, encoded.sequences(rows))["token_ids"]
    for place, one in enumerate(alone):
        expected = token_batch(one, rows)["token_ids"]
        np.testing.assert_array_equal(found[place::3, : expected.shape[1]], expected)


def test_a_padding_mask_that_numbers_texts_is_kept():
    starts = np.array([0, 3, 8])
    inputs = {"token_ids": np.arange(8, dtype=np.int32)}
    encoded = Encoded(inputs, starts, np.diff(starts).astype(np.int32), {"token_ids": 99, "padding_mask": 0})
    assert token_batch(encoded, np.array([1, 0]))["padding_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    numbered = replace(encoded, inputs={**inputs, "padding_mask": np.array([1, 1, 2, 1, 2, 2, 3, 3], np.int32)})
    batch = token_batch(numbered, np.array([1, 0]))
    assert batch["padding_mask"].tolist() == [[1, 2, 2, 3, 3], [1, 1, 2, 0, 0]]
    assert batch["token_ids"].tolist() == [[3, 4, 5, 6, 7], [0, 1, 2, 99, 99]]


def test_the_tokeniser_is_traced_once_for_all_rows(text, monkeypatch):
    traced = []
    original = type(text).graph

    def counted(self, key, make):
        return original(self, key, lambda: traced.append(key) or make())

    monkeypatch.setattr(type(text), "graph", counted)
    for rows in (["a film"], ["a joyless film", ""]):
        one, other = encode(text, [rows], 31), encode(text, [rows], 17)
        np.testing.assert_array_equal(one.inputs["token_ids"], other.inputs["token_ids"])
    assert traced == [("encode", 1, 0, 31, None), ("encode", 1, 0, 17, None)]
