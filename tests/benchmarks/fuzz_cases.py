"""What the fuzz sends: near misses of every message and of HTTP itself. The strategies of the tests, and what is beyond
an ASGI application or a Python function: bytes on a connection.
"""

import gzip
from dataclasses import dataclass

from hypothesis import strategies as st

from kerasft.serving.grpc_server import METHODS
from kerasft.serving.protos import (
    classification_pb2,
    example_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)
from tests.serving.test_malformed import ALIASES, FILTERS, protos
from tests.serving.test_rest_fuzz import CALLS, LIKELY, PATHS
from tests.serving.test_rest_fuzz import METHODS as VERBS

TEXT_CALLS = st.builds(
    lambda key, value: ("text:predict", f'{{"{key}":{value}}}'.encode("utf-8", "surrogatepass")),
    st.sampled_from(["instances", "inputs"]),
    st.sampled_from(['["a"]', '["\\ud800"]', '[{"b64":"/w=="}]', '[["a"],["b"]]', '"\\u0000"', '["\ud800"]', "[null]"]),
)


@dataclass(frozen=True)
class Http:
    """Bytes for the REST port. `sound`: they are one whole HTTP request, so that there must be an answer."""

    data: bytes
    sound: bool


@dataclass(frozen=True)
class Grpc:
    """A call: the method's path, and the message's bytes."""

    path: str
    data: bytes


def _line(method: str, path: bytes) -> bytes:
    return method.encode() + b" " + path + b" HTTP/1.1\r\nHost: x\r\n"


def _posted(call: tuple[str, bytes], zipped: str, extra: bytes) -> Http:
    path, body = call
    if zipped == "gzip":
        body = gzip.compress(body)
    encoding = b"Content-Encoding: gzip\r\n" if zipped else b""
    head = _line("POST", f"/v1/models/{path}".encode()) + encoding + extra
    return Http(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body, True)


def _pathed(method: str, start: bytes, path: bytes, body: bytes) -> Http:
    head = _line(method, start + path or b"/")
    # White space ends the path, and bytes outside ASCII are no path: what HTTP's parser does then is its own affair.
    sound = method != "CONNECT" and (start + path)[:1] == b"/" and all(33 <= byte < 127 for byte in start + path)
    return Http(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body, sound)


HEADERS = st.sampled_from(
    [
        b"",
        b"Content-Type: text/plain\r\n",
        b"Accept: application/xml\r\nAccept-Encoding: gzip\r\n",
        b"Origin: http://x\r\n",
        b"X: \xff\xfe\r\n",
        b"X: " + b"y" * 5000 + b"\r\n",
        b"Cookie: a=b; c\r\nCookie: \r\n",
        b"Authorization: Basic %%%\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAAA\r\nConnection: Upgrade, HTTP2-Settings\r\n",
        b"Expect: 100-continue\r\n",
    ]
)
POSTED = st.builds(_posted, CALLS | LIKELY | TEXT_CALLS, st.sampled_from(["", "", "", "gzip", "not gzip"]), HEADERS)
STARTS = st.sampled_from([b"", b"/v1/", b"/v1/models/", b"/v1/models/HP2", b"/page/", b"/monitoring/"])
PATHED = st.builds(_pathed, VERBS, STARTS, PATHS, st.binary(max_size=10))

BODY = b'{"instances":[1.0]}'
BAD_LENGTHS = st.sampled_from(
    [b"-1", b"abc", b"", b"1e3", b"18446744073709551616", b"99999999999999999999999", b"0x10", b"5, 5", b"999999999"]
)
CHUNKS = st.lists(
    st.sampled_from(
        [b"13\r\n" + BODY + b"\r\n", b"0\r\n\r\n", b"zz\r\n", b"-1\r\n", b"ffffffffffffffff\r\n", b"2;a=b\r\n"]
    )
    | st.binary(max_size=6),
    max_size=4,
).map(b"".join)
PIECES = st.sampled_from(
    [
        b"GET ",
        b"POST ",
        b"/v1/models/HP2:predict ",
        b"HTTP/1.1\r\n",
        b"HTTP/9.9\r\n",
        b"Host: x\r\n",
        b"\r\n",
        b"\n",
        b"Content-Length: 19\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b": \r\n",
        b" folded\r\n",
        b"X\x00Y: z\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        BODY,
    ]
)
START = _line("POST", b"/v1/models/HP2:predict")
BROKEN_HTTP = (
    st.builds(lambda length: START + b"Content-Length: " + length + b"\r\n\r\n" + BODY, BAD_LENGTHS)
    | st.builds(lambda chunks: START + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, CHUNKS)
    | st.builds(lambda chunks: START + b"Content-Length: 19\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, CHUNKS)
    | st.lists(PIECES | st.binary(max_size=8), min_size=1, max_size=9).map(b"".join)
    | st.builds(lambda count: START + b"X: y\r\n" * count + b"Content-Length: 19\r\n\r\n" + BODY, st.integers(1, 3000))
    | st.builds(lambda whole, at: whole.data[: at % (len(whole.data) + 1)], POSTED, st.integers(0, 2000))
    | st.lists(POSTED.map(lambda whole: whole.data.replace(b"Connection: close", b"X: y")), max_size=4).map(b"".join)
)
REST = POSTED | PATHED | BROKEN_HTTP.map(lambda data: Http(data, False))

NAMES = st.sampled_from(["hp2", "tf2", "hp3", "counter", "text", "hp2", "", "none", "é\0", "x" * 3000])
SIGNATURES = st.sampled_from(
    [
        "",
        "",
        "serving_default",
        "classify_x_to_y",
        "regress_x_to_y",
        "regress_x2_to_y3",
        "classify_x2_to_y3",
        "incr_counter_by",
        "get_counter",
        "tensorflow/serving/regress",
        "__saved_model_init_op",
        "nope",
        "é" * 900,
    ]
)


@st.composite
def specs(draw) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=draw(NAMES), signature_name=draw(SIGNATURES))
    choice = draw(st.integers(0, 9))
    if choice == 0:
        spec.version.value = draw(st.integers(-(2**63), 2**63 - 1) | st.sampled_from([123, 124]))
    elif choice == 1:
        spec.version_label = draw(st.sampled_from(["L", "", "nope", "é\0"]))
    return spec


FLOATS = st.lists(st.floats(width=32), max_size=3)
INTS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)


@st.composite
def examples(draw) -> example_pb2.Example:
    made = example_pb2.Example()
    for key in draw(st.lists(st.sampled_from(["x", "x", "x2", "", "é"]), max_size=3)):
        feature = made.features.feature[key]
        kind = draw(st.sampled_from(["float_list", "float_list", "int64_list", "bytes_list", ""]))
        if kind:
            values = {
                "float_list": FLOATS,
                "int64_list": INTS,
                "bytes_list": st.lists(st.binary(max_size=5), max_size=2),
            }
            getattr(feature, kind).SetInParent()
            getattr(feature, kind).value.extend(draw(values[kind]))
    return made


@st.composite
def inputs(draw) -> input_pb2.Input:
    made, found = input_pb2.Input(), draw(st.lists(examples(), max_size=4))
    kind = draw(st.sampled_from(["example_list", "example_list", "example_list_with_context", ""]))
    if kind:
        getattr(made, kind).SetInParent()
        getattr(made, kind).examples.extend(found)
    if kind == "example_list_with_context":
        made.example_list_with_context.context.CopyFrom(draw(examples()))
    return made


TASKS = st.lists(
    st.builds(
        inference_pb2.InferenceTask,
        model_spec=specs(),
        method_name=st.sampled_from(["tensorflow/serving/classify", "tensorflow/serving/regress", "", "nope"]),
    ),
    max_size=3,
)
FIELDS = st.lists(st.sampled_from(["signature_def", "some_stuff", ""]), max_size=2)
REQUESTS = {
    "Predict": st.builds(
        predict_pb2.PredictRequest,
        model_spec=specs(),
        inputs=st.dictionaries(ALIASES | st.just("text"), protos(), max_size=2),
        output_filter=st.just([]) | FILTERS,
    ),
    "Classify": st.builds(classification_pb2.ClassificationRequest, model_spec=specs(), input=inputs()),
    "Regress": st.builds(regression_pb2.RegressionRequest, model_spec=specs(), input=inputs()),
    "MultiInference": st.builds(inference_pb2.MultiInferenceRequest, tasks=TASKS, input=inputs()),
    "GetModelMetadata": st.builds(
        get_model_metadata_pb2.GetModelMetadataRequest, model_spec=specs(), metadata_field=FIELDS
    ),
    "GetModelStatus": st.builds(get_model_status_pb2.GetModelStatusRequest, model_spec=specs()),
}


@st.composite
def reloads(draw) -> model_management_pb2.ReloadConfigRequest:
    """Only what must be refused: a list that is legal would take the models down."""
    made = model_management_pb2.ReloadConfigRequest()
    if draw(st.booleans()):
        made.config.custom_model_config.type_url = draw(st.text(max_size=5))
        return made
    added = made.config.model_config_list.config
    added.add(name=draw(NAMES), base_path=draw(st.sampled_from(["", "relative", "./x"])), model_platform="tensorflow")
    added.add(name=draw(NAMES), base_path=draw(st.sampled_from(["/x", ""])), model_platform=draw(st.text(max_size=5)))
    return made


def _spoiled(data: bytes, at: int, byte: bytes, cut: int) -> bytes:
    at %= len(data) + 1
    return data[:at] + byte + data[at + cut :]


def _calls(method):
    path = f"/{method.service}/{method.name}"
    if method.name not in REQUESTS:
        return reloads().map(lambda request: Grpc(path, request.SerializeToString())) | st.binary(max_size=20).map(
            lambda data: Grpc(path, b"\xff" + data)
        )
    whole = REQUESTS[method.name].map(lambda request: request.SerializeToString())
    spoiled = st.builds(_spoiled, whole, st.integers(0, 500), st.binary(max_size=4), st.integers(0, 4))
    return (whole | whole | spoiled | st.binary(max_size=60)).map(lambda data: Grpc(path, data))


# Half of them Predict, whose tensors have most to get wrong.
GRPC = (
    _calls(METHODS[0])
    | st.one_of(*(_calls(method) for method in METHODS))
    | st.builds(
        lambda path, data: Grpc(f"/{path}", data),
        st.sampled_from(
            ["nope/Predict", "tensorflow.serving.PredictionService/Nope", "a/b", "grpc.health.v1.Health/Check"]
        ),
        st.binary(max_size=9),
    )
)
