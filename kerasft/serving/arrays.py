"""TensorProto to NumPy and back, by the rules of `Tensor::FromProto` and `Tensor::AsProtoField`.

Source: tensorflow/core/framework/tensor.cc, tensor_shape.cc.
"""

import math

import numpy as np

from kerasft.export.capi import DTYPES, numpy_type
from kerasft.serving.protos import tensor_pb2, types_pb2
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

# TensorFlow's name of the type -> the field of a TensorProto that holds its values. Types left out (resource,
# variant, quantized) are of no use in a request, and a variant's bytes would be decoded by whatever code they name.
_FIELDS = {"float32": "float_val", "float64": "double_val", "string": "string_val", "bool": "bool_val"}
_FIELDS |= dict.fromkeys(("int32", "int16", "int8", "uint16", "uint8"), "int_val")
_FIELDS |= {"int64": "int64_val", "uint32": "uint32_val", "uint64": "uint64_val"}
_FIELDS |= {"float16": "half_val", "bfloat16": "half_val", "complex64": "scomplex_val", "complex128": "dcomplex_val"}
_NUMBERS = {name: number for number, name in DTYPES.items()}
_LITTLE_ENDIAN = {"float_val": "<f4", "double_val": "<f8", "bool_val": "?"}
_STRING_BYTES = 24  # sizeof(tstring)
_FREE_BYTES = 2**28
_MOST_DIMENSIONS = 64  # NumPy's limit; TensorFlow's is 254
_MOST_ELEMENTS = 2**50  # counted as if no size were 0, as NumPy counts; it leaves room for a wider type


def type_name(array: np.ndarray) -> str:
    """Gives `DT_FLOAT`, `DT_STRING`, …: what TensorFlow Serving's messages call an array's type."""
    return types_pb2.DataType.Name(_NUMBERS["string" if array.dtype == object else array.dtype.name])


def shape_text(array: np.ndarray) -> str:
    """Gives `[2,1]`: how TensorFlow writes a shape in messages."""
    return f"[{','.join(map(str, array.shape))}]"


def parsing_error(alias: str) -> ServingError:
    return ServingError(INVALID_ARGUMENT, f"tensor parsing error: {alias}")


def sound_shape(proto: tensor_pb2.TensorProto, alias: str) -> tuple[int, ...]:
    """Checks what a TensorProto says of itself before anything is allocated for it.

    A few bytes can claim any shape, for the last value is repeated to fill it. TensorFlow would allocate; here a tensor
    over 256 MiB that is over 16 times the size of its message is refused, and so is a shape that NumPy cannot hold.

    Raises:
        ServingError: an unknown or negative size, a type that no request can hold, or a claim beyond all measure.
    """
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    name = DTYPES.get(proto.dtype, "")
    if proto.tensor_shape.unknown_rank or name not in _FIELDS or any(size < 0 for size in shape):
        raise parsing_error(alias)
    if len(shape) > _MOST_DIMENSIONS or math.prod(max(size, 1) for size in shape) > _MOST_ELEMENTS:
        raise parsing_error(alias)
    item_bytes = _STRING_BYTES if name == "string" else numpy_type(name).itemsize
    memory = math.prod(shape) * item_bytes
    if memory > _FREE_BYTES and memory > 16 * proto.ByteSize():
        raise parsing_error(alias)
    return shape


def from_proto(proto: tensor_pb2.TensorProto, alias: str) -> np.ndarray:
    """Reads a TensorProto.

    Args:
        proto: the message; values in its typed field, the last one repeated when there are too few, or as raw content.
        alias: the input's name, for the message.

    Returns:
        The array, maybe read-only; strings as objects of type bytes.

    Raises:
        ServingError: INVALID_ARGUMENT, `tensor parsing error: ALIAS`.
    """
    shape = sound_shape(proto, alias)
    name = DTYPES[proto.dtype]
    size = math.prod(shape)
    if size == 0:
        return np.empty(shape, numpy_type(name))
    if name == "string":
        values = _decoded_strings(proto.tensor_content, size, alias) if proto.tensor_content else proto.string_val
        array = np.full(size, values[-1] if values else b"", dtype=object)
        taken = list(values[:size])
        array[: len(taken)] = taken
        return array.reshape(shape)
    dtype = numpy_type(name)
    if proto.tensor_content:
        if len(proto.tensor_content) != size * dtype.itemsize:
            raise parsing_error(alias)
        if name == "bool" and max(proto.tensor_content) > 1:
            raise parsing_error(alias)
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = _values(getattr(proto, _FIELDS[name]), name, dtype)
    if len(values) >= size:
        return values[:size].reshape(shape)
    array = np.zeros(size, dtype)
    if len(values):
        array[: len(values)] = values
        array[len(values) :] = values[-1]
    return array.reshape(shape)


def _values(field, name: str, dtype: np.dtype) -> np.ndarray:
    if _FIELDS[name] == "half_val":  # the bits, in the lower half of each number
        return np.array(field, np.int64).astype(np.uint16).view(dtype)
    if dtype.kind == "c":  # real and imaginary parts by turns
        part = np.float32 if name == "complex64" else np.float64
        parts = np.array(field, part)
        return parts[: len(parts) // 2 * 2].view(dtype)
    if _FIELDS[name] == "int_val":  # narrower types are cut from 32 bits, as a C++ cast does
        return np.array(field, np.int32).astype(dtype)
    return np.array(field, dtype)


def _decoded_strings(content: bytes, count: int, alias: str) -> list[bytes]:
    """Reads `count` lengths as varints, then the strings one after another; nothing may be left."""
    sizes, at = [], 0
    for _ in range(count):
        size = shift = 0
        while True:
            if at >= len(content) or shift > 28:
                raise parsing_error(alias)
            byte = content[at]
            size |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                break
        sizes.append(size)
    if at + sum(sizes) != len(content):
        raise parsing_error(alias)
    strings = []
    for size in sizes:
        strings.append(content[at : at + size])
        at += size
    return strings


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def to_proto(array: np.ndarray, into: tensor_pb2.TensorProto | None = None) -> tensor_pb2.TensorProto:
    """Writes an array as TensorFlow Serving replies: values in the typed field, each of them, no raw content.

    Args:
        array: any type that a model can put out; strings as objects of type bytes.
        into: an empty message to fill; a new one by default.

    Returns:
        The message.
    """
    proto = tensor_pb2.TensorProto() if into is None else into
    name = "string" if array.dtype == object else array.dtype.name
    proto.dtype = _NUMBERS[name]
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if not array.size:
        return proto
    field = _FIELDS[name]
    flat = array.reshape(-1)
    if field in _LITTLE_ENDIAN:
        # A packed field on the wire is these very bytes: many times faster than a list of Python numbers.
        raw = np.ascontiguousarray(flat, _LITTLE_ENDIAN[field]).tobytes()
        number = tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name[field].number
        proto.MergeFromString(_varint(number << 3 | 2) + _varint(len(raw)) + raw)
        return proto
    if field == "half_val":
        flat = flat.view(np.uint16)
    elif flat.dtype.kind == "c":
        flat = np.ascontiguousarray(flat).view(np.float32 if name == "complex64" else np.float64)
    getattr(proto, field).extend(flat.tolist())
    return proto
