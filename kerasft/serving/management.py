"""What ModelService answers: the states of versions, and a new list of models."""

from kerasft.export.capi import CODES
from kerasft.serving.config_files import model_configs
from kerasft.serving.protos import error_codes, get_model_status_pb2, model_management_pb2
from kerasft.serving.status import INVALID_ARGUMENT, ServingError


def model_status(models, request) -> get_model_status_pb2.GetModelStatusResponse:
    """GetModelStatus (model_servers/get_model_status_impl.cc).

    Args:
        models: a `Models`.
        request: a `GetModelStatusRequest`.

    Returns:
        One entry a version, the highest first.

    Raises:
        ServingError: no model spec, or a model or version that was never seen.
    """
    response = get_model_status_pb2.GetModelStatusResponse()
    state_of = get_model_status_pb2.ModelVersionStatus.State.Value
    for found in models.status(request.model_spec if request.HasField("model_spec") else None):
        entry = response.model_version_status.add(version=found.version, state=state_of(found.state))
        entry.status.error_code = error_codes.Code.Value(CODES[found.code])
        entry.status.error_message = found.message
    return response


def reload_config(models, request) -> model_management_pb2.ReloadConfigResponse:
    """HandleReloadConfigRequest (model_servers/model_service_impl.cc).

    Args:
        models: a `Models`.
        request: a `ReloadConfigRequest`.

    Returns:
        A response whose status is OK; any other status is raised, as the RPC ends with it too.

    Raises:
        ServingError: what `Models.reload` refuses, or a config that is no list of models.
    """
    if request.config.WhichOneof("config") != "model_config_list":
        words = "ServerModelConfig type not supported by HandleReloadConfigRequest."
        raise ServingError(INVALID_ARGUMENT, f"{words} Only ModelConfigList is currently supported")
    models.reload(model_configs(request.config.model_config_list))
    response = model_management_pb2.ReloadConfigResponse()
    response.status.SetInParent()
    return response
