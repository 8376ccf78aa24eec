import pytest

from kerasft.errors import KerasftError
from kerasft.export.servable import _table, inspect


def test_a_good_export_has_no_problems(good):
    found = inspect(good)
    assert found.problems == ()
    assert found.lowest_release == "2.12"
    assert found.because is None
    assert {"MatMul", "LookupTableFindV2"} <= found.reached["serving_default"]
    assert "ParseExampleV2" in found.reached["classify"]
    assert "ParseExampleV2" not in found.reached["serving_default"]
    assert found.weights_bytes == 16  # float32[2, 2]
    assert found.oversize is None


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("python", "PyFunc in function"),
        ("compiled", "must be compiled by XLA"),
        ("growing", "keeps a table that grows"),
        ("counting", "AssignAddVariableOp writes to a variable when signature serving_default runs"),
    ],
)
def test_what_a_stock_server_cannot_run_is_named(bad, which, words):
    assert words in " / ".join(inspect(bad[which]).problems)


def test_restoring_variables_is_no_write(good):
    found = inspect(good)
    assert "AssignVariableOp" in found.ops
    assert "AssignVariableOp" not in found.reached["serving_default"]


def test_newer_ops_and_attributes_raise_the_lowest_release(tmp_path):
    import tensorflow as tf
    import tensorflow_text as tf_text

    class Trimmed(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text):
            pieces = tf_text.RoundRobinTrimmer(max_seq_length=3).trim([tf.strings.bytes_split(text)])[0]
            return {"pieces": pieces.to_tensor()}

    class Plain(tf.Module):
        def __init__(self, index_type):
            self.index_type = index_type

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def serve(self, x):
            return {"best": tf.math.top_k(x, k=1, index_type=self.index_type).indices}

    lowest = {}
    for name, module in (("trim", Trimmed()), ("int32", Plain(tf.int32)), ("int16", Plain(tf.int16))):
        tf.saved_model.save(module, str(tmp_path / name), signatures={"serving_default": module.serve})
        found = inspect(tmp_path / name)
        assert found.problems == ()
        lowest[name] = (found.lowest_release, found.because)
    assert lowest["trim"] == ("2.20", "op TFText>RoundRobinTrim")
    assert lowest["int32"] == ("2.12", None)
    assert lowest["int16"] == ("2.16", "TopKV2.index_type")


def test_an_unknown_op_is_named(good, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((good / "saved_model.pb").read_bytes())
    model.meta_graphs[0].graph_def.node.add(name="strange", op="Frobnicate")
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    assert "op Frobnicate in the graph is in no stock TensorFlow Serving that we know" in inspect(tmp_path).problems


def test_stored_twice_is_oversize(good, tmp_path):
    import shutil

    shutil.copytree(good, tmp_path / "1")
    (tmp_path / "1" / "variables" / "copy").write_bytes(bytes(6_000_000))
    assert "more than 1.05 times" in inspect(tmp_path / "1").oversize


def test_not_a_saved_model_is_one_line(tmp_path):
    with pytest.raises(KerasftError, match="is not a SavedModel"):
        inspect(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(KerasftError, match="damaged"):
        inspect(tmp_path)


def test_lists_agree_with_the_installed_registry():
    from tensorflow.python.framework import op_def_registry

    core, newer = _table("core_cpu"), _table("newer")
    assert len(core) > 1400
    assert not set(core) & set(_table("denied"))
    assert [op for op in core if op_def_registry.get(op) is None and not op.startswith("_")] == []
    for key in newer:
        op, _, attribute = key.partition(".")
        assert op in core
        names = {attr.name for attr in op_def_registry.get(op).attr} if op_def_registry.get(op) else {attribute}
        assert not attribute or attribute.partition("=")[0] in names
