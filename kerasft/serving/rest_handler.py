"""One REST request, from its line and body to its reply (model_servers/http_rest_api_handler.cc, ProcessRequest)."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

from .classify import classify
from .management import model_status
from .metadata import model_metadata
from .models import Models
from .predict import predict
from .protos import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, model_pb2, regression_pb2
from .regress import regress
from .rest_examples import read_examples
from .rest_path import Route, parse_path
from .rest_read import Inputs, read_predict
from .rest_write import (
    write_classifications,
    write_error,
    write_metadata,
    write_predictions,
    write_regressions,
    write_status,
)
from .status import INTERNAL, INVALID_ARGUMENT, OK, ServingError, http_status

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """What goes back.

    Attributes:
        status: the HTTP status.
        body: the body, JSON.
        code: the gRPC code that the status stands for.
        model: the model that was asked, "" where the path names none.
        action: `predict`, `classify`, `regress`, `status`, `metadata`, or "" for a path that is none.
    """

    status: int
    body: bytes
    code: int = OK
    model: str = ""
    action: str = ""


def answer(models: Models, method: str, path: str, body: bytes, deadline: float | None = None) -> Reply:
    """Answers one request of the REST API; takes as long as the model does.

    Args:
        models: what is served.
        method: the HTTP method in capitals.
        path: the path as it was sent, with its query; bytes outside UTF-8 as surrogate escapes.
        body: the body, no longer compressed.
        deadline: of `time.monotonic()`: what waits to be joined with other requests until then is not run.

    Returns:
        The reply. Errors are replies too: this function raises none.
    """
    route = Route("", "")
    try:
        route = parse_path(method, path)
        written = _ACTIONS[route.action](models, route, body, functools.partial(models.run, deadline=deadline))
    except ServingError as error:
        return Reply(http_status(error.code), write_error(error.message), error.code, route.model, route.action)
    except Exception:
        # A mistake of ours, or no memory: one request must not take the server along.
        _LOG.exception("A %s request failed", route.action or "REST")
        return Reply(http_status(INTERNAL), write_error("Internal error."), INTERNAL, route.model, route.action)
    return Reply(http_status(OK), written, OK, route.model, route.action)


def _spec(route: Route, signature_name: str = "") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=route.model, signature_name=signature_name)
    if route.version is not None:
        spec.version.value = route.version
    if route.label is not None:
        spec.version_label = route.label
    return spec


def _predict(models: Models, route: Route, body: bytes, run: Callable) -> bytes:
    def inputs_of(signature_name: str) -> Inputs:
        name = signature_name or "serving_default"
        with models.lease(_spec(route)) as loaded:
            signature = loaded.signatures.get(name)
            if signature is None:
                raise ServingError(INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def')
            return {alias: info.dtype for alias, info in signature.inputs.items()}

    request, is_row_format = read_predict(body, inputs_of)
    request.model_spec.CopyFrom(_spec(route, request.model_spec.signature_name))
    return write_predictions(predict(models, request, run).outputs, is_row_format)


def _classify(models: Models, route: Route, body: bytes, run: Callable) -> bytes:
    examples, name = read_examples(body)
    request = classification_pb2.ClassificationRequest(model_spec=_spec(route, name), input=examples)
    return write_classifications(classify(models, request, run).result)


def _regress(models: Models, route: Route, body: bytes, run: Callable) -> bytes:
    examples, name = read_examples(body)
    request = regression_pb2.RegressionRequest(model_spec=_spec(route, name), input=examples)
    return write_regressions(regress(models, request, run).result)


def _status(models: Models, route: Route, body: bytes, run: Callable) -> bytes:
    return write_status(model_status(models, get_model_status_pb2.GetModelStatusRequest(model_spec=_spec(route))))


def _metadata(models: Models, route: Route, body: bytes, run: Callable) -> bytes:
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=_spec(route), metadata_field=["signature_def"])
    return write_metadata(model_metadata(models, request))


_ACTIONS: dict[str, Callable[[Models, Route, bytes, Callable], bytes]] = {
    "predict": _predict,
    "classify": _classify,
    "regress": _regress,
    "status": _status,
    "metadata": _metadata,
}
