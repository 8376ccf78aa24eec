"""A REST body -> the `tf.Example`s of a classify or regress call (util/json_tensor.cc, MakeExampleFromJsonObject)."""

from typing import Any

from .protos import example_pb2, feature_pb2, input_pb2
from .rest_json import pairs_of
from .rest_read import format_error, read_object, signature_name
from .rest_tensor import as_bytes, from_base64, is_base64, json_type
from .status import INVALID_ARGUMENT, ServingError

_FIELDS = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}


def read_examples(body: bytes) -> tuple[input_pb2.Input, str]:
    """Reads the body of a classify or regress call.

    Args:
        body: the JSON text: "examples", a list of objects, and perhaps "context" and "signature_name".

    Returns:
        The input, as ExampleList or, with a context, ExampleListWithContext; and the signature's name or "".

    Raises:
        ServingError: INVALID_ARGUMENT, in TensorFlow Serving's words.
    """
    document = read_object(body)
    name = signature_name(document)
    taken = input_pb2.Input()
    if "context" in document:
        into = taken.example_list_with_context
        into.context.CopyFrom(_example(document["context"]))
    else:
        into = taken.example_list
    if "examples" not in document:
        # TensorFlow Serving says "classify" for regress as well.
        raise format_error(document, "When method is classify, key 'examples' is expected and was not found")
    examples = document["examples"]
    if not isinstance(examples, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    into.examples.extend(_example(value) for value in examples)
    return taken, name


def _example(value: Any) -> example_pb2.Example:
    if not isinstance(value, dict):
        raise ServingError(INVALID_ARGUMENT, f"Example must be JSON object but got JSON {json_type(value)}")
    example = example_pb2.Example()
    for name, content in pairs_of(value):
        # A protobuf map's key is UTF-8: other bytes name no feature that a model reads.
        key = as_bytes(name).decode("utf-8", "replace")
        example.features.feature[key].CopyFrom(_feature(content, name))
    return example


def _feature(content: Any, name: str) -> feature_pb2.Feature:
    feature = feature_pb2.Feature()
    for value in content if isinstance(content, list) else [content]:
        kind, plain = _kind(value, name)
        has = feature.WhichOneof("kind")
        if has not in (None, _FIELDS[kind]):
            expected = has.removesuffix("_list")
            raise ServingError(
                INVALID_ARGUMENT, f"Unexpected element type in feature: {name} expecting type: {expected}"
            )
        if type(plain) is int and plain >= 2**63:
            raise ServingError(INVALID_ARGUMENT, f"Feature: {name} has uint64 element. Only int64 is supported.")
        if isinstance(plain, dict):
            plain = from_base64(plain)
        getattr(feature, _FIELDS[kind]).value.append(plain)
    return feature


def _kind(value: Any, name: str) -> tuple[str, Any]:
    """Gives which list takes a value, and the value as that list takes it; a base64 object as it is."""
    if isinstance(value, bool):
        return "int64", int(value)
    if isinstance(value, int):
        return "int64", value
    if isinstance(value, float):
        return "float", value
    if isinstance(value, str):
        return "bytes", as_bytes(value)
    if is_base64(value):
        return "bytes", value
    raise ServingError(INVALID_ARGUMENT, f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")
