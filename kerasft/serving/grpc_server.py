"""The gRPC side of the server: TensorFlow Serving's two services and the standard health service."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError

from kerasft.errors import KerasftError
from kerasft.serving.classify import classify
from kerasft.serving.health import Health
from kerasft.serving.management import model_status, reload_config
from kerasft.serving.metadata import model_metadata
from kerasft.serving.multi_inference import multi_inference
from kerasft.serving.predict import predict
from kerasft.serving.protos import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)
from kerasft.serving.regress import regress
from kerasft.serving.status import DEADLINE_EXCEEDED, INTERNAL, INVALID_ARGUMENT, OK, ServingError, truncated

log = logging.getLogger(__name__)

# (API, model's name, status code, seconds): told after each request.
Observe = Callable[[str, str, int, float], None]

# Unread, each holds 64 KiB at most.
_PENDING = 10_000

_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class Method:
    """One method of a service. `runs`: it runs a model, and can be told how."""

    service: str
    name: str
    request: type
    answer: Callable
    runs: bool = False


_PREDICTION, _MODEL = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
METHODS = (
    Method(_PREDICTION, "Predict", predict_pb2.PredictRequest, predict, runs=True),
    Method(_PREDICTION, "Classify", classification_pb2.ClassificationRequest, classify, runs=True),
    Method(_PREDICTION, "Regress", regression_pb2.RegressionRequest, regress, runs=True),
    Method(_PREDICTION, "MultiInference", inference_pb2.MultiInferenceRequest, multi_inference, runs=True),
    Method(_PREDICTION, "GetModelMetadata", get_model_metadata_pb2.GetModelMetadataRequest, model_metadata),
    Method(_MODEL, "GetModelStatus", get_model_status_pb2.GetModelStatusRequest, model_status),
    Method(_MODEL, "HandleReloadConfigRequest", model_management_pb2.ReloadConfigRequest, reload_config),
)


@dataclass(frozen=True)
class GrpcOptions:
    """How the gRPC server listens, and what it takes.

    Attributes:
        address: `host:port`; port 0 takes any that is free.
        max_message_bytes: of a request and of a reply; a larger one is RESOURCE_EXHAUSTED.
        max_concurrent: requests at one time; one more is RESOURCE_EXHAUSTED. None for no limit.
        threads: that run requests. With batching each request of a batch holds one while it waits.
        credentials: for TLS; None listens in plain text.
    """

    address: str = "127.0.0.1:8500"
    max_message_bytes: int = 64 * 2**20
    max_concurrent: int | None = None
    threads: int = 64
    credentials: grpc.ServerCredentials | None = None


async def start_grpc(
    models, options: GrpcOptions, health: Health | None = None, observe: Observe | None = None
) -> grpc.aio.Server:
    """Listens, and serves in the running event loop.

    Args:
        models: what is served.
        options: see there.
        health: what the health service says; `SERVING` by default.
        observe: is told of each request, in the thread that answered it.

    Returns:
        The server; `await server.stop(grace)` ends it.

    Raises:
        KerasftError: the address is taken or is none.
    """
    server, _ = make_grpc(models, options, health, observe)
    await server.start()
    return server


def make_grpc(
    models, options: GrpcOptions, health: Health | None = None, observe: Observe | None = None
) -> tuple[grpc.aio.Server, int]:
    """Makes the server, bound but not started, in the running event loop.

    Returns:
        The server, and the port that it is bound to.

    Raises:
        KerasftError: the address is taken or is none.
    """
    settings = (
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        # Else a second server would share the port in silence, and take half of the requests.
        ("grpc.so_reuseport", 0),
        # What waits to be taken by this process. From 1,000 on gRPC drops some at random, and says CANCELLED.
        ("grpc.server.max_pending_requests", _PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING),
    )
    server = grpc.aio.server(options=settings, maximum_concurrent_rpcs=options.max_concurrent)
    pool = ThreadPoolExecutor(options.threads, thread_name_prefix="grpc")
    for service in (_PREDICTION, _MODEL):
        handlers = {
            method.name: grpc.unary_unary_rpc_method_handler(_handler(models, method, pool, observe))
            for method in METHODS
            if method.service == service
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_generic_rpc_handlers(((health or Health()).handler(),))
    return server, _bind(server, options)


def _bind(server: grpc.aio.Server, options: GrpcOptions) -> int:
    try:
        if options.credentials is None:
            port = server.add_insecure_port(options.address)
        else:
            port = server.add_secure_port(options.address, options.credentials)
    except RuntimeError:
        port = 0
    if not port:
        raise KerasftError(f"gRPC cannot listen on {options.address}: it is in use or no address here. Pass another.")
    return port


def _handler(models, method: Method, pool: ThreadPoolExecutor, observe: Observe | None) -> Callable:
    """Makes a method's coroutine: bytes to bytes, so that messages are read and written in the threads too."""

    async def handle(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        left = context.time_remaining()
        deadline = None if left is None else time.monotonic() + left
        # A client that hangs up, or its deadline, cancels this coroutine, and with it what no thread has begun.
        answering = asyncio.get_running_loop().run_in_executor(
            pool, functools.partial(_answer, models, method, data, deadline, observe)
        )
        try:
            return await answering
        except ServingError as error:
            await context.abort(_CODES.get(error.code, grpc.StatusCode.UNKNOWN), truncated(error.message))

    return handle


def _answer(models, method: Method, data: bytes, deadline: float | None, observe: Observe | None) -> bytes:
    began, code, name = time.perf_counter(), OK, ""
    try:
        try:
            request = method.request.FromString(data)
        except DecodeError:
            # gRPC itself would answer INTERNAL, as if the fault were here.
            words = f"The request is not a {method.request.DESCRIPTOR.name} message."
            raise ServingError(INVALID_ARGUMENT, words) from None
        name = _model_name(request)
        if deadline is None:
            return method.answer(models, request).SerializeToString()
        if time.monotonic() >= deadline:
            raise ServingError(DEADLINE_EXCEEDED, "Deadline Exceeded")
        if not method.runs:
            return method.answer(models, request).SerializeToString()
        run = functools.partial(models.run, deadline=deadline)
        return method.answer(models, request, run).SerializeToString()
    except ServingError as error:
        code = error.code
        raise
    except Exception as error:
        code = INTERNAL
        log.exception("%s of model %r failed", method.name, name)
        raise ServingError(INTERNAL, f"{method.name} failed: {type(error).__name__}") from error
    finally:
        if observe is not None:
            observe(method.name, name, code, time.perf_counter() - began)


def _model_name(request) -> str:
    if "model_spec" in request.DESCRIPTOR.fields_by_name:
        return request.model_spec.name
    tasks = getattr(request, "tasks", None)
    return tasks[0].model_spec.name if tasks else ""
