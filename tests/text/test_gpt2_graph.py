"""The tokeniser as part of a tf.data pipeline and of a SavedModel; packing."""

import subprocess
import sys

import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from kerasft.errors import KerasftError
from kerasft.text.gpt2 import make_tokenizer
from kerasft.text.gpt2_pack import pack_for_reading, read_lengths
from kerasft.text.gpt2_vocabulary import read_byte_pairs
from tests.toy_gpt2 import train, write_files

TEXTS = ["the film's\n\ngood", "", "<|endoftext|> café", "unheardof words"]
END = 9

IN_A_FRESH_PROCESS = """
import sys
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
texts = tf.constant(["the film's\\n\\ngood", "", "<|endoftext|> caf\\u00e9", "unheardof words"])
print(loaded.signatures["serving_default"](text=texts)["token_ids"].numpy().tolist())
assert not [name for name in sys.modules if name.startswith("kerasft")]
"""


@pytest.fixture(scope="module")
def tokenize(tmp_path_factory):
    folder = write_files(tmp_path_factory.mktemp("vocabulary"), *train())
    return make_tokenizer(read_byte_pairs(folder / "vocab.json", folder / "merges.txt").merges)


def test_in_tf_data(tokenize):
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2).map(tokenize, num_parallel_calls=2)
    assert [row for batch in dataset for row in batch.ids.to_list()] == tokenize(tf.constant(TEXTS)).ids.to_list()


def test_in_a_saved_model(tokenize, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def tokens(text):
        return pack_for_reading([tokenize(text).ids], END, 0, 64)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def starts(text):
        return {"starts": tokenize(text).char_starts.to_tensor(-1)}

    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": tokens, "starts": starts})
    reply = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert reply.stdout.strip() == str(tokens(tf.constant(TEXTS))["token_ids"].numpy().tolist())
    assert not list((tmp_path / "assets").glob("*"))
    # Two signatures, one copy of the constants: the table of characters, and next to nothing for this vocabulary.
    assert (tmp_path / "saved_model.pb").stat().st_size < 400_000


def test_nothing_but_stateless_core_ops(tokenize):
    graph = tf.function(tokenize).get_concrete_function(tf.TensorSpec([None], tf.string)).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    for name in {node.op for node in nodes} - {"Placeholder"}:
        operation = op_def_registry.get(name)
        assert operation is not None, name
        # A While whose body has no stateful op is the stateless one.
        assert not operation.is_stateful, name


def ragged(rows) -> tf.RaggedTensor:
    return tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1, row_splits_dtype=tf.int64)


def packed(*segments, max_length=32) -> dict[str, list]:
    found = pack_for_reading([ragged(rows) for rows in segments], END, 0, max_length)
    return {name: value.numpy().tolist() for name, value in found.items()}


def test_one_text_and_its_end():
    assert packed([[7, 8], [], [5]]) == {
        "token_ids": [[7, 8, END], [END, 0, 0], [5, END, 0]],
        "padding_mask": [[1, 1, 1], [1, 0, 0], [1, 1, 0]],
    }


def test_two_texts_and_their_ends():
    assert packed([[7], []], [[8, 6], []]) == {
        "token_ids": [[7, END, 8, 6, END], [END, END, 0, 0, 0]],
        "padding_mask": [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]],
    }


def test_the_cut_is_on_the_right_and_spares_the_end():
    assert packed([[1, 2, 3, 4]], max_length=3)["token_ids"] == [[1, 2, END]]
    assert packed([[1, 2, 3]], [[4]], max_length=5)["token_ids"] == [[1, 2, END, 4, END]]
    assert packed([[1]], max_length=1)["token_ids"] == [[END]]
    assert read_lengths([ragged([[1, 2, 3], []])]).numpy().tolist() == [4, 1]
    assert read_lengths([ragged([[1, 2, 3]]), ragged([[4]])]).numpy().tolist() == [6]


def test_no_rows_have_the_width_of_an_empty_text():
    found = pack_for_reading(
        [tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), tf.zeros([1], tf.int64))], 9, 0, 8
    )
    assert found["token_ids"].shape == (0, 1)


def test_a_length_without_room_is_refused():
    with pytest.raises(KerasftError, match="at least 2 for 2 text"):
        packed([[1]], [[2]], max_length=1)
