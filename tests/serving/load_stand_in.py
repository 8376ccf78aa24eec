"""A model server for loads: it answers over gRPC and REST when and how a test says, and keeps what it was sent."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc
import grpc.aio

from kerasft.serving.protos import get_model_metadata_pb2, meta_graph_pb2, predict_pb2

DT_STRING, DT_INT32, DT_FLOAT = 7, 3, 1
SERVICE = "tensorflow.serving.PredictionService"


def no(number: int) -> bool:
    return False


@dataclass
class StandIn:
    """The rule, and what came.

    Attributes:
        inputs: name -> type, of `serving_default`; a vector of the batch each.
        delay: seconds that each answer takes.
        stalls: (number of a request, from 0) -> the whole server stands still for `stall` seconds before it.
        fails: -> answered with UNAVAILABLE or 503.
        hangs: -> never answered.
        drops: -> the REST connection is closed instead of an answer.
        payloads: what was sent, in order.
        connections: over REST, so far.
        rest, target: where it listens.
    """

    inputs: dict[str, int] = field(default_factory=lambda: {"text": DT_STRING})
    delay: float = 0.0
    stall: float = 0.0
    stalls: Callable[[int], bool] = no
    fails: Callable[[int], bool] = no
    hangs: Callable[[int], bool] = no
    drops: Callable[[int], bool] = no
    payloads: list[bytes] = field(default_factory=list)
    connections: int = 0
    rest: str = ""
    target: str = ""

    async def verdict(self, payload: bytes) -> str:
        """How a request ends: `answered`, `failed` or `dropped`."""
        number = len(self.payloads)
        self.payloads.append(payload)
        if self.stalls(number):
            time.sleep(self.stall)
        if self.hangs(number):
            await asyncio.sleep(3600)
        if self.delay:
            await asyncio.sleep(self.delay)
        return "dropped" if self.drops(number) else "failed" if self.fails(number) else "answered"


def signatures(stand_in: StandIn) -> get_model_metadata_pb2.SignatureDefMap:
    asked = meta_graph_pb2.SignatureDef()
    for name, dtype in stand_in.inputs.items():
        asked.inputs[name].dtype = dtype
        asked.inputs[name].tensor_shape.dim.add(size=-1)
    return get_model_metadata_pb2.SignatureDefMap(signature_def={"serving_default": asked})


async def serve_rest(stand_in: StandIn) -> asyncio.Server:
    from google.protobuf import json_format

    found = json_format.MessageToDict(signatures(stand_in), preserving_proto_field_name=True)
    metadata = json.dumps({"model_spec": {"name": "m", "version": "7"}, "metadata": {"signature_def": found}}).encode()

    async def answer(reader, writer) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, *_ = head.decode().split()
        length = next((line.split()[1] for line in head.splitlines() if line.lower().startswith(b"content-length")), 0)
        body = await reader.readexactly(int(length))
        status, reply = 404, b'{"error": "Servable not found for request: Latest(m)"}'
        if (method, path) == ("GET", "/v1/models/m/metadata"):
            status, reply = 200, metadata
        elif (method, path) == ("POST", "/v1/models/m:predict"):
            verdict = await stand_in.verdict(body)
            if verdict == "dropped":
                return False
            good, bad = (200, b'{"predictions": [1]}'), (503, b'{"error": "The queue is full"}')
            status, reply = good if verdict == "answered" else bad
        writer.write(b"HTTP/1.1 %d Told\r\nContent-Length: %d\r\n\r\n%b" % (status, len(reply), reply))
        return True

    async def connected(reader, writer):
        stand_in.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            while await answer(reader, writer):
                pass
        writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", 0)


def serve_grpc(stand_in: StandIn) -> tuple[grpc.aio.Server, int]:
    async def predict(payload: bytes, context) -> bytes:
        verdict = await stand_in.verdict(payload)
        if verdict != "answered":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "The queue is full")
        return predict_pb2.PredictResponse().SerializeToString()

    async def describe(payload: bytes, context) -> bytes:
        asked = get_model_metadata_pb2.GetModelMetadataRequest.FromString(payload)
        if asked.model_spec.name != "m":
            words = f"Servable not found for request: Latest({asked.model_spec.name})"
            await context.abort(grpc.StatusCode.NOT_FOUND, words)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=asked.model_spec)
        response.model_spec.version.value = 7
        response.metadata["signature_def"].Pack(signatures(stand_in))
        return response.SerializeToString()

    handlers = {
        "Predict": grpc.unary_unary_rpc_method_handler(predict),
        "GetModelMetadata": grpc.unary_unary_rpc_method_handler(describe),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return server, server.add_insecure_port("127.0.0.1:0")


@contextlib.contextmanager
def listening(**rule) -> Iterator[StandIn]:
    """A stand-in in a thread of its own, on two free ports."""
    stand_in, loop = StandIn(**rule), asyncio.new_event_loop()

    async def start():
        rest = await serve_rest(stand_in)
        server, port = serve_grpc(stand_in)
        await server.start()
        stand_in.rest = f"http://127.0.0.1:{rest.sockets[0].getsockname()[1]}"
        stand_in.target = f"127.0.0.1:{port}"
        return rest, server

    async def stop(rest, server):
        rest.close()
        await server.stop(0)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        servers = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        try:
            yield stand_in
        finally:
            asyncio.run_coroutine_threadsafe(stop(*servers), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
