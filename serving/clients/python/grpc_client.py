"""Asks a served `sentiment` model over gRPC, synchronously or with asyncio. One file, to copy into a service.

    pip install grpcio protobuf
    python grpc_client.py "A joyless film." "Warm, sly and very funny."
    python grpc_client.py --asyncio --target dns:///sentiment-pods:8500 --ca ca.pem "A joyless film."

It needs neither TensorFlow nor generated code: the few messages of TensorFlow Serving that a prediction takes are
described below. (With `tensorflow-serving-api` installed, its PredictionServiceStub does the same.)

One channel for the life of the process. gRPC itself asks again when a server is full or going (UNAVAILABLE), later
and later, and waits for one that is starting; the deadline holds for all tries together.
"""

import argparse
import asyncio
import json
import os
import struct
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STRING, FLOAT = 7, 1  # DT_STRING, DT_FLOAT
METHOD = "/tensorflow.serving.PredictionService/Predict"

# `name number type`, `*` repeated, `{}` a map from strings. From tensor.proto, model.proto and predict.proto.
MESSAGES = """
Dim: size 1 int64
Shape: dim 2 Dim *
Tensor: dtype 1 int32, tensor_shape 2 Shape, tensor_content 4 bytes, float_val 5 float *, string_val 8 bytes *
Version: value 1 int64
ModelSpec: name 1 string, version 2 Version, signature_name 3 string, version_label 4 string
Request: model_spec 1 ModelSpec, inputs 2 Tensor {}, output_filter 3 string *
Response: outputs 1 Tensor {}, model_spec 2 ModelSpec
"""


def messages() -> dict[str, type]:
    """Makes the classes of `MESSAGES`, in a pool of their own, beside any generated ones."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="serving", syntax="proto3")
    for line in MESSAGES.strip().splitlines():
        title, fields = line.split(": ")
        message = file.message_type.add(name=title)
        for name, number, kind, *mark in (text.split() for text in fields.split(", ")):
            added = message.field.add(name=name, number=int(number), label=3 if mark else 1)
            if mark == ["{}"]:
                pair = message.nested_type.add(name=f"{name.title()}Entry")
                pair.options.map_entry = True
                pair.field.add(name="key", number=1, label=1, type=field.TYPE_STRING)
                pair.field.add(name="value", number=2, label=1, type=field.TYPE_MESSAGE, type_name=f".serving.{kind}")
                kind = f"{title}.{pair.name}"
            if kind[0].isupper():
                added.type, added.type_name = field.TYPE_MESSAGE, f".serving.{kind}"
            else:
                added.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"serving.{name}"))
            for name in ("Request", "Response")}  # fmt: skip


CLASSES = messages()


def request(model: str, texts: list[str]):
    """Writes the request: one string[B] input, `text`."""
    written = CLASSES["Request"]()
    written.model_spec.name = model
    tensor = written.inputs["text"]
    tensor.dtype = STRING
    tensor.tensor_shape.dim.add(size=len(texts))
    tensor.string_val.extend(text.encode() for text in texts)
    return written


def floats(tensor) -> list[float]:
    """Reads a float tensor, whichever of the two ways the server wrote it; one value may stand for all."""
    size = 1
    for dim in tensor.tensor_shape.dim:
        size *= dim.size
    content = tensor.tensor_content
    values = list(struct.unpack(f"<{len(content) // 4}f", content)) if content else list(tensor.float_val)
    return values + [values[-1] if values else 0.0] * (size - len(values))


def answers(response) -> list[dict]:
    """Reads label, score and probabilities of each text."""
    labels = [label.decode() for label in response.outputs["label"].string_val]
    scores, flat = floats(response.outputs["score"]), floats(response.outputs["probabilities"])
    width = response.outputs["probabilities"].tensor_shape.dim[1].size
    return [
        {"label": label, "score": scores[row], "probabilities": flat[row * width : (row + 1) * width]}
        for row, label in enumerate(labels)
    ]


def options(retries: int) -> list[tuple]:
    """Channel options: retries with back-off, requests spread over all addresses of the name, idle connections kept."""
    again = {
        "maxAttempts": min(retries + 1, 5),  # gRPC allows no more
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    method = {"name": [{"service": "tensorflow.serving.PredictionService"}]}
    if retries:
        method["retryPolicy"] = again
    config = {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [method]}
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.max_receive_message_length", 64 << 20),
    ]


def channel(module, target: str, ca: str | None, retries: int):
    """Opens a channel of `grpc` or `grpc.aio`; encrypted if there is a file with the server's authority."""
    if ca is None:
        return module.insecure_channel(target, options(retries))
    with open(ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return module.secure_channel(target, credentials, options(retries))


class Sentiment:
    """A client for one model, to be used from any thread.

    Args:
        target: host and port.
        model: its name.
        deadline: seconds for one call, all tries included; the server gives up at the same moment.
        retries: at most so many, after the first try; 4 at the most.
        ca: a PEM file; None for a connection that is not encrypted.
    """

    def __init__(self, target: str, model="sentiment", deadline=5.0, retries=4, ca=None, module=grpc):
        self.model, self.deadline = model, deadline
        self.channel = channel(module, target, ca, retries)
        self.call = self.channel.unary_unary(
            METHOD, CLASSES["Request"].SerializeToString, CLASSES["Response"].FromString
        )

    def predict(self, texts: list[str]) -> list[dict]:
        """Asks for all texts in one request.

        Returns:
            A dict with label, score and probabilities for each text, in order.

        Raises:
            grpc.RpcError: with the server's code and words, or DEADLINE_EXCEEDED.
        """
        return answers(self.call(request(self.model, texts), timeout=self.deadline, wait_for_ready=True))


class AsyncSentiment(Sentiment):
    """The same for asyncio: any number of calls at once in one loop."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings, module=grpc.aio)

    async def predict(self, texts: list[str]) -> list[dict]:
        """As `Sentiment.predict`."""
        return answers(await self.call(request(self.model, texts), timeout=self.deadline, wait_for_ready=True))


async def ask_asynchronously(texts: list[str], **settings) -> list[dict]:
    """Asks for each text in a request of its own, all at once."""
    client = AsyncSentiment(**settings)
    try:
        found = await asyncio.gather(*(client.predict([text]) for text in texts))
    finally:
        await client.channel.close()
    return [answer for (answer,) in found]


def ask(texts: list[str], **settings) -> list[dict]:
    """Asks for all texts in one request."""
    client = Sentiment(**settings)
    try:
        return client.predict(texts)
    finally:
        client.channel.close()


def main() -> int:
    """Prints one line of JSON for each text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--target", default=os.environ.get("SERVING_TARGET", "127.0.0.1:8500"))
    parser.add_argument("--model", default=os.environ.get("SERVING_MODEL", "sentiment"))
    parser.add_argument(
        "--deadline", type=float, default=float(os.environ.get("SERVING_DEADLINE", "5")), help="seconds"
    )
    parser.add_argument("--retries", type=int, default=4)
    parser.add_argument("--ca", help="PEM file of the authority that signed the server's certificate; plain without")
    parser.add_argument("--asyncio", action="store_true", help="a request for each text, all at once")
    given = vars(parser.parse_args())
    texts, at_once = given.pop("texts"), given.pop("asyncio")
    try:
        found = asyncio.run(ask_asynchronously(texts, **given)) if at_once else ask(texts, **given)
    except grpc.RpcError as error:
        print(f"Error: {error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    for text, answer in zip(texts, found, strict=True):
        # A float32 has no more than 9 digits to show.
        shown = {**answer, "score": float(f"{answer['score']:.9g}")}
        shown["probabilities"] = [float(f"{value:.9g}") for value in answer["probabilities"]]
        print(json.dumps({"text": text, **shown}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
