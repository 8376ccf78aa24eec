"""GetModelMetadata: the signatures of a version (servables/tensorflow/get_model_metadata_impl.cc)."""

from kerasft.serving.protos import get_model_metadata_pb2
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

SIGNATURE_DEF = "signature_def"


def model_metadata(
    models, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Answers one request.

    Args:
        models: what is served; `lease(model_spec)` gives the version.
        request: TensorFlow Serving's message; the only field it knows is `signature_def`.

    Returns:
        The model's name, its version, and under `signature_def` an Any that holds a SignatureDefMap.

    Raises:
        ServingError: codes and words of TensorFlow Serving.
    """
    if not request.HasField("model_spec"):
        raise ServingError(INVALID_ARGUMENT, "Missing ModelSpec")
    if not request.metadata_field:
        raise ServingError(INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise ServingError(INVALID_ARGUMENT, f"Metadata field {field} is not supported")
    with models.lease(request.model_spec) as loaded:
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = loaded.name
        response.model_spec.version.value = loaded.version
        response.metadata[SIGNATURE_DEF].Pack(loaded.signature_map)
        return response
