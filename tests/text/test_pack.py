"""Packing: the rows that BERT takes, and the reference's truncation."""

import pytest
import tensorflow as tf

from kerasft.errors import KerasftError
from kerasft.text.pack import kept_lengths, pack, packed_lengths

CLS, SEP, PAD = 101, 102, 0


def ragged(rows) -> tf.RaggedTensor:
    return tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1, row_splits_dtype=tf.int64)


def packed(*segments, max_length=32) -> dict[str, list]:
    found = pack([ragged(rows) for rows in segments], CLS, SEP, PAD, max_length)
    return {name: value.numpy().tolist() for name, value in found.items()}


def test_one_text():
    assert packed([[7, 8], [], [9]]) == {
        "token_ids": [[CLS, 7, 8, SEP], [CLS, SEP, PAD, PAD], [CLS, 9, SEP, PAD]],
        "segment_ids": [[0] * 4] * 3,
        "padding_mask": [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]],
    }


def test_two_texts():
    assert packed([[7], []], [[8, 9], [5]]) == {
        "token_ids": [[CLS, 7, SEP, 8, 9, SEP], [CLS, SEP, 5, SEP, PAD, PAD]],
        "segment_ids": [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]],
        "padding_mask": [[1] * 6, [1, 1, 1, 1, 0, 0]],
    }


def test_a_text_may_hold_the_padding_id():
    assert packed([[PAD, PAD]])["padding_mask"] == [[1, 1, 1, 1]]


def test_rows_are_as_wide_as_the_longest_and_no_wider_than_the_limit():
    assert len(packed([[5] * 3, [5]])["token_ids"][0]) == 5
    assert packed([[5, 6, 7, 8], [5]], max_length=4)["token_ids"] == [[CLS, 5, 6, SEP], [CLS, 5, SEP, PAD]]


@pytest.mark.parametrize("count", [1, 2])
def test_no_rows(count):
    empty = tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), tf.zeros([1], tf.int64))
    for name, value in pack([empty] * count, CLS, SEP, PAD, 8).items():
        assert (name, value.shape.as_list(), value.dtype) == (name, [0, count + 1], tf.int32)
    assert packed_lengths([empty] * count).shape == [0]


def test_pairs_are_cut_as_the_reference_cuts_them():
    tokenizers = pytest.importorskip("tokenizers", reason="the reference, `tokenizers`, is not installed")
    reference = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"[UNK]": 3, "[CLS]": CLS, "[SEP]": SEP, "a": 1, "b": 2}, unk_token="[UNK]")
    )
    reference.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    reference.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    pairs = [(first, second) for first in range(9) for second in range(9)]
    first = ragged([[1] * one for one, _ in pairs])
    second = ragged([[2] * two for _, two in pairs])
    for max_length in range(4, 20):
        reference.enable_truncation(max_length)
        encodings = reference.encode_batch([("a " * one, "b " * two) for one, two in pairs])
        found = pack([first, second], CLS, SEP, PAD, max_length)
        lengths = packed_lengths([first, second], max_length).numpy()
        for row, encoding in enumerate(encodings):
            kept = slice(0, lengths[row])
            assert found["token_ids"][row, kept].numpy().tolist() == encoding.ids, (pairs[row], max_length)
            assert found["segment_ids"][row, kept].numpy().tolist() == encoding.type_ids
            assert found["padding_mask"][row].numpy().sum() == len(encoding.ids)


@pytest.mark.parametrize(
    ("lengths", "max_length", "expected"),
    [((5, 5), 10, (3, 4)), ((6, 5), 10, (4, 3)), ((1, 9), 8, (1, 4)), ((9, 1), 8, (4, 1)), ((2, 2), 3, (0, 0))],
)
def test_longest_first(lengths, max_length, expected):
    found = kept_lengths([ragged([[1] * length]) for length in lengths], max_length)
    assert tuple(int(length[0]) for length in found) == expected


def test_how_much_was_cut():
    segments = [ragged([[1] * 9, [1]]), ragged([[1] * 2, []])]
    assert packed_lengths(segments).numpy().tolist() == [14, 4]
    assert packed_lengths(segments, 8).numpy().tolist() == [8, 4]


def test_a_limit_without_room_for_the_special_tokens_is_refused():
    with pytest.raises(KerasftError, match=r"max_length must be at least 3 .* found 2"):
        packed([[1]], [[1]], max_length=2)


def test_pack_in_a_graph_with_unknown_shapes():
    spec = tf.RaggedTensorSpec([None, None], tf.int32)
    graph = tf.function(lambda a, b: pack([a, b], CLS, SEP, PAD, 6), input_signature=[spec, spec])
    for rows in (1, 4):
        assert (
            graph(ragged([[1, 2]] * rows), ragged([[3]] * rows))["token_ids"].numpy().tolist()
            == [[CLS, 1, 2, SEP, 3, SEP]] * rows
        )
    assert graph.experimental_get_tracing_count() == 1
