"""The REST API from request to reply: the cases of sections A, B, E and F that need a model, by number."""

import asyncio
import gzip
import json
import threading

import pytest

from kerasft.serving.rest_app import RestOptions, rest_app
from tests.serving.asgi import ask, asked
from tests.serving.rest_models import served


@pytest.fixture(scope="module")
def models(half_plus_two, half_plus_two_tf2, half_plus_three, counter):
    with served(half_plus_two, half_plus_two_tf2, half_plus_three, counter) as found:
        yield found


@pytest.fixture(scope="module")
def app(models):
    made = rest_app(models, RestOptions(num_threads=2))
    yield made
    made.close()


def post(app, path: str, body) -> tuple[int, dict]:
    """Posts a body, JSON or bytes, and reads the reply."""
    answer = ask(app, "POST", f"/v1/models/{path}", body if isinstance(body, bytes) else json.dumps(body).encode())
    assert answer.headers["content-type"] == "application/json"
    return answer.status, json.loads(answer.body)


def column(*values):
    return [[value] for value in values]


@pytest.mark.parametrize("path", [pytest.param("/statuspage", id="A1"), pytest.param("/index", id="A1-index")])
def test_path_outside_the_api(app, path):
    answer = ask(app, "GET", path)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html")
    assert b"<h1>Not Found</h1>" in answer.body


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        pytest.param("GET", "/v1/foo", "Malformed request: GET /v1/foo", id="A2"),
        pytest.param("GET", "/v1/models", "Missing model name in request.", id="A4"),
        pytest.param(
            "POST",
            "/v1/models/foo/versions/18446744073709551615:regress",
            "Failed to convert version: 18446744073709551615 to numeric.",
            id="A10",
        ),
        pytest.param("PUT", "/v1/models/m", "Malformed request: PUT /v1/models/m", id="A16"),
    ],
)
def test_wrong_request_line(app, method, path, words):
    answer = ask(app, method, path)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.body == f'{{\n    "error": "{words}"\n}}'.encode()


@pytest.mark.parametrize("cors", [False, True])
def test_a18_preflight(models, cors):
    """And the headers of every reply with --rest_api_enable_cors_support."""
    app = rest_app(models, RestOptions(num_threads=1, enable_cors=cors))
    allowed = ask(app, "OPTIONS", "/v1/models/HP2:predict", headers=[("Origin", "http://x")])
    assert (allowed.status, allowed.body) == (200, b"")
    refused = ask(app, "OPTIONS", "/v1/models/HP2:predict")
    assert (refused.status, refused.body) == (400, b"")
    reply = ask(app, "GET", "/v1/models/HP2")
    for answer in (allowed, reply):
        assert (answer.headers.get("access-control-allow-origin") == "*") is cors
    app.close()


@pytest.mark.parametrize(
    ("path", "body", "reply"),
    [
        pytest.param("HP2:predict", {"instances": [[1, 2.0], [3, 4]]}, {"predictions": [[2.5, 3], [3.5, 4]]}, id="B1"),
        pytest.param("HP2/versions/123:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}, id="B2"),
        pytest.param("HP2/labels/L:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}, id="B3"),
        pytest.param(
            "HP2:predict",
            {"signature_name": "serving_default", "instances": [3.0, 4.0]},
            {"predictions": [3.5, 4.0]},
            id="B4",
        ),
        pytest.param(
            "HP2:predict", {"signature_name": "serving_default", "inputs": [3.0, 4.0]}, {"outputs": [3.5, 4.0]}, id="B5"
        ),
        pytest.param("HP2:predict", {"instances": [2.0, 3.0, 4.0]}, {"predictions": [3.0, 3.5, 4.0]}, id="B6"),
        pytest.param("HP2:predict", {"inputs": [2.0, 3.0, 4.0]}, {"outputs": [3.0, 3.5, 4.0]}, id="B7"),
        pytest.param("HP3:predict", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [3.5, 4.0, 5.5]}, id="B8"),
        pytest.param(
            "HP2:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}, {"results": [42]}, id="E1"
        ),
        pytest.param(
            "HP2:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]},
            {"results": [[["", 12.0]]]},
            id="E2",
        ),
        pytest.param(
            "HP2/versions/123:regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]},
            {"results": [42]},
            id="E3-version",
        ),
        pytest.param(
            "HP2/labels/L:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 10.0}]},
            {"results": [[["", 7.0]]]},
            id="E3-label",
        ),
        pytest.param(
            "HP2:regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]}, {"results": [3]}, id="E4"
        ),
        pytest.param(
            "HP2:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]},
            {"results": [[["", 3.0]]]},
            id="E4-classify",
        ),
        pytest.param("HP2TF2:predict", {"inputs": {"x": [2.0]}}, {"outputs": [3.0]}, id="B-tf2"),
    ],
)
def test_right_answer(app, path, body, reply):
    assert post(app, path, body) == (200, reply)


def test_text_of_the_replies(app):
    """Byte for byte what TensorFlow Serving's writer leaves, its odd last line too."""
    for path, body, text in (
        ("HP2:predict", {"instances": [1.0, 2.0]}, '{\n    "predictions": [2.5, 3.0\n    ]\n}'),
        ("HP2:predict", {"inputs": [1.0]}, '{\n    "outputs": [\n        2.5\n    ]\n}'),
        (
            "HP2:regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]},
            '{\n    "results": [42.0]\n}',
        ),
        (
            "HP2:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]},
            '{\n    "results": [[["", 12.0]]\n    ]\n}',
        ),
    ):
        assert ask(app, "POST", f"/v1/models/{path}", json.dumps(body).encode()).body.decode() == text


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        pytest.param("foo:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(foo)", id="B9"),
        pytest.param(
            "foo/versions/50:predict",
            {"instances": [1]},
            404,
            "Servable not found for request: Specific(foo, 50)",
            id="B10",
        ),
        pytest.param("HP2:predict", b"", 400, "JSON Parse error: The document is empty", id="B11"),
        pytest.param(
            "HP2:predict", b"instances = [1, 2]", 400, "JSON Parse error: Invalid value. at offset: 0", id="B12"
        ),
        pytest.param("HP2:predict", {"instances": ["x", "y"]}, 400, "not of expected type: float", id="B13"),
        pytest.param(
            "HP2:predict", {"signature_name": 100}, 400, "'signature_name' key must be a string value.", id="B15"
        ),
        pytest.param(
            "HP2:predict",
            {"signature_name": "nope", "instances": [1.0]},
            400,
            'Serving signature name: "nope" not found in signature def',
            id="B16",
        ),
        pytest.param("HP2:predict", {}, 400, "Missing 'inputs' or 'instances' key", id="B17"),
        pytest.param("HP2:predict", {"foo": 1}, 400, "Missing 'inputs' or 'instances' key", id="B17-other"),
        pytest.param("HP2:predict", {"instances": 5}, 400, "Expecting 'instances' to be an list/array", id="B18"),
        pytest.param("HP2:predict", {"instances": []}, 400, "No values in 'instances' array", id="B19"),
        pytest.param("HP2:predict", [1, 2], 400, "Is not object", id="B20"),
        pytest.param(
            "HP2:classify",
            {"signature_name": "classify_x_to_y"},
            400,
            "When method is classify, key 'examples' is expected and was not found",
            id="E14",
        ),
        pytest.param("HP2:regress", {"examples": []}, 400, "'examples' value is an empty array", id="E15"),
        pytest.param(
            "HP2:regress",
            {"signature_name": "regress_x_to_y", "examples": [{"y": 80.0}]},
            400,
            "Feature: x (data type: float) is required but could not be found.",
            id="E18",
        ),
        pytest.param(
            "HP2:regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 80}]},
            400,
            "Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: float",
            id="E19",
        ),
        pytest.param("a%21%23%5D:predict", {"instances": [1]}, 404, "Latest(a!#])", id="A14"),
    ],
)
def test_wrong_request(app, path, body, status, words):
    found, reply = post(app, path, body)
    assert (found, list(reply)) == (status, ["error"])
    assert words in reply["error"]


def test_b27_gzip(models, app):
    """A body that came compressed is decoded, the reply is not compressed; a bomb is refused."""
    path, body, coding = "/v1/models/HP2:predict", b'{"instances": [1.0]}', [("Content-Encoding", "gzip")]
    answer = ask(app, "POST", path, gzip.compress(body), coding)
    assert (answer.status, json.loads(answer.body)) == (200, {"predictions": [2.5]})
    assert "content-encoding" not in answer.headers
    for broken in (b"not gzip", gzip.compress(body)[:-12]):
        answer = ask(app, "POST", path, broken, coding)
        assert (answer.status, b"The document is empty" in answer.body) == (400, True)
    small = rest_app(models, RestOptions(num_threads=1, max_body_bytes=1000))
    assert ask(small, "POST", path, gzip.compress(body + b" " * 10**6), coding).status == 413
    small.close()


@pytest.mark.parametrize("headers", [[], [("Content-Length", "1001")]])
def test_body_above_the_limit(models, headers):
    app = rest_app(models, RestOptions(num_threads=1, max_body_bytes=1000))
    answer = ask(app, "POST", "/v1/models/HP2:predict", b"x" * 1001, headers)
    assert (answer.status, json.loads(answer.body)) == (
        413,
        {"error": "Request body larger than the limit of 1000 bytes"},
    )
    app.close()


@pytest.mark.parametrize("path", ["HP2", "HP2/versions/123", "HP2/labels/L"])
def test_f1_status(app, path):
    """Without a version the state of each is told."""
    answer = ask(app, "GET", f"/v1/models/{path}")
    entry = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    wanted = [{**entry, "version": "124"}, entry] if path == "HP2" else [entry]
    assert (answer.status, json.loads(answer.body)) == (200, {"model_version_status": wanted})
    assert answer.body.endswith(b"}\n")


def test_f2_status_of_no_model(app):
    answer = ask(app, "GET", "/v1/models/foo")
    assert answer.status == 404
    assert "Could not find any versions of model foo" in json.loads(answer.body)["error"]


def shown(name: str, dtype: str, sizes: tuple[int, ...] | None) -> dict:
    dims = [{"size": str(size), "name": ""} for size in sizes or ()]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": sizes is None}, "name": f"{name}:0"}


def test_f5_metadata(app):
    """The file that TensorFlow Serving's own test compares with."""
    answer = ask(app, "GET", "/v1/models/HP2/versions/123/metadata")
    examples = {"inputs": shown("tf_example", "DT_STRING", None)}
    x, x2, y, y2, y3 = (shown(name, "DT_FLOAT", (-1, 1)) for name in ("x", "x2", "y", "y2", "y3"))
    signatures = {}
    for name, method, inputs, outputs in (
        ("serving_default", "predict", {"x": x}, {"y": y}),
        ("regress_x_to_y", "regress", examples, {"outputs": y}),
        ("regress_x_to_y2", "regress", examples, {"outputs": y2}),
        ("regress_x2_to_y3", "regress", {"inputs": x2}, {"outputs": y3}),
        ("classify_x_to_y", "classify", examples, {"scores": y}),
        ("classify_x2_to_y3", "classify", {"inputs": x2}, {"scores": y3}),
    ):
        method = f"tensorflow/serving/{method}"
        signatures[name] = {"inputs": inputs, "outputs": outputs, "method_name": method, "defaults": {}}
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "model_spec": {"name": "HP2", "signature_name": "", "version": "123"},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def test_f5_metadata_of_tensorflow_2(app):
    """HP2TF2, whose input has a default."""
    answer = ask(app, "GET", "/v1/models/HP2TF2/metadata")
    signatures = json.loads(answer.body)["metadata"]["signature_def"]["signature_def"]
    default = signatures["serving_default"]
    assert default["inputs"] == {"x": shown("serving_default_x", "DT_FLOAT", (1,))}
    assert default["outputs"] == {"y": shown("StatefulPartitionedCall_5", "DT_FLOAT", (1,))}
    assert default["defaults"]["x"]["float_val"] == [0.0]
    assert signatures["__saved_model_init_op"]["outputs"]["__saved_model_init_op"] == {
        "dtype": "DT_INVALID",
        "tensor_shape": {"dim": [], "unknown_rank": True},
        "name": "NoOp",
    }


def test_f6_f7_metrics(models, app):
    path = "/monitoring/prometheus/metrics"
    measured = rest_app(models, RestOptions(num_threads=1, metrics_text=lambda: "# TYPE a counter\na 1\n"))
    answer = ask(measured, "GET", path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
    assert b"# TYPE" in answer.body
    answer = ask(measured, "GET", f"{path}?x")
    assert (answer.status, answer.body) == (400, f"Unexpected path: {path}?x. Should be {path}".encode())
    measured.close()
    answer = ask(app, "GET", path)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html")


def test_page_takes_what_is_not_the_api(models):
    async def page(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"page"})

    app = rest_app(models, RestOptions(num_threads=1, page=page))
    assert ask(app, "GET", "/").body == b"page"
    assert ask(app, "GET", "/v1/models/HP2").status == 200
    app.close()


def test_too_many_pending_and_too_slow(models, monkeypatch):
    from kerasft.serving import rest_app as module

    go_on = threading.Event()
    told = []
    slow = rest_app(
        models,
        RestOptions(num_threads=1, max_pending=1, timeout_seconds=0.2, observe=lambda *seen: told.append(seen)),
    )
    real = module.answer
    monkeypatch.setattr(module, "answer", lambda *request: (go_on.wait(30), real(*request))[1])

    async def both():
        first = asyncio.create_task(asked(slow, "GET", "/v1/models/HP2"))
        await asyncio.sleep(0.05)
        return await asked(slow, "GET", "/v1/models/HP2"), await first

    second, first = asyncio.run(both())
    go_on.set()
    assert (second.status, "limit" in json.loads(second.body)["error"]) == (503, True)
    assert (first.status, json.loads(first.body)) == (504, {"error": "Timed out waiting for notification"})
    assert [reply.status for reply, _ in told] == [503, 504]
    assert told[1][1] >= 0.2
    slow.close()


def test_requests_at_the_same_time(app):
    async def all_at_once():
        bodies = [json.dumps({"instances": [float(x)] * (x % 5 + 1)}).encode() for x in range(64)]
        return await asyncio.gather(*(asked(app, "POST", "/v1/models/HP2:predict", body) for body in bodies))

    for x, answer in enumerate(asyncio.run(all_at_once())):
        assert json.loads(answer.body) == {"predictions": [x / 2 + 2] * (x % 5 + 1)}


def test_a_mistake_of_ours_is_one_failed_request(app, monkeypatch):
    from kerasft.serving import rest_handler

    def broken(*arguments):
        raise RuntimeError("a secret of the server")

    with monkeypatch.context() as patch:
        patch.setattr(rest_handler, "predict", broken)
        answer = ask(app, "POST", "/v1/models/HP2:predict", b'{"instances": [1.0]}')
    assert (answer.status, json.loads(answer.body)) == (500, {"error": "Internal error."})
    assert post(app, "HP2:predict", {"instances": [1.0]})[0] == 200


def test_lifespan_and_websocket(models):
    app = rest_app(models, RestOptions(num_threads=1))
    sent = []

    async def live():
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        await app({"type": "websocket"}, receive, send)

    asyncio.run(live())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


def test_what_waits_for_a_thread_is_not_run_for_a_client_that_has_gone(models, monkeypatch):
    from kerasft.serving import rest_app as module

    go_on, ran = threading.Event(), []
    narrow = rest_app(models, RestOptions(num_threads=1))

    def answer(models, method, path, *rest):
        ran.append(path)
        go_on.wait(30)
        return module.Reply(200, b"{}")

    monkeypatch.setattr(module, "answer", answer)

    async def leave(seconds):
        pieces = [{"type": "http.request"}]

        async def receive():
            if pieces:
                return pieces.pop()
            await asyncio.sleep(seconds)
            return {"type": "http.disconnect"}

        async def send(message):
            raise AssertionError("answered to nobody")

        scope = {"type": "http", "method": "GET", "path": "/v1/models/gone", "headers": [], "query_string": b""}
        await narrow(scope, receive, send)

    async def all_of_them():
        first = asyncio.create_task(asked(narrow, "GET", "/v1/models/first"))
        await asyncio.sleep(0.05)
        await asyncio.gather(*(leave(0.01) for _ in range(5)))
        last = asyncio.create_task(asked(narrow, "GET", "/v1/models/last"))
        await asyncio.sleep(0.05)
        go_on.set()
        return (await first).status, (await last).status

    assert asyncio.run(all_of_them()) == (200, 200)
    assert ran == ["/v1/models/first", "/v1/models/last"]
    narrow.close()


def test_client_that_goes_is_not_answered(app):
    sent = []

    async def leave():
        scope = {"type": "http", "method": "POST", "path": "/v1/models/HP2:predict", "headers": [], "query_string": b""}

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(leave())
    assert sent == []
