"""A REST body and a signature -> PredictRequest (util/json_tensor.cc, FillPredictRequestFromJson)."""

from collections.abc import Callable, Mapping
from typing import Any

from kerasft.export.capi import CODES

from .protos import predict_pb2, tensor_pb2
from .rest_json import pairs_of, parse
from .rest_tensor import append, dense, is_base64, plain_tensor
from .rest_text import value_text
from .status import INVALID_ARGUMENT, ServingError

# Alias of an input -> its type, a number of DataType.
Inputs = Mapping[str, int]


def read_predict(body: bytes, inputs_of: Callable[[str], Inputs]) -> tuple[predict_pb2.PredictRequest, bool]:
    """Reads the body of a predict call.

    Args:
        body: the JSON text.
        inputs_of: gives the inputs of the signature that is named ("" where none is); its errors rise.

    Returns:
        The request, its model_spec filled with the signature's name alone, and whether it has the row format
        ("instances") and not the columnar one ("inputs").

    Raises:
        ServingError: INVALID_ARGUMENT or UNIMPLEMENTED, in TensorFlow Serving's words.
    """
    document = read_object(body)
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature_name(document)
    inputs = inputs_of(request.model_spec.signature_name)
    if not inputs:
        name = request.model_spec.signature_name or "DEFAULT"
        raise ServingError(INVALID_ARGUMENT, f"Failed to get input map for signature: {name}")
    if "instances" in document and "inputs" in document:
        raise format_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise format_error(document, "Expecting 'instances' to be an list/array")
        if not instances:
            raise format_error(document, "No values in 'instances' array")
        tensors = _rows(instances, inputs)
    elif "inputs" in document:
        tensors = _columns(document["inputs"], inputs)
    else:
        raise ServingError(INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key")
    for name, tensor in tensors.items():
        request.inputs[name].CopyFrom(tensor)
    return request, "instances" in document


def read_object(body: bytes) -> dict[str, Any]:
    """Parses a body whose top level must be an object."""
    document = parse(body)
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    return document


def signature_name(document: dict[str, Any]) -> str:
    """Gives "signature_name", "" where there is none."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    # A protobuf string is UTF-8: other bytes name no signature.
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def format_error(value: Any, words: str) -> ServingError:
    """Makes the error that starts with the value that is wrong."""
    return ServingError(INVALID_ARGUMENT, f"JSON Value: {value_text(value)} {words}")


def _columns(value: Any, inputs: Inputs) -> dict[str, tensor_pb2.TensorProto]:
    if not isinstance(value, dict) or is_base64(value):
        if len(inputs) > 1:
            raise ServingError(
                INVALID_ARGUMENT,
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map",
            )
        [(name, dtype)] = inputs.items()
        return {name: dense(value, dtype)}
    tensors = {}
    for name in sorted(inputs):
        if name not in value:
            raise ServingError(INVALID_ARGUMENT, f"Missing named input: {name} in 'inputs' object.")
        tensors[name] = dense(value[name], inputs[name])
    return tensors


def _rows(instances: list, inputs: Inputs) -> dict[str, tensor_pb2.TensorProto]:
    if len(inputs) > 1 and not isinstance(instances[0], dict):
        raise ServingError(
            INVALID_ARGUMENT,
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        )
    quick = _quick_rows(instances, inputs)
    return _RowReader(inputs).read(instances) if quick is None else quick


def _quick_rows(instances: list, inputs: Inputs) -> dict[str, tensor_pb2.TensorProto] | None:
    """Reads rows that are all right at once; None leaves them to the reader that names what is wrong."""
    if not _is_named(instances[0]):
        if any(_is_named(row) for row in instances):
            return None
        columns = {min(inputs): instances}
    else:
        if not all(type(row) is dict and row.keys() == inputs.keys() for row in instances):
            return None
        columns = {name: [row[name] for row in instances] for name in inputs}
    tensors = {name: plain_tensor(column, inputs[name]) for name, column in columns.items()}
    return None if None in tensors.values() else tensors


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_base64(row)


class _RowReader:
    """Reads "instances" one value after another, in the order in which TensorFlow Serving finds what is wrong.

    Attributes:
        inputs: the signature's inputs.
        tensors: what was read of each.
        first: for each input the number of values and the shape of its first row.
    """

    def __init__(self, inputs: Inputs):
        self.inputs = inputs
        self.tensors: dict[str, tensor_pb2.TensorProto] = {}
        self.first: dict[str, tuple[int, list[int]]] = {}

    def read(self, instances: list) -> dict[str, tensor_pb2.TensorProto]:
        named = _is_named(instances[0])
        for at, row in enumerate(instances):
            if named and not _is_named(row):
                raise ServingError(INVALID_ARGUMENT, f"Expecting object but got list at item {at} of input list")
            if not named and _is_named(row):
                raise ServingError(INVALID_ARGUMENT, f"Expecting value/list but got object at item {at} of input list")
            if not named:
                self._add(row, min(self.inputs), f"Failed to process element: {at} of 'instances' list.")
                continue
            for name, value in pairs_of(row):
                self._add(value, name, f"Failed to process element: {at} key: {name} of 'instances' list.")
            if row.keys() != self.inputs.keys():
                raise ServingError(
                    INVALID_ARGUMENT,
                    f"Failed to process element: {at} of 'instances' list. JSON object: {value_text(row)} "
                    f"keys must be equal to: {','.join(sorted(self.inputs))}",
                )
        for name, tensor in self.tensors.items():
            shape = [len(instances), *self.first[name][1]]
            del tensor.tensor_shape.dim[:]
            for size in shape:
                tensor.tensor_shape.dim.add(size=size)
        return self.tensors

    def _add(self, value: Any, name: str, place: str) -> None:
        try:
            self._add_item(value, name)
        except ServingError as error:
            code = CODES[error.code]
            raise ServingError(INVALID_ARGUMENT, f"{place} Error: {code}: {error.message}") from None

    def _add_item(self, value: Any, name: str) -> None:
        if name not in self.inputs:
            raise ServingError(INVALID_ARGUMENT, f"JSON object: does not have named input: {name}")
        if name not in self.tensors:
            self.tensors[name] = tensor_pb2.TensorProto(dtype=self.inputs[name])
        size, shape = append(value, self.tensors[name])
        first_size, first_shape = self.first.setdefault(name, (size, shape))
        if size != first_size:
            raise ServingError(INVALID_ARGUMENT, f"Expecting tensor size: {first_size} but got: {size}")
        if shape != first_shape:
            found, wanted = (f"[{','.join(map(str, sizes))}]" for sizes in (shape, first_shape))
            raise ServingError(INVALID_ARGUMENT, f"Expecting shape {wanted} but got: {found}")
