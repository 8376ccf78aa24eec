"""Responses -> JSON text, byte for byte as RapidJSON's PrettyWriter writes TensorFlow Serving's.

Behaviour from util/json_tensor.cc (MakeJsonFromTensors, MakeJsonFromClassificationResult, MakeJsonFromRegressionResult,
MakeJsonFromStatus) and model_servers/http_rest_api_util.cc (ToJsonString).
"""

import base64
import math
from collections.abc import Mapping

import numpy as np
from google.protobuf import json_format

from .protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    regression_pb2,
    tensor_pb2,
    types_pb2,
)
from .rest_tensor import dtype_name
from .rest_text import INDENT, decimals, quoted
from .status import INTERNAL, INVALID_ARGUMENT, ServingError

_INTEGERS = {
    **dict.fromkeys((types_pb2.DT_INT32, types_pb2.DT_INT16, types_pb2.DT_INT8, types_pb2.DT_UINT8), "int_val"),
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
}


def write_predictions(outputs: Mapping[str, tensor_pb2.TensorProto], is_row_format: bool) -> bytes:
    """Writes the outputs of a predict call.

    Args:
        outputs: the tensors by alias; their values in the typed fields.
        is_row_format: "predictions", one entry a row of the batch, and not "outputs", one a tensor.

    Returns:
        The JSON text; several outputs in the order of their names.

    Raises:
        ServingError: INVALID_ARGUMENT, no outputs, a type that JSON does not take, or rows that do not match.
    """
    if not outputs:
        raise ServingError(INVALID_ARGUMENT, "Cannot convert empty tensor map to JSON")
    return encoded(_rows(outputs) if is_row_format else _columns(outputs))


def write_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """Writes a classification: one list a row, of [label, score]."""
    if not result.classifications:
        raise ServingError(INVALID_ARGUMENT, "Cannot convert empty ClassificationResults to JSON")
    rows = []
    for row in result.classifications:
        scores = decimals([one.score for one in row.classes], np.float32)
        pairs = (f"[{quoted(one.label)}, {score}]" for one, score in zip(row.classes, scores, strict=True))
        rows.append(f"[{', '.join(pairs)}]")
    return encoded(f'{{\n{INDENT}"results": [{", ".join(rows)}\n{INDENT}]\n}}')


def write_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """Writes a regression: one number a row."""
    if not result.regressions:
        raise ServingError(INVALID_ARGUMENT, "Cannot convert empty RegressionResults to JSON")
    values = decimals([one.value for one in result.regressions], np.float32)
    return encoded(f'{{\n{INDENT}"results": [{", ".join(values)}]\n}}')


def write_error(message: str) -> bytes:
    """Writes the body of every reply that is not 200."""
    return encoded(f'{{\n{INDENT}"error": {quoted(message)}\n}}')


def write_status(response: get_model_status_pb2.GetModelStatusResponse) -> bytes:
    """Writes the status of a model's versions, fields that are not set too."""
    for version in response.model_version_status:
        version.status.SetInParent()
    return encoded(_proto_json(response, False))


def write_metadata(response: get_model_metadata_pb2.GetModelMetadataResponse) -> bytes:
    """Writes a model's signatures, fields that are not set too."""
    if "signature_def" not in response.metadata:
        raise ServingError(INTERNAL, "Failed to find 'signature_def' key in the GetModelMetadataResponse metadata map.")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    if not response.metadata["signature_def"].Unpack(signatures):
        raise ServingError(INTERNAL, "Failed to unpack 'Any' object to 'SignatureDefMap'.")
    spec, known = _proto_json(response.model_spec, True), _proto_json(signatures, True)
    return encoded(f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {known}}}\n}}\n')


def encoded(text: str) -> bytes:
    """Gives a text's bytes; what was not UTF-8 in a model's strings goes out as it is."""
    return text.encode("utf-8", "surrogateescape")


def _proto_json(message, proto_names: bool) -> str:
    text = json_format.MessageToJson(
        message,
        indent=1,
        preserving_proto_field_name=proto_names,
        always_print_fields_with_no_presence=True,
        ensure_ascii=False,
    )
    return f"{text}\n"


def _rows(outputs: Mapping[str, tensor_pb2.TensorProto]) -> str:
    batch = -1
    for name in sorted(outputs):
        shape = _shape(outputs[name])
        if not shape:
            raise ServingError(INVALID_ARGUMENT, f"Tensor name: {name} has no shape information ")
        if batch not in (-1, shape[0]):
            raise ServingError(
                INVALID_ARGUMENT, f"Tensor name: {name} has inconsistent batch size: {shape[0]} expecting: {batch}"
            )
        batch = shape[0]
    several = len(outputs) > 1
    # Open around a row's value: the root, the list and, of several outputs, the row's object.
    depth = 3 if several else 2
    columns = {}
    for name in sorted(outputs):
        shape = _shape(outputs[name])
        columns[name] = _one_line(_values(name, outputs[name], depth + len(shape) - 1), shape)
    if not batch:
        return f'{{\n{INDENT}"predictions": []\n}}'
    if not several:
        [column] = columns.values()
        return f'{{\n{INDENT}"predictions": [{", ".join(column)}\n{INDENT}]\n}}'
    inner, outer = INDENT * 3, INDENT * 2
    rows = []
    for row in range(batch):
        fields = f",\n{inner}".join(f"{quoted(name)}: {column[row]}" for name, column in columns.items())
        rows.append(f"\n{outer}{{\n{inner}{fields}\n{outer}}}")
    return f'{{\n{INDENT}"predictions": [{",".join(rows)}\n{INDENT}]\n}}'


def _columns(outputs: Mapping[str, tensor_pb2.TensorProto]) -> str:
    if len(outputs) == 1:
        [(name, tensor)] = outputs.items()
        return f'{{\n{INDENT}"outputs": {_many_lines(name, tensor, 1)}\n}}'
    inner = INDENT * 2
    fields = f",\n{inner}".join(f"{quoted(name)}: {_many_lines(name, outputs[name], 2)}" for name in sorted(outputs))
    return f'{{\n{INDENT}"outputs": {{\n{inner}{fields}\n{INDENT}}}\n}}'


def _shape(tensor: tensor_pb2.TensorProto) -> list[int]:
    return [dim.size for dim in tensor.tensor_shape.dim]


def _values(name: str, tensor: tensor_pb2.TensorProto, depth: int) -> list[str]:
    """Writes a tensor's values in order; `depth`: how many lists and objects are open around each."""
    dtype = tensor.dtype
    shape = _shape(tensor)
    texts = None
    if dtype in _INTEGERS:
        texts = list(map(str, getattr(tensor, _INTEGERS[dtype])))
    elif dtype in (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE):
        is_float = dtype == types_pb2.DT_FLOAT
        texts = decimals(*((tensor.float_val, np.float32) if is_float else (tensor.double_val, np.float64)))
    elif dtype == types_pb2.DT_BOOL:
        texts = ["true" if value else "false" for value in tensor.bool_val]
    elif dtype == types_pb2.DT_STRING and name.endswith("_bytes"):
        texts = [_base64_object(value, depth) for value in tensor.string_val]
    elif dtype == types_pb2.DT_STRING:
        texts = [quoted(value.decode("utf-8", "surrogateescape")) for value in tensor.string_val]
    if math.prod(shape) and (texts is None or len(texts) != math.prod(shape)):
        raise ServingError(INVALID_ARGUMENT, f"Failed to write JSON value for tensor type: {dtype_name(dtype)}")
    return texts or []


def _base64_object(value: bytes, depth: int) -> str:
    # An object is on lines of its own even in a list that is on one line.
    inner, outer = INDENT * (depth + 1), INDENT * depth
    return f'{{\n{inner}"b64": "{base64.b64encode(value).decode()}"\n{outer}}}'


def _one_line(texts: list[str], shape: list[int]) -> list[str]:
    """Joins values to one text a row, its lists on one line."""
    for at in range(len(shape) - 1, 0, -1):
        texts = [f"[{', '.join(group)}]" for group in _groups(texts, shape, at)]
    return texts


def _many_lines(name: str, tensor: tensor_pb2.TensorProto, depth: int) -> str:
    """Writes a tensor with every value on a line of its own."""
    shape = _shape(tensor)
    texts = _values(name, tensor, depth + len(shape))
    for at in range(len(shape) - 1, -1, -1):
        inner, outer = INDENT * (depth + at + 1), INDENT * (depth + at)
        between = f",\n{inner}"
        groups = _groups(texts, shape, at)
        texts = [f"[\n{inner}{between.join(group)}\n{outer}]" if group else "[]" for group in groups]
    return texts[0]


def _groups(texts: list[str], shape: list[int], at: int) -> list[list[str]]:
    """Cuts values into the lists along dimension `at`."""
    size = shape[at]
    return [texts[row * size : (row + 1) * size] for row in range(math.prod(shape[:at]))]
