"""Whatever a client sends: refused in plain words or answered, as TensorFlow itself would, and the process goes on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.export import capi
from kerasft.serving.arrays import from_proto, sound_shape
from kerasft.serving.predict import predict
from kerasft.serving.protos import model_pb2, predict_pb2, tensor_pb2
from kerasft.serving.status import INTERNAL, OK, ServingError
from tests.serving.served import start_models

TYPES = st.sampled_from(sorted(capi.DTYPES)) | st.sampled_from((0, 11, 12, 15, 25, 30, 101, 999))
SIZES = st.lists(st.integers(-1, 4) | st.sampled_from((1 << 31, 1 << 40, 1 << 62)), max_size=4)
INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
VALUES = {
    "float_val": st.floats(width=32),
    "double_val": st.floats(),
    "int_val": INT32,
    "int64_val": INT64,
    "string_val": st.binary(max_size=8),
    "bool_val": st.booleans(),
    "half_val": st.integers(0, 65535) | INT32,
    "scomplex_val": st.floats(width=32),
    "dcomplex_val": st.floats(),
    "uint32_val": st.integers(0, 2**32 - 1),
    "uint64_val": st.integers(0, 2**64 - 1),
}
FIELDS = {7: "string_val", 1: "float_val", 2: "double_val", 9: "int64_val", 10: "bool_val", 8: "scomplex_val"}
FIELDS |= dict.fromkeys((3, 4, 5, 6, 17), "int_val") | dict.fromkeys((14, 19), "half_val")
FIELDS |= {18: "dcomplex_val", 22: "uint32_val", 23: "uint64_val"}


@st.composite
def protos(draw) -> tensor_pb2.TensorProto:
    """Mostly nearly right: the field of the type, a small shape, sometimes raw content, sometimes another's field."""
    proto = tensor_pb2.TensorProto(dtype=draw(TYPES))
    proto.tensor_shape.SetInParent()
    for size in draw(SIZES):
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.unknown_rank = draw(st.integers(0, 19)) == 0
    field = FIELDS.get(proto.dtype, "float_val")
    if draw(st.integers(0, 9)) == 0:
        field = draw(st.sampled_from(sorted(VALUES)))
    getattr(proto, field).extend(draw(st.lists(VALUES[field], max_size=6)))
    if draw(st.integers(0, 3)) == 0:
        proto.tensor_content = draw(st.binary(max_size=64))
    return proto


def as_tensorflow_reads(proto: tensor_pb2.TensorProto) -> np.ndarray | None:
    lib = capi.library()
    try:
        tensor = capi.tensor_from_proto(lib, proto.SerializeToString())
    except capi.SessionError:
        return None
    try:
        return capi.read_tensor(lib, tensor)
    finally:
        lib.TF_DeleteTensor(tensor)


def as_we_read(proto: tensor_pb2.TensorProto) -> np.ndarray | None:
    try:
        return from_proto(proto, "x")
    except ServingError:
        return None


@settings(max_examples=400, deadline=None)
@given(proto=protos())
def test_a_message_is_read_as_tensorflow_reads_it(proto):
    try:
        sound_shape(proto, "x")
    except ServingError:
        assert as_we_read(proto) is None
        return
    expected, found = as_tensorflow_reads(proto), as_we_read(proto)
    assert (expected is None) == (found is None)
    if expected is None:
        return
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    # Flat: a list of lists for the shape (2, 2**40, 0) would fill the memory.
    expected, found = expected.reshape(-1), found.reshape(-1)
    if found.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        # NaNs have many bits; a narrower float's may change on its way through Python, no other value's.
        np.testing.assert_array_equal(found.astype(np.complex128), expected.astype(np.complex128))


@pytest.fixture(scope="module")
def models(half_plus_two, half_plus_two_tf2, counter):
    models = start_models(hp2=half_plus_two, tf2=half_plus_two_tf2, counter=counter)
    yield models
    models.close()


NAMES = st.sampled_from(("hp2", "tf2", "counter", "", "m", "é\0"))
SIGNATURES = st.sampled_from(
    ("", "serving_default", "incr_counter_by", "classify_x_to_y", "regress_x2_to_y3", "__saved_model_init_op", "x:0")
)
ALIASES = st.sampled_from(("x", "inputs", "delta", "", "y", "x:0", "é"))
FILTERS = st.lists(st.sampled_from(("y", "outputs", "output", "scores", "é" * 900)), max_size=3)


@settings(max_examples=300, deadline=None)
@given(name=NAMES, signature=SIGNATURES, inputs=st.dictionaries(ALIASES, protos(), max_size=3), filters=FILTERS)
def test_no_request_is_a_fault_of_the_server(models, name, signature, inputs, filters):
    spec = model_pb2.ModelSpec(name=name, signature_name=signature)
    request = predict_pb2.PredictRequest(model_spec=spec, inputs=inputs, output_filter=filters)
    code = OK
    try:
        response = predict(models, request)
        assert response.outputs
    except ServingError as error:
        code = error.code
    assert code != INTERNAL


@pytest.mark.parametrize("sizes", [[1] * 65, [1] * 254, [1] * 255, [0, 1 << 62, 1 << 62]])
def test_shapes_at_the_limit(models, sizes):
    proto = tensor_pb2.TensorProto(dtype=1, float_val=[2.0])
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="hp2"), inputs={"x": proto})
    with pytest.raises(ServingError) as error:
        predict(models, request)
    assert error.value.code == 3
