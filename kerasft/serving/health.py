"""The standard health service of gRPC (grpc.health.v1), for probes and load balancers."""

import asyncio
from collections.abc import AsyncIterator

import grpc

# On the wire HealthCheckRequest is one string, and HealthCheckResponse one number: just like these two.
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
SERVICE = "grpc.health.v1.Health"
# "" is the server as a whole.
KNOWN = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", SERVICE)


class Health:
    """Whether the server answers requests. To be used in the event loop of the gRPC server."""

    def __init__(self, serving: bool = True):
        self._serving = serving
        self._changes: set[asyncio.Event] = set()

    def set(self, serving: bool) -> None:
        """Says from now on that the server answers, or that it does not (it starts, or it drains)."""
        self._serving = serving
        for change in self._changes:
            change.set()

    def status(self, service: str) -> int:
        """Gives the number of `ServingStatus`."""
        if service not in KNOWN:
            return SERVICE_UNKNOWN
        return SERVING if self._serving else NOT_SERVING

    async def check(self, data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        found = self.status(await _service(data, context))
        if found == SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return Int32Value(value=found).SerializeToString()

    async def watch(self, data: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        service, change, told = await _service(data, context), asyncio.Event(), None
        self._changes.add(change)
        try:
            while True:
                found = self.status(service)
                if found != told:
                    yield Int32Value(value=found).SerializeToString()
                    told = found
                await change.wait()
                change.clear()
        finally:
            self._changes.discard(change)

    def handler(self) -> grpc.GenericRpcHandler:
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self.check),
            "Watch": grpc.unary_stream_rpc_method_handler(self.watch),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)


async def _service(data: bytes, context: grpc.aio.ServicerContext) -> str:
    try:
        return StringValue.FromString(data).value
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The request is not a HealthCheckRequest message.")
        raise
