import subprocess
import sys

CHECK = """
import sys
import kerasft.serving.grpc_server, kerasft.serving.loaded
heavy = sorted({"tensorflow", "tensorflow.python", "keras", "keras_nlp", "tensorflow_text"} & set(sys.modules))
assert not heavy, heavy
from kerasft.serving.protos import predict_pb2, tensor_pb2
assert sys.modules["tensorflow.core.framework.tensor_pb2"] is tensor_pb2
import tensorflow as tf
assert tf.constant([1.0]).numpy().tolist() == [1.0]
proto = tf.make_tensor_proto([2.0])
predict_pb2.PredictRequest().inputs["x"].CopyFrom(proto)
assert isinstance(proto, tensor_pb2.TensorProto)
"""


def test_messages_come_without_tensorflow_which_can_still_be_had_afterwards():
    ended = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
