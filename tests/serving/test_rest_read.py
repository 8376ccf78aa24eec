"""Section C of the conformance cases, and of B and E what needs no model, by number: JSON -> requests."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.serving.protos import tensor_pb2, types_pb2
from kerasft.serving.rest_examples import read_examples
from kerasft.serving.rest_read import _quick_rows, _RowReader, read_predict
from kerasft.serving.rest_tensor import append, dense, plain_tensor
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

FLOAT, DOUBLE, STRING, BOOL = types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_STRING, types_pb2.DT_BOOL
INT8, INT32, INT64, UINT64 = types_pb2.DT_INT8, types_pb2.DT_INT32, types_pb2.DT_INT64, types_pb2.DT_UINT64
HELLO, WORLD = {"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}
FOUR = {"int_tensor": INT32, "str_tensor": STRING, "float_tensor": FLOAT, "dbl_tensor": DOUBLE}


def read(body, inputs: dict[str, int]):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_predict(text, lambda name: inputs)


def shape(tensor) -> list[int]:
    return [dim.size for dim in tensor.tensor_shape.dim]


def error(body, inputs: dict[str, int]) -> str:
    with pytest.raises(ServingError) as caught:
        read(body, inputs)
    assert caught.value.code == INVALID_ARGUMENT
    return caught.value.message


@pytest.mark.parametrize(
    ("dtype", "body", "sizes", "values"),
    [
        pytest.param(INT32, {"instances": [[1, 2], [3, 4], [5, 6]]}, [3, 2], [1, 2, 3, 4, 5, 6], id="C1"),
        pytest.param(FLOAT, b'{"instances":[1,2.0,3,5.003,0.007,0.0]}', [6], [1, 2, 3, 5.003, 0.007, 0], id="C4"),
        pytest.param(DOUBLE, b'{"instances":[1.0,2,0.662,0]}', [4], [1.0, 2.0, 0.662, 0.0], id="C5"),
        pytest.param(FLOAT, b'{"instances":[1.797693e308,-1.79769e+308]}', [2], [math.inf, -math.inf], id="C7"),
        pytest.param(FLOAT, b'{"instances":[2.2250738585072014e-308,-2.22507e-308]}', [2], [0.0, -0.0], id="C8"),
        pytest.param(STRING, {"instances": [HELLO, WORLD]}, [2], [b"hello", b"world"], id="C10"),
        pytest.param(STRING, {"instances": [[HELLO], [WORLD]]}, [2, 1], [b"hello", b"world"], id="C11"),
        pytest.param(STRING, {"instances": [{"d": [[HELLO], [WORLD]]}]}, [1, 2, 1], [b"hello", b"world"], id="C12"),
        pytest.param(INT32, {"inputs": {"d": [[[1, 2], [3, 4]]]}}, [1, 2, 2], [1, 2, 3, 4], id="C14"),
        pytest.param(INT32, {"inputs": [[[1, 2], [3, 4]]]}, [1, 2, 2], [1, 2, 3, 4], id="C14-plain"),
        pytest.param(STRING, {"inputs": {"d": HELLO}}, [], [b"hello"], id="C15"),
        pytest.param(STRING, {"inputs": HELLO}, [], [b"hello"], id="C15-plain"),
        pytest.param(STRING, '{"instances":["é\U0001f600"]}'.encode(), [1], ["é\U0001f600".encode()], id="utf-8"),
        pytest.param(STRING, b'{"instances":["\xff\xfe"]}', [1], [b"\xff\xfe"], id="not-utf-8"),
        pytest.param(STRING, {"instances": ["a", HELLO]}, [2], [b"a", b"hello"], id="both-kinds"),
        pytest.param(STRING, {"instances": [{"b64": " aGVs bG8\n"}]}, [1], [b"hello"], id="spaces-no-padding"),
        pytest.param(BOOL, {"instances": [True, False]}, [2], [True, False], id="bool"),
        pytest.param(UINT64, {"instances": [2**64 - 1]}, [1], [2**64 - 1], id="uint64"),
        pytest.param(FLOAT, {"inputs": 1.5}, [], [1.5], id="scalar"),
        pytest.param(FLOAT, {"inputs": [[], []]}, [2, 0], [], id="empty"),
        # As an unused key of "inputs" is: TensorFlow Serving looks only for those that it needs.
        pytest.param(FLOAT, {"inputs": {"d": [1], "more": 2}}, [1], [1.0], id="more-keys"),
    ],
)
def test_one_input(dtype, body, sizes, values):
    request, is_row_format = read(body, {"d": dtype})
    assert is_row_format is (b"instances" in body if isinstance(body, bytes) else "instances" in body)
    tensor = request.inputs["d"]
    assert (tensor.dtype, shape(tensor), tensor.HasField("tensor_shape")) == (dtype, sizes, True)
    [found] = [list(value) for field, value in tensor.ListFields() if field.name.endswith("_val")] or [[]]
    if dtype == FLOAT:
        values = np.float32(values).tolist()
    assert repr(found) == repr(values)


def test_c9_name_of_the_signature():
    request, _ = read({"signature_name": "predict_images", "instances": [[1, 2]]}, {"d": INT32})
    assert request.model_spec.signature_name == "predict_images"


def test_c13_several_inputs_in_rows():
    body = b"""{"instances": [
        {"int_tensor": [[1,2],[3,4]], "str_tensor": ["foo", "bar"], "float_tensor": [1.0, NaN], "dbl_tensor": [NaN]},
        {"str_tensor": ["baz", "bat"], "int_tensor": [[7,8],[9,0]], "dbl_tensor": [2.0], "float_tensor": [2, Infinity]}
    ]}"""
    inputs = read(body, FOUR)[0].inputs
    assert {name: shape(tensor) for name, tensor in inputs.items()} == {
        "int_tensor": [2, 2, 2],
        "str_tensor": [2, 2],
        "float_tensor": [2, 2],
        "dbl_tensor": [2, 1],
    }
    assert list(inputs["int_tensor"].int_val) == [1, 2, 3, 4, 7, 8, 9, 0]
    assert list(inputs["str_tensor"].string_val) == [b"foo", b"bar", b"baz", b"bat"]
    assert repr(list(inputs["float_tensor"].float_val)) == "[1.0, nan, 2.0, inf]"
    assert repr(list(inputs["dbl_tensor"].double_val)) == "[nan, 2.0]"


TWO = {"a": INT32, "b": INT32}
ROWS = [{"int_tensor": [[1, 2]], "str_tensor": "x"}, {"int_tensor": [[[1, 2]]], "str_tensor": "x"}]
LONGER = [{"int_tensor": [[1, 2], [3, 4]], "str_tensor": "x"}, {"int_tensor": [[1, 2]], "str_tensor": "x"}]
PAIR = {"int_tensor": INT32, "str_tensor": STRING}


@pytest.mark.parametrize(
    ("inputs", "body", "words"),
    [
        pytest.param(TWO, {"inputs": {"b": 1}}, "Missing named input: a in 'inputs' object.", id="B21"),
        pytest.param(
            TWO,
            {"instances": [1]},
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
            id="B23",
        ),
        pytest.param(
            TWO,
            {"inputs": [1]},
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
            id="B24",
        ),
        pytest.param(
            TWO,
            {"instances": [{"a": 1}]},
            "of 'instances' list. JSON object: {\n    \"a\": 1\n} keys must be equal to: a,b",
            id="B25",
        ),
        pytest.param(
            INT32,
            {"instances": [[1, 2], [3, 4], [5, 6, 7]]},
            "Failed to process element: 2 of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 3",
            id="C17",
        ),
        pytest.param(INT32, {"instances": [1, [1]]}, "Expecting shape [] but got: [1]", id="C19"),
        pytest.param(
            INT32,
            {"instances": [[1, 2], ["a", "b"]]},
            'JSON Value: "a" Type: String is not of expected type: int32',
            id="C20",
        ),
        pytest.param(PAIR, {"instances": ROWS}, "Expecting shape [1,2] but got: [1,1,2]", id="C21-shape"),
        pytest.param(
            PAIR,
            {"instances": LONGER},
            "Failed to process element: 1 key: int_tensor of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 4 but got: 2",
            id="C21-size",
        ),
        pytest.param(
            STRING,
            {"instances": [["baz"], {"d": ["baz"]}]},
            "Expecting value/list but got object at item 1 of input list",
            id="C23",
        ),
        pytest.param(
            PAIR,
            {"instances": [{"int_tensor": 1, "str_tensor": "x"}, [1]]},
            "Expecting object but got list at item 1 of input list",
            id="C23-reverse",
        ),
        pytest.param(
            INT32, {"instances": [1.0]}, "JSON Value: 1.0 Type: Number is not of expected type: int32", id="C24"
        ),
        pytest.param(
            INT32, {"instances": [True]}, "JSON Value: true Type: True is not of expected type: int32", id="C25-int"
        ),
        pytest.param(
            BOOL, {"instances": [1]}, "JSON Value: 1 Type: Number is not of expected type: bool", id="C25-bool"
        ),
        pytest.param(STRING, {"instances": [{"b64": "%%%"}]}, "Unable to base64 decode", id="C26"),
        pytest.param(STRING, {"instances": [{"b64": "-_-_"}]}, "Unable to base64 decode", id="C27"),
        pytest.param(STRING, {"instances": [{"b64": "aGVsbG8=="}]}, "Unable to base64 decode", id="C26-padding"),
        pytest.param(STRING, {"instances": [{"b64": "aGVsb"}]}, "Unable to base64 decode", id="C26-length"),
        pytest.param(FLOAT, {"inputs": [HELLO]}, "Type: Object is not of expected type: float", id="C29"),
        pytest.param(
            INT32,
            {"inputs": [[1, 2], [3]]},
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
            id="C30",
        ),
        pytest.param(INT32, {"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1", id="level"),
        pytest.param(
            INT32,
            {"inputs": [[1], 2]},
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
            id="leaf-level",
        ),
        pytest.param(INT32, {"instances": [2**31]}, "JSON Value: 2147483648 Type: Number is not", id="int-too-big"),
        pytest.param(INT32, {"instances": [None]}, "JSON Value: null Type: Null is not of expected", id="null"),
        pytest.param(
            STRING,
            {"inputs": [{"b64": 1}]},
            'JSON Value: {\n    "b64": 1\n} not formatted correctly for base64 data',
            id="b64-type",
        ),
        pytest.param(INT32, {"instances": [{"e": 1}]}, "JSON object: does not have named input: e", id="other-name"),
        pytest.param(
            INT32,
            {"instances": [1], "inputs": [1]},
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
            id="both",
        ),
        pytest.param(
            INT32,
            b'{"signature_name":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
            "not formatted correctly. 'signature_name' key must be a string value.",
            id="C3",
        ),
        pytest.param(
            INT32,
            b'{"instances":' + b"[" * 5000 + b"]" * 5000 + b"}",
            "Encountered list at unexpected level",
            id="deep",
        ),
    ],
)
def test_wrong_predict_request(inputs, body, words):
    message = error(body, {"d": inputs} if isinstance(inputs, int) else inputs)
    assert words in message
    assert len(message) < 5000


def test_signature_without_inputs():
    assert error({"instances": [1]}, {}) == "Failed to get input map for signature: DEFAULT"


def test_type_that_json_does_not_fill():
    with pytest.raises(ServingError, match="Conversion of JSON Value: 1 to type: complex64") as caught:
        read({"inputs": [1]}, {"d": types_pb2.DT_COMPLEX64})
    assert caught.value.code == 12


LEAVES = st.sampled_from([0, 1, 2**31, 2**63, 0.5, math.nan, True, None, "a", HELLO, {"x": 1}])
NESTED = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=8)
REGULAR = st.tuples(st.integers(1, 3), st.integers(0, 2), LEAVES).map(lambda t: [[t[2]] * t[1] for _ in range(t[0])])
DTYPES = st.sampled_from([FLOAT, INT32, INT8, INT64, UINT64, STRING, BOOL])


@settings(deadline=None)
@given(NESTED | REGULAR, DTYPES)
def test_the_quick_way_and_the_exact_way_agree(value, dtype):
    slow = tensor_pb2.TensorProto(dtype=dtype)
    try:
        _, sizes = append(value, slow)
    except ServingError:
        assert plain_tensor(value, dtype) is None
        return
    for size in sizes:
        slow.tensor_shape.dim.add(size=size)
    assert repr(dense(value, dtype)) == repr(slow)


@settings(deadline=None)
@given(st.lists(NESTED | REGULAR | st.fixed_dictionaries({"d": REGULAR}), min_size=1, max_size=4), DTYPES)
def test_quick_rows_are_the_exact_rows(rows, dtype):
    quick = _quick_rows(rows, {"d": dtype})
    if quick is not None:
        assert repr(_RowReader({"d": dtype}).read(rows)["d"]) == repr(quick["d"])


def examples(body) -> tuple:
    taken, name = read_examples(body if isinstance(body, bytes) else json.dumps(body).encode())
    return taken, name


def features(example) -> dict:
    return {
        key: (feature.WhichOneof("kind"), list(getattr(feature, feature.WhichOneof("kind")).value))
        for key, feature in example.features.feature.items()
    }


def test_e5_examples():
    body = {"examples": [{"names": ["foo", "bar"], "ratings": [8.0, 9.0], "age": 20}, {"names": "baz", "ratings": 6.0}]}
    first, second = examples(body)[0].example_list.examples
    assert features(first) == {
        "names": ("bytes_list", [b"foo", b"bar"]),
        "ratings": ("float_list", [8.0, 9.0]),
        "age": ("int64_list", [20]),
    }
    assert features(second) == {"names": ("bytes_list", [b"baz"]), "ratings": ("float_list", [6.0])}


def test_e6_examples_with_context():
    body = b"""{"signature_name": "s", "context": {"query": {"b64": "aGVsbG8="}, "old": [1, true, false]},
        "examples": [{"scores": [1.0, NaN]}]}"""
    taken, name = examples(body)
    assert name == "s"
    assert taken.WhichOneof("kind") == "example_list_with_context"
    context = features(taken.example_list_with_context.context)
    assert context == {"query": ("bytes_list", [b"hello"]), "old": ("int64_list", [1, 1, 0])}
    [example] = taken.example_list_with_context.examples
    assert repr(features(example)) == "{'scores': ('float_list', [1.0, nan])}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"signature_name": ["hello"]}, "'signature_name' key must be a string", id="E7"),
        pytest.param({"context": ["a"], "examples": [{}]}, "Example must be JSON object but got JSON Array", id="E8"),
        pytest.param({"examples": [["a"]]}, "Example must be JSON object but got JSON Array", id="E8-example"),
        pytest.param({"examples": {"a": 1}}, "Expecting 'examples' value to be an list/array", id="E9"),
        pytest.param(
            {"examples": [{"names": [10, 10.0]}]},
            "Unexpected element type in feature: names expecting type: int64",
            id="E11",
        ),
        pytest.param(
            {"examples": [{"names": [10, {"test": 10}]}]},
            "Feature: names has element with unexpected JSON type: Object",
            id="E12-object",
        ),
        pytest.param(
            {"examples": [{"names": [[10], 20]}]},
            "Feature: names has element with unexpected JSON type: Array",
            id="E12-array",
        ),
        pytest.param({"examples": [{"n": None}]}, "Feature: n has element with unexpected JSON type: Null", id="null"),
        pytest.param(
            {"examples": [{"n": 2**63}]}, "Feature: n has uint64 element. Only int64 is supported.", id="uint64"
        ),
        pytest.param(
            {"signature_name": "s"},
            'JSON Value: {\n    "signature_name": "s"\n} When method is classify, key \'examples\' is expected and was '
            "not found",
            id="E14",
        ),
        pytest.param({"examples": []}, "'examples' value is an empty array", id="E15"),
    ],
)
def test_wrong_examples(body, words):
    with pytest.raises(ServingError) as caught:
        examples(body)
    assert (caught.value.code, words in caught.value.message) == (INVALID_ARGUMENT, True)
