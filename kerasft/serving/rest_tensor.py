"""One JSON value -> one TensorProto (util/json_tensor.cc, FillTensorProto and AddValueToTensor)."""

import base64
import binascii
import re
from itertools import chain
from typing import Any

from .protos import tensor_pb2, types_pb2
from .rest_text import value_text
from .status import INVALID_ARGUMENT, UNIMPLEMENTED, ServingError

# NumPy's limit (TensorFlow's own is 254): deeper lists are nested too deep for any tensor.
MOST_DIMENSIONS = 64
_JSON_TYPES = {type(None): "Null", list: "Array", str: "String", int: "Number", float: "Number"}
_SPACE = re.compile(r"[ \t\n\v\f\r]")
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")
# Type -> the field of TensorProto, the Python types of its values, and the bounds of an integer (RapidJSON's IsInt()).
_INT32 = ("int_val", {int}, -(2**31), 2**31 - 1)
_KINDS: dict[int, tuple[str, set[type], int, int]] = {
    types_pb2.DT_FLOAT: ("float_val", {int, float}, 0, 0),
    types_pb2.DT_DOUBLE: ("double_val", {int, float}, 0, 0),
    types_pb2.DT_INT32: _INT32,
    types_pb2.DT_INT16: _INT32,
    types_pb2.DT_INT8: _INT32,
    types_pb2.DT_UINT8: _INT32,
    types_pb2.DT_STRING: ("string_val", {str}, 0, 0),
    types_pb2.DT_INT64: ("int64_val", {int}, -(2**63), 2**63 - 1),
    types_pb2.DT_BOOL: ("bool_val", {bool}, 0, 0),
    types_pb2.DT_UINT32: ("uint32_val", {int}, 0, 2**32 - 1),
    types_pb2.DT_UINT64: ("uint64_val", {int}, 0, 2**64 - 1),
}


def dtype_name(dtype: int) -> str:
    """Gives a type's name as TensorFlow writes it (DataTypeString)."""
    return types_pb2.DataType.Name(dtype).removeprefix("DT_").lower()


def json_type(value: Any) -> str:
    """Gives a value's type as TensorFlow Serving's errors name it."""
    return str(value) if isinstance(value, bool) else _JSON_TYPES.get(type(value), "Object")


def is_base64(value: Any) -> bool:
    """Tells whether a value is `{"b64": "…"}`, that key alone."""
    pairs = getattr(value, "pairs", value)
    return isinstance(value, dict) and len(pairs) == 1 and isinstance(value.get("b64"), str)


def from_base64(value: dict) -> bytes:
    """Decodes `{"b64": "…"}`: the standard alphabet, white space ignored, padding whole or left out (absl).

    Raises:
        ServingError: INVALID_ARGUMENT, another object or not base64.
    """
    if not is_base64(value):
        raise ServingError(INVALID_ARGUMENT, f"JSON Value: {value_text(value)} not formatted correctly for base64 data")
    match = _BASE64.fullmatch(_SPACE.sub("", value["b64"]))
    wrong = match is None or len(match[1]) % 4 == 1 or len(match[2]) not in (0, -len(match[1]) % 4)
    if wrong:
        raise ServingError(INVALID_ARGUMENT, "Unable to base64 decode")
    try:
        return base64.b64decode(match[1] + "=" * (-len(match[1]) % 4))
    except binascii.Error:
        raise ServingError(INVALID_ARGUMENT, "Unable to base64 decode") from None


def as_bytes(text: str) -> bytes:
    """Gives a JSON string's bytes, those outside UTF-8 as they were sent."""
    return text.encode("utf-8", "surrogateescape")


def dense(value: Any, dtype: int) -> tensor_pb2.TensorProto:
    """Reads a value, or nested lists of one shape, as a tensor.

    Args:
        value: what `rest_json.parse` gives.
        dtype: the tensor's type.

    Returns:
        The tensor, its shape that of the lists (none: a scalar).

    Raises:
        ServingError: in TensorFlow Serving's words, for the first value that is wrong.
    """
    tensor = plain_tensor(value, dtype)
    if tensor is None:
        tensor = tensor_pb2.TensorProto(dtype=dtype)
        _, shape = append(value, tensor)
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
    return tensor


def plain_tensor(value: Any, dtype: int) -> tensor_pb2.TensorProto | None:
    """Reads a value in which nothing is wrong, level by level; None where something may be."""
    shape = shape_of(value)
    if dtype not in _KINDS or len(shape) > MOST_DIMENSIONS:
        return None
    values = [value]
    for size in shape:
        if not all(type(item) is list and len(item) == size for item in values):
            return None
        values = list(chain.from_iterable(values))
    field, types, least, most = _KINDS[dtype]
    if not set(map(type, values)) <= types:
        return None
    if least < most and values and (min(values) < least or max(values) > most):
        return None
    if dtype == types_pb2.DT_STRING:
        values = [as_bytes(item) for item in values]
    tensor = tensor_pb2.TensorProto(dtype=dtype)
    getattr(tensor, field).extend(values)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    # A scalar has a shape too.
    tensor.tensor_shape.SetInParent()
    return tensor


def shape_of(value: Any) -> list[int]:
    """Gives the sizes along the first elements (GetDenseTensorShape); [] for what is no list."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def append(value: Any, tensor: tensor_pb2.TensorProto) -> tuple[int, list[int]]:
    """Appends a value's elements to a tensor, one after another.

    Args:
        value: an element or nested lists.
        tensor: takes the elements; its shape stays as it is.

    Returns:
        How many were added, and the value's shape.

    Raises:
        ServingError: the first element that is wrong.
    """
    shape = shape_of(value)
    if len(shape) > MOST_DIMENSIONS:
        raise _level_error(MOST_DIMENSIONS, MOST_DIMENSIONS)
    tensor.tensor_shape.SetInParent()
    # Depth first, without recursion: what is left of every open list.
    count, waiting = 0, [iter((value,))]
    while waiting:
        level = len(waiting) - 1
        try:
            item = next(waiting[-1])
        except StopIteration:
            waiting.pop()
            continue
        if not isinstance(item, list):
            _append_one(item, level, len(shape), tensor)
            count += 1
        elif level >= len(shape):
            raise _level_error(level, len(shape))
        elif len(item) != shape[level]:
            raise ServingError(
                INVALID_ARGUMENT,
                f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}",
            )
        else:
            waiting.append(iter(item))
    return count, shape


def _append_one(item: Any, level: int, rank: int, tensor: tensor_pb2.TensorProto) -> None:
    dtype = tensor.dtype
    if level != rank:
        raise ServingError(
            INVALID_ARGUMENT,
            f"JSON Value: {value_text(item)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {rank}",
        )
    if isinstance(item, dict):
        if dtype != types_pb2.DT_STRING:
            raise _type_error(item, dtype)
        tensor.string_val.append(from_base64(item))
        return
    if dtype not in _KINDS:
        raise ServingError(UNIMPLEMENTED, f"Conversion of JSON Value: {value_text(item)} to type: {dtype_name(dtype)}")
    field, types, least, most = _KINDS[dtype]
    if type(item) not in types or (least < most and not least <= item <= most):
        raise _type_error(item, dtype)
    getattr(tensor, field).append(as_bytes(item) if isinstance(item, str) else item)


def _type_error(value: Any, dtype: int) -> ServingError:
    return ServingError(
        INVALID_ARGUMENT,
        f"JSON Value: {value_text(value)} Type: {json_type(value)} is not of expected type: {dtype_name(dtype)}",
    )


def _level_error(level: int, rank: int) -> ServingError:
    return ServingError(INVALID_ARGUMENT, f"Encountered list at unexpected level: {level} expected < {rank}")
