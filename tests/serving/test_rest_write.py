"""Section D of the conformance cases and E16, by number: tensors and results -> JSON text."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.serving.protos import classification_pb2, regression_pb2, tensor_pb2, types_pb2
from kerasft.serving.rest_json import parse
from kerasft.serving.rest_text import decimals, quoted, value_text
from kerasft.serving.rest_write import write_classifications, write_error, write_predictions, write_regressions
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

FLOAT, DOUBLE, INT32, STRING = types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_INT32, types_pb2.DT_STRING
FIELDS = {FLOAT: "float_val", DOUBLE: "double_val", INT32: "int_val", STRING: "string_val"}


def tensor(dtype: int, sizes, values) -> tensor_pb2.TensorProto:
    made = tensor_pb2.TensorProto(dtype=dtype)
    made.tensor_shape.SetInParent()
    for size in sizes:
        made.tensor_shape.dim.add(size=size)
    getattr(made, FIELDS[dtype]).extend(values)
    return made


def rows(**outputs) -> str:
    return write_predictions(outputs, True).decode()


def columns(**outputs) -> str:
    return write_predictions(outputs, False).decode()


TWELVE = tensor(INT32, (2, 3, 2), [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2])
WORDS = [b"hello", b"world", b"tf", b"serving"]


def test_d1_nested_numbers():
    nested = [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]]
    assert rows(x=TWELVE) == f'{{\n    "predictions": [{str(nested)[1:-1]}\n    ]\n}}'
    assert json.loads(columns(x=TWELVE)) == {"outputs": nested}


def test_d2_vector():
    five = tensor(INT32, (5,), [1, 2, 3, 4, 5])
    assert rows(x=five) == '{\n    "predictions": [1, 2, 3, 4, 5\n    ]\n}'
    lines = ",\n".join(f"        {value}" for value in range(1, 6))
    assert columns(x=five) == f'{{\n    "outputs": [\n{lines}\n    ]\n}}'


def test_d3_bytes():
    """By the name's ending a string is bytes."""
    text = rows(str_tensor_bytes=tensor(STRING, (2, 2), WORDS))
    encoded = [[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}], [{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]]
    assert json.loads(text) == {"predictions": encoded}
    # Inside three lists and objects the object's own lines stand at three and four levels.
    assert text.startswith('{\n    "predictions": [[{\n                "b64": "aGVsbG8="\n            }, {\n')


def test_d5_numbers_that_are_not_finite():
    """Bare tokens."""
    text = rows(x=tensor(FLOAT, (2, 2), [math.nan, math.inf, 3, -math.inf]))
    assert text == '{\n    "predictions": [[NaN, Infinity], [3.0, -Infinity]\n    ]\n}'


@pytest.mark.parametrize("write", [rows, columns])
def test_d6_d7_what_cannot_be_written(write):
    with pytest.raises(ServingError, match="empty tensor map") as caught:
        write()
    assert caught.value.code == INVALID_ARGUMENT
    complex_one = tensor_pb2.TensorProto(dtype=types_pb2.DT_COMPLEX64, scomplex_val=[1.0, 2.0])
    complex_one.tensor_shape.dim.add(size=1)
    with pytest.raises(ServingError, match="Failed to write JSON value for tensor type: complex64"):
        write(x=complex_one)


def test_rows_that_do_not_match():
    with pytest.raises(ServingError, match="Tensor name: x has no shape information "):
        rows(x=tensor(INT32, (), [1]))
    with pytest.raises(ServingError, match="Tensor name: b has inconsistent batch size: 2 expecting: 1"):
        rows(a=tensor(INT32, (1,), [1]), b=tensor(INT32, (2,), [1, 2]))


def test_d9_several_outputs():
    outputs = {
        "x": TWELVE,
        "d": tensor(DOUBLE, (2,), [8.0, 9.0]),
        "s": tensor(STRING, (2, 1), [b"foo", b"baz"]),
        "s_bytes": tensor(STRING, (2, 1), [b"hello", b"tf"]),
    }
    assert json.loads(rows(**outputs)) == {
        "predictions": [
            {"d": 8.0, "s": ["foo"], "s_bytes": [{"b64": "aGVsbG8="}], "x": [[1, 2], [3, 4], [5, 6]]},
            {"d": 9.0, "s": ["baz"], "s_bytes": [{"b64": "dGY="}], "x": [[7, 8], [9, 0], [1, 2]]},
        ]
    }
    assert json.loads(columns(**outputs)) == {
        "outputs": {
            "d": [8.0, 9.0],
            "s": [["foo"], ["baz"]],
            "s_bytes": [[{"b64": "aGVsbG8="}], [{"b64": "dGY="}]],
            "x": [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]],
        }
    }
    two = {"label": tensor(STRING, (1,), [b"a"]), "probability": tensor(FLOAT, (1, 2), [0.25, 0.75])}
    assert rows(**two) == (
        '{\n    "predictions": [\n        {\n            "label": "a",\n            "probability": [0.25, 0.75]\n'
        "        }\n    ]\n}"
    )
    label, probability = (
        '[\n            "a"\n        ]',
        "[\n            [\n                0.25,\n                0.75",
    )
    assert columns(**two) == (
        f'{{\n    "outputs": {{\n        "label": {label},\n        "probability": {probability}\n            ]\n'
        "        ]\n    }\n}"
    )


def test_d11_no_rows():
    none = tensor(INT32, (0, 2), [])
    assert rows(x=none) == rows(x=none, y=none) == '{\n    "predictions": []\n}'
    assert columns(x=tensor(INT32, (2, 0), [])) == ('{\n    "outputs": [\n        [],\n        []\n    ]\n}')


def test_scalar_in_columns():
    assert columns(x=tensor(FLOAT, (), [2.0])) == '{\n    "outputs": 2.0\n}'


def test_d13_error():
    assert write_error('Bad key: "key"') == b'{\n    "error": "Bad key: \\"key\\""\n}'


def test_e16_classification():
    result = classification_pb2.ClassificationResult()
    for _ in range(2):
        row = result.classifications.add()
        for label, score in (("car", 0.2), ("bike", 0.7), ("bus", 0.1)):
            row.classes.add(label=label, score=score)
    row = '[["car", 0.2], ["bike", 0.7], ["bus", 0.1]]'
    assert write_classifications(result).decode() == f'{{\n    "results": [{row}, {row}\n    ]\n}}'
    with pytest.raises(ServingError, match="Cannot convert empty ClassificationResults to JSON"):
        write_classifications(classification_pb2.ClassificationResult())


def test_regression():
    result = regression_pb2.RegressionResult()
    for value in (42.0, 0.1):
        result.regressions.add(value=value)
    assert write_regressions(result) == b'{\n    "results": [42.0, 0.1]\n}'
    with pytest.raises(ServingError, match="Cannot convert empty RegressionResults to JSON"):
        write_regressions(regression_pb2.RegressionResult())


def test_digits():
    """Six digits where they read back to the same number, else nine, or 17 of a double."""
    values = [9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5, -0.0, 16777216, 0.1, 1e-45]
    singles = [float(np.float32(value)) for value in values]
    wanted = ["9e+06", "999999.0", "0.5", "0.0003", "3e-05", "555557.5", "-0.0", "16777216.0", "0.1", "1.4013e-45"]
    assert decimals(singles, np.float32) == wanted
    assert decimals([1 / 3, 2.0], np.float64) == ["0.33333333333333331", "2.0"]


@settings(deadline=None)
@given(st.lists(st.floats(width=32), max_size=5), st.lists(st.floats(), max_size=5))
def test_every_number_reads_back(singles, doubles):
    for values, dtype in ((singles, np.float32), (doubles, np.float64)):
        texts = decimals(values, dtype)
        found = parse(f"[{','.join(texts)}]".encode())
        assert all(isinstance(value, float) for value in found)
        assert np.array(found, dtype).tobytes() == np.array(values, dtype).tobytes() or any(map(math.isnan, values))
        assert list(map(math.isnan, found)) == list(map(math.isnan, values))


@settings(deadline=None)
@given(st.binary(max_size=12))
def test_every_string_reads_back(value):
    text = quoted(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    assert parse(text).encode("utf-8", "surrogateescape") == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (math.nan, "NaN"),
        (2**64 - 1, "18446744073709551615"),
        ('a"\n\x01é/', '"a\\"\\n\\u0001é/"'),
        ([], "[]"),
        ([1, {"a": []}], '[\n    1,\n    {\n        "a": []\n    }\n]'),
        # Inside a list a double has the fewest digits that read back, in RapidJSON's notation.
        (
            [0.1, 1e21, 1e20, 1.5e-7, 123456.789, -2.0],
            "[\n    0.1,\n    1e21,\n    100000000000000000000.0,\n    1.5e-7,\n    123456.789,\n    -2.0\n]",
        ),
    ],
)
def test_value_in_an_error(value, text):
    assert value_text(value) == text


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_shortest_double_reads_back(value):
    [found] = parse(value_text([value]).encode())
    assert struct.pack("<d", found) == struct.pack("<d", value)


def test_long_value_is_cut():
    assert len(value_text(["x" * 100] * 1000)) == len(value_text([[1] * 5000] * 100)) == 4099
