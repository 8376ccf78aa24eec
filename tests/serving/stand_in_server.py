"""A model server that answers REST and gRPC requests to `sentiment` by the rule of a test, and counts them."""

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LABELS = ("negative", "positive")


def answer(text: str) -> dict:
    """What the model gives: positive if there is joy in it; figures that are exact as float32."""
    probabilities = [0.0625, 0.9375] if "joy" in text else [0.75, 0.25]
    best = max(range(2), key=probabilities.__getitem__)
    return {"label": LABELS[best], "score": probabilities[best], "probabilities": probabilities}


@dataclass
class StandIn:
    """The rule and the counts.

    Attributes:
        refuse: so many requests are answered with 503, or UNAVAILABLE, first.
        slow: whether answers come only when the test is over.
        wrong: answer with 400, or INVALID_ARGUMENT.
        texts: those of each request.
        tls: key and certificate of the gRPC server, or None.
        connections: the clients' addresses over REST.
        url, target: where it listens.
    """

    refuse: int = 0
    slow: bool = False
    wrong: bool = False
    tls: tuple[bytes, bytes] | None = None
    texts: list[list[str]] = field(default_factory=list)
    connections: set = field(default_factory=set)
    url: str = ""
    target: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def judge(self, texts: list[str]) -> str:
        """Counts a request and says how it ends: `answered`, `refused` or `wrong`."""
        self.texts.append(texts)
        if self.slow:
            self.over.wait(20)
        if len(self.texts) <= self.refuse:
            return "refused"
        return "wrong" if self.wrong else "answered"


def rest_server(stand_in: StandIn) -> ThreadingHTTPServer:
    """Answers POST /v1/models/sentiment:predict."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            stand_in.connections.add(self.client_address)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/models/sentiment:predict":
                return self.reply(404, {"error": f"Servable not found for request: {self.path}"})
            verdict = stand_in.judge(body["instances"])
            if verdict == "refused":
                return self.reply(503, {"error": "The batch scheduling queue is full"})
            if verdict == "wrong":
                return self.reply(400, {"error": 'Not of expected type: "string"'})
            return self.reply(200, {"predictions": [answer(text) for text in body["instances"]]})

        def reply(self, code: int, found: dict):
            body = json.dumps(found, indent=4).encode()
            with contextlib.suppress(OSError):
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def grpc_server(stand_in: StandIn):
    """Answers /tensorflow.serving.PredictionService/Predict, with TensorFlow Serving's own messages."""
    import grpc

    from kerasft.serving.protos import predict_pb2, types_pb2

    def predict(request, context):
        assert request.inputs["text"].dtype == types_pb2.DT_STRING
        texts = [text.decode() for text in request.inputs["text"].string_val]
        assert [dim.size for dim in request.inputs["text"].tensor_shape.dim] == [len(texts)]
        verdict = stand_in.judge(texts)
        if verdict == "refused":
            context.abort(grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue is full")
        if verdict == "wrong":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, 'Not of expected type: "string"')
        found = [answer(text) for text in texts]
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(request.model_spec)
        response.model_spec.version.value = 1
        for key, dtype in (("label", types_pb2.DT_STRING), ("score", types_pb2.DT_FLOAT)):
            response.outputs[key].dtype = dtype
            response.outputs[key].tensor_shape.dim.add(size=len(texts))
        response.outputs["label"].string_val.extend(each["label"].encode() for each in found)
        response.outputs["score"].float_val.extend(each["score"] for each in found)
        matrix = response.outputs["probabilities"]
        matrix.dtype = types_pb2.DT_FLOAT
        matrix.tensor_shape.dim.add(size=len(texts))
        matrix.tensor_shape.dim.add(size=2)
        matrix.float_val.extend(value for each in found for value in each["probabilities"])
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        predict, predict_pb2.PredictRequest.FromString, predict_pb2.PredictResponse.SerializeToString
    )
    server = grpc.server(ThreadPoolExecutor(8))
    service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": handler})
    server.add_generic_rpc_handlers((service,))
    return server


def open_port(server, tls: tuple[bytes, bytes] | None) -> int:
    """Opens a port of loopback, encrypted if there is a key and a certificate."""
    import grpc

    if tls is None:
        return server.add_insecure_port("127.0.0.1:0")
    return server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([tls]))


@contextlib.contextmanager
def listening(**rule) -> Iterator[StandIn]:
    """Listens on two free ports of loopback."""
    stand_in = StandIn(**rule)
    rest, grpc = rest_server(stand_in), grpc_server(stand_in)
    stand_in.url = f"http://127.0.0.1:{rest.server_port}"
    stand_in.target = f"127.0.0.1:{open_port(grpc, stand_in.tls)}"
    grpc.start()
    threading.Thread(target=rest.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield stand_in
    finally:
        stand_in.over.set()
        grpc.stop(0)
        rest.shutdown()
        rest.server_close()
