"""Malformed paths and bodies over the ASGI application: never a 500, a hang or an exception, and always JSON.

KERASFT_FUZZ_CASES is how many each test draws, 300 by default.
"""

import asyncio
import gzip
import json
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasft.serving.rest_app import RestOptions, rest_app
from tests.serving.asgi import asked
from tests.serving.rest_models import served

CASES = int(os.environ.get("KERASFT_FUZZ_CASES", "300"))
ANYTIME = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
# What TensorFlow Serving answers a client's mistake with; 501: a type that JSON cannot fill.
FAULTS = {200, 400, 404, 501}


@pytest.fixture(scope="module")
def ask_once(half_plus_two, half_plus_two_tf2, half_plus_three, counter):
    loop = asyncio.new_event_loop()
    with served(half_plus_two, half_plus_two_tf2, half_plus_three, counter) as models:
        app = rest_app(models, RestOptions(num_threads=1, timeout_seconds=20))

        def ask(*request):
            started = time.perf_counter()
            answer = loop.run_until_complete(asked(app, *request))
            assert time.perf_counter() - started < 20
            return answer

        yield ask
        app.close()
    loop.close()


NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 1e39, 5e-324])
STRINGS = st.text(max_size=5) | st.sampled_from(["x", "b64", "aGVsbG8=", "%%%", "serving_default", "classify_x_to_y"])
LEAVES = st.none() | st.booleans() | NUMBERS | STRINGS | st.just({"b64": "aGVsbG8="})
KEYS = st.sampled_from(["x", "x2", "inputs", "delta", "b64", "y"]) | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=10
)
SIGNATURES = st.sampled_from(
    ["serving_default", "regress_x_to_y", "classify_x_to_y", "classify_x2_to_y3", "tensorflow/serving/regress"]
) | st.sampled_from(["get_counter", "incr_counter_by", "__saved_model_init_op", "nope"])
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": SIGNATURES | VALUES,
        "instances": st.lists(VALUES, max_size=4) | VALUES,
        "inputs": VALUES,
        "examples": st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=3) | VALUES,
        "context": st.dictionaries(KEYS, VALUES, max_size=2) | VALUES,
    },
)


# Near to what the models take, so that many cases reach them and some pass.
LISTS = st.recursive(st.floats(width=32) | NUMBERS, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
REGULAR = st.builds(
    lambda value, *sizes: [[value] * sizes[0]] * sizes[1], NUMBERS, st.integers(0, 3), st.integers(0, 3)
)
FEATURES = st.floats(width=32) | st.lists(st.floats(width=32), max_size=2) | NUMBERS | STRINGS
EXAMPLES = st.lists(st.fixed_dictionaries({"x": FEATURES}, optional={"x2": FEATURES, "y": FEATURES}), max_size=3)
ANY_LISTS = LISTS | REGULAR


def posted(model: str, document: dict) -> tuple[str, bytes]:
    return model, json.dumps(document).encode()


LIKELY = (
    st.builds(
        lambda key, value: posted("HP2:predict", {key: value}), st.sampled_from(["instances", "inputs"]), ANY_LISTS
    )
    | st.builds(lambda value: posted("HP2TF2:predict", {"inputs": {"x": value}}), ANY_LISTS)
    | st.builds(lambda x: posted("CNT:predict", {"signature_name": "incr_counter_by", "inputs": x}), ANY_LISTS)
    | st.builds(lambda rows: posted("HP2:regress", {"signature_name": "regress_x_to_y2", "examples": rows}), EXAMPLES)
    | st.builds(lambda rows: posted("HP2:classify", {"signature_name": "classify_x_to_y", "examples": rows}), EXAMPLES)
    | st.builds(lambda name, x: posted("HP2:predict", {"signature_name": name, "inputs": x}), SIGNATURES, VALUES)
)


def spoiled(text: bytes, at: int, byte: bytes, cut: int) -> bytes:
    at %= len(text) + 1
    return text[:at] + byte + text[at + cut :]


WRITTEN = DOCUMENTS.map(lambda document: json.dumps(document).encode())
RAW = st.binary(max_size=40) | st.text(alphabet='{}[]":,0123456789.eE+-NInftrue\\u ', max_size=40).map(str.encode)
BODIES = WRITTEN | RAW | st.builds(spoiled, WRITTEN, st.integers(0, 500), st.binary(max_size=3), st.integers(0, 5))
DEEP = st.builds(
    lambda key, opening, depth, closing: f'{{"{key}":{opening * depth}{closing * depth}}}'.encode(),
    st.sampled_from(["instances", "inputs", "examples", "context", "signature_name", "other"]),
    st.sampled_from(["[", '{"x":', '[{"b64":', "[[],"]),
    st.integers(1, 3000),
    st.sampled_from(["]", "}", "}]", ""]),
)
MODELS = st.sampled_from(["HP2", "HP2/versions/123", "HP2/labels/L", "HP2TF2", "HP3", "CNT", "none"])
VERBS = st.sampled_from(["predict", "classify", "regress"])
CALLS = st.tuples(st.builds(lambda model, verb: f"{model}:{verb}", MODELS, VERBS), BODIES | DEEP)


@ANYTIME
@given(CALLS | LIKELY, st.booleans())
def test_any_body(ask_once, call, zipped):
    path, body = call
    headers = [("Content-Encoding", "gzip")] if zipped else []
    if zipped and len(body) % 4:
        body = gzip.compress(body)
    answer = ask_once("POST", f"/v1/models/{path}", body, headers)
    assert answer.status in FAULTS, answer
    if answer.status == 200:
        assert next(iter(json.loads(answer.body))) in ("predictions", "outputs", "results")
    else:
        assert list(json.loads(answer.body.decode("utf-8", "replace"))) == ["error"]


METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
PIECES = st.sampled_from([b"/", b":", b"?", b"#", b"%", b"%00", b"%2F", b"%ff", b"\xff", b"..", b" ", b"\n"]) | (
    st.sampled_from(
        [b"v1", b"models", b"HP2", b"versions", b"labels", b"124", b"9" * 25, b"L", b"metadata", b"predict"]
    )
)
PATHS = st.lists(PIECES, max_size=9).map(b"".join)


@ANYTIME
@given(METHODS, st.sampled_from([b"", b"/v1/", b"/v1/models/", b"/v1/models/HP2"]), PATHS, st.binary(max_size=10))
def test_any_path(ask_once, method, start, path, body):
    answer = ask_once(method, start + path, body)
    assert answer.status in FAULTS, answer
    if answer.headers.get("content-type") == "application/json":
        json.loads(answer.body.decode("utf-8", "replace"))
