"""What a signature takes, as the server's metadata says it, over gRPC or REST."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kerasft.errors import KerasftError, did_you_mean

STRING = "DT_STRING"
INTEGERS = frozenset(f"DT_{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64))
FLOATS = frozenset(("DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16"))
BOOL = "DT_BOOL"


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: its alias.
        dtype: `DT_STRING`, `DT_INT32`, …
        shape: one entry a dimension, -1 where it is open; None for an unknown rank.
        has_default: over gRPC it may be left out.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None = (-1,)
    has_default: bool = False


@dataclass(frozen=True)
class Served:
    """What the server says of the model: the version that answers, and the inputs of the signature, by name."""

    version: int
    inputs: tuple[Input, ...]


def from_message(response, signature: str) -> Served:
    """Reads a GetModelMetadataResponse.

    Raises:
        KerasftError: it has no such signature, or an input that a load cannot be made for.
    """
    from kerasft.serving.protos import get_model_metadata_pb2, types_pb2

    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    _check_signature(signature, found.signature_def)
    asked = found.signature_def[signature]
    inputs = [
        Input(
            name,
            types_pb2.DataType.Name(info.dtype),
            None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim),
            name in asked.defaults,
        )
        for name, info in asked.inputs.items()
    ]
    return Served(response.model_spec.version.value, _checked(inputs))


def from_json(answer: Mapping, signature: str) -> Served:
    """Reads the answer to `GET /v1/models/NAME/metadata`.

    Raises:
        KerasftError: it is not such an answer, has no such signature, or an input that a load cannot be made for.
    """
    try:
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        _check_signature(signature, signatures)
        asked = signatures[signature]
        inputs = [
            Input(name, info["dtype"], _shape(info["tensor_shape"]), name in asked.get("defaults", {}))
            for name, info in asked["inputs"].items()
        ]
        return Served(int(answer["model_spec"]["version"]), _checked(inputs))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KerasftError(
            "The metadata of the model is not what TensorFlow Serving sends. Is this its REST address?"
        ) from None


def _shape(shape: Mapping) -> tuple[int, ...] | None:
    return None if shape.get("unknown_rank") else tuple(int(dim["size"]) for dim in shape.get("dim", ()))


def _check_signature(signature: str, found: Iterable[str]) -> None:
    names = [name for name in found if not name.startswith("__saved_model_")]
    if signature not in names:
        raise KerasftError(f"The model has no signature '{signature}'.{did_you_mean(signature, names)}")


def _checked(inputs: Iterable[Input]) -> tuple[Input, ...]:
    for one in inputs:
        if one.dtype not in (STRING, BOOL, *INTEGERS, *FLOATS):
            raise KerasftError(f"Input '{one.name}' is a {one.dtype}: load can be made of texts, numbers and bools.")
    return tuple(sorted(inputs, key=lambda one: one.name))
