import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from kerasft.serving.arrays import from_proto, shape_text, to_proto, type_name
from kerasft.serving.protos import tensor_pb2, types_pb2
from kerasft.serving.status import ServingError
from tests.serving.half_plus import FLOAT, tensor

NAMES = [
    "float32",
    "float64",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint64",
    "uint32",
    "uint16",
    "uint8",
    "bool",
    "complex64",
    "complex128",
]


def objects(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


ARRAYS = st.sampled_from(NAMES).flatmap(
    lambda name: npst.arrays(np.dtype(name), npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
) | st.lists(st.binary(max_size=40), max_size=6).map(objects)


@settings(max_examples=150, deadline=None)
@given(array=ARRAYS)
def test_arrays_come_back_bit_for_bit(array):
    proto = to_proto(array)
    assert not proto.tensor_content
    assert types_pb2.DataType.Name(proto.dtype) == type_name(array)
    found = from_proto(tensor_pb2.TensorProto.FromString(proto.SerializeToString()), "x")
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    if array.dtype == object:
        assert found.tolist() == array.tolist()
    else:
        np.testing.assert_array_equal(found, array)  # NaNs count as equal


@settings(max_examples=60, deadline=None)
@given(array=ARRAYS.filter(lambda array: array.dtype != object))
def test_raw_content_says_the_same(array):
    proto = tensor_pb2.TensorProto(dtype=to_proto(array).dtype, tensor_content=array.tobytes())
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    np.testing.assert_array_equal(from_proto(proto, "x"), array)


def test_strings_as_raw_content():
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING)
    proto.tensor_shape.dim.add(size=2)
    long = b"y" * 300
    proto.tensor_content = b"\x02\xac\x02" + b"ab" + long
    assert from_proto(proto, "x").tolist() == [b"ab", long]
    for wrong in (b"\x02\xac\x02ab" + long + b"!", b"\x02\xac\x02ab", b"\x02", b"\xff" * 9):
        proto.tensor_content = wrong
        with pytest.raises(ServingError, match="tensor parsing error: x"):
            from_proto(proto, "x")


def test_bfloat16_is_read_and_written():
    import ml_dtypes

    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    assert from_proto(to_proto(array), "x").tolist() == [1.5, -2.0]
    assert type_name(array) == "DT_BFLOAT16"


@pytest.mark.parametrize(
    ("values", "shape", "found"),
    [
        ([], (2,), [0.0, 0.0]),
        ([7.0], (3,), [7.0, 7.0, 7.0]),
        ([1.0, 2.0, 3.0], (2,), [1.0, 2.0]),
        ([1.0], (0,), []),
    ],
)
def test_too_few_and_too_many_values(values, shape, found):
    assert from_proto(tensor(FLOAT, shape, values), "x").tolist() == found


def broken():
    yield pytest.param(tensor(FLOAT, (-1,), [1.0]), id="negative")
    yield pytest.param(tensor(FLOAT, (1 << 62, 4), [1.0]), id="overflow")
    yield pytest.param(tensor(FLOAT, (1 << 30,), [1.0]), id="boundless")
    yield pytest.param(tensor_pb2.TensorProto(float_val=[1.0]), id="no-type")
    yield pytest.param(tensor_pb2.TensorProto(dtype=types_pb2.DT_VARIANT), id="variant")
    yield pytest.param(tensor_pb2.TensorProto(dtype=101, float_val=[1.0]), id="reference")
    yield pytest.param(tensor_pb2.TensorProto(dtype=999), id="unknown-type")
    rankless = tensor(FLOAT, (), [1.0])
    rankless.tensor_shape.unknown_rank = True
    yield pytest.param(rankless, id="rankless")
    yield pytest.param(tensor_pb2.TensorProto(dtype=FLOAT, tensor_content=b"abc"), id="G9")
    yield pytest.param(tensor_pb2.TensorProto(dtype=types_pb2.DT_BOOL, tensor_content=b"\2"), id="neither-0-nor-1")
    yield pytest.param(tensor(FLOAT, (1,) * 65, [1.0]), id="dimensions")
    yield pytest.param(tensor(FLOAT, (0, 1 << 62), []), id="empty-yet-boundless")


@pytest.mark.parametrize("proto", broken())
def test_malformed_messages(proto):
    with pytest.raises(ServingError) as error:
        from_proto(proto, "some")
    assert (error.value.code, error.value.message) == (3, "tensor parsing error: some")


def test_words_for_shapes():
    assert shape_text(np.zeros((2, 1))) == "[2,1]"
    assert shape_text(np.zeros(())) == "[]"
