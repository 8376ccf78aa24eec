"""The tokeniser as part of a tf.data pipeline and of a SavedModel."""

import subprocess
import sys

import pytest
import tensorflow as tf

from kerasft.text.bert import make_tokenizer
from kerasft.text.pack import pack

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cafe", "##s", "!"]
TEXTS = ["the Cafés!", "", "[MASK] the"]

IN_A_FRESH_PROCESS = """
import sys
import tensorflow as tf, tensorflow_text
loaded = tf.saved_model.load(sys.argv[1])
texts = tf.constant(["the Caf\\u00e9s!", "", "[MASK] the"])
print(loaded.signatures["serving_default"](text=texts)["token_ids"].numpy().tolist())
print(loaded.signatures["starts"](text=texts)["starts"].numpy().tolist())
assert not [name for name in sys.modules if name.startswith("kerasft")]
"""


@pytest.fixture(scope="module")
def tokenize():
    return make_tokenizer(VOCABULARY, lowercase=True)


def test_in_tf_data(tokenize):
    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2).map(tokenize, num_parallel_calls=2)
    assert [row for batch in dataset for row in batch.ids.to_list()] == tokenize(tf.constant(TEXTS)).ids.to_list()


def test_in_a_saved_model(tokenize, tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def tokens(text):
        return pack([tokenize(text).ids], 2, 3, 0, 16)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def starts(text):
        return {"starts": tokenize(text).char_starts.to_tensor(-1)}

    tf.saved_model.save(tf.Module(), str(tmp_path), signatures={"serving_default": tokens, "starts": starts})
    reply = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert reply.stdout.splitlines() == [
        str([[2, 4, 5, 6, 7, 3], [2, 3, 0, 0, 0, 0], [2, 1, 1, 1, 4, 3]]),
        str([[0, 4, 8, 9], [-1] * 4, [0, 1, 5, 7]]),
    ]
    assert not list((tmp_path / "assets").glob("*"))
    # Two signatures, one copy of the constants: the tables, and next to nothing for this vocabulary.
    assert (tmp_path / "saved_model.pb").stat().st_size < 700_000


def test_nothing_but_stateless_ops(tokenize):
    graph = tf.function(tokenize).get_concrete_function(tf.TensorSpec([None], tf.string)).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    for name in {node.op for node in nodes} - {"Placeholder"}:
        from tensorflow.python.framework import op_def_registry

        operation = op_def_registry.get(name)
        assert operation is not None, name
        assert not operation.is_stateful, name
