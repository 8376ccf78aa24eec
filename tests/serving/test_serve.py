"""`kerasft serve` as a process: what it says, answers, refuses, and how it ends."""

import json
import signal
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from kerasft.serving.protos import model_pb2, predict_pb2, prediction_service_pb2_grpc, tensor_pb2
from tests.serving.certificates import self_signed
from tests.serving.running import PATIENCE, free_ports, serving, started

MONITORING = "prometheus_config { enable: true, path: '/monitoring/prometheus/metrics' }"
LIMIT = 100_000


def request(values, model="half_plus_two") -> predict_pb2.PredictRequest:
    found = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=model))
    tensor = tensor_pb2.TensorProto(dtype=1, float_val=values)
    tensor.tensor_shape.dim.add(size=len(values))
    found.inputs["x"].CopyFrom(tensor)
    return found


def ask(channel, values, model="half_plus_two"):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    return list(stub.Predict(request(values, model), timeout=PATIENCE, wait_for_ready=True).outputs["y"].float_val)


@pytest.fixture(scope="module")
def server(half_plus_two, half_plus_three, tmp_path_factory):
    monitoring = tmp_path_factory.mktemp("files") / "monitoring.config"
    monitoring.write_text(MONITORING)
    arguments = (half_plus_two, half_plus_three, f"--monitoring_config_file={monitoring}", "--enable_batching=false")
    with serving(*arguments, "--max-request-bytes", LIMIT) as found:
        yield found


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as found:
        yield found


def test_banner(server):
    log = server.log()
    assert "Serving half_plus_two, version 124, from " in log
    assert f"gRPC  127.0.0.1:{server.port}" in log
    assert f"Page  http://127.0.0.1:{server.rest_port}/" in log
    # TensorFlow's own start-up lines are for its developers.
    assert "port.cc" not in log
    assert "InitializeLog" not in log


def test_both_sides_answer(server, channel):
    assert ask(channel, [2.0, 3.0]) == [3.0, 3.5]
    assert ask(channel, [2.0], model="half_plus_three") == [4.0]
    status, headers, body = server.rest("/v1/models/half_plus_two:predict", {"instances": [2.0, 3.0]})
    assert (status, json.loads(body)) == (200, {"predictions": [3.0, 3.5]})
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("number", [pytest.param(6, id="F6")])
def test_metrics(server, channel, number):
    ask(channel, [1.0])
    server.rest("/v1/models/half_plus_three:predict", {"instances": ["x"]})
    status, headers, body = server.rest("/monitoring/prometheus/metrics")
    text = body.decode()
    assert (status, headers["content-type"]) == (200, "text/plain")
    assert "# TYPE :tensorflow:serving:request_count counter\n" in text
    assert ':tensorflow:serving:request_count{model_name="half_plus_three",status="INVALID_ARGUMENT"} 1\n' in text
    counted = ':tensorflow:serving:request_latency_count{model_name="half_plus_two",API="Predict",entrypoint="GRPC"} '
    assert int(text.partition(counted)[2].split()[0]) >= 1


def test_page(server):
    status, headers, body = server.rest("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in headers["content-security-policy"]
    assert b"<title>kerasft serve</title>" in body
    models = json.loads(server.rest("/page/models.json")[2])
    assert models["grpc_port"] == server.port
    assert [model["name"] for model in models["models"]] == ["half_plus_three", "half_plus_two"]


def test_request_too_large(server, channel):
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, [1.0] * LIMIT)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.rest("/v1/models/half_plus_two:predict", b" " * (LIMIT + 1))[0] == 413
    assert ask(channel, [2.0]) == [3.0]


@pytest.mark.parametrize("taken", ["port", "rest_port"])
def test_port_taken(server, half_plus_two, taken):
    free = free_ports()
    ports = (server.port, free[1]) if taken == "port" else (free[0], server.rest_port)
    arguments = [
        "-m",
        "kerasft",
        "serve",
        str(half_plus_two),
        "--port",
        str(ports[0]),
        "--rest-api-port",
        str(ports[1]),
    ]
    process = started(arguments)
    said = process.communicate(timeout=PATIENCE)[1].splitlines()
    option = "--port" if taken == "port" else "--rest-api-port"
    assert process.returncode == 2
    assert said == [f"Error: {said[0].removeprefix('Error: ')}"]
    assert f"127.0.0.1:{getattr(server, taken)}" in said[0]
    assert f"Pass another {option}." in said[0]


def test_drain(half_plus_two):
    with (
        serving(half_plus_two, "--max-concurrent-requests", 1, slow=1.5) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        ThreadPoolExecutor(2) as threads,
    ):
        path, body = "/v1/models/half_plus_two:predict", {"instances": [2.0]}
        over_grpc = threads.submit(ask, channel, [2.0])
        over_rest = threads.submit(server.rest, path, body)
        time.sleep(0.5)
        # One is under way on each side, and one is the limit.
        with pytest.raises(grpc.RpcError) as refused:
            ask(channel, [4.0])
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server.rest(path, body)[0] == 503
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Stopping")
        assert over_grpc.result() == [3.0]
        assert json.loads(over_rest.result()[2]) == {"predictions": [3.0]}
        assert server.ended() == 0
        for port in (server.port, server.rest_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


def test_second_signal_ends_it_at_once(half_plus_two):
    with (
        serving(half_plus_two, "--no-page", slow=60) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        ThreadPoolExecutor(1) as threads,
    ):
        asked = threads.submit(ask, channel, [2.0])
        # F7: without a monitoring config, and without the page, there is nothing outside the API.
        for path in ("/monitoring/prometheus/metrics", "/"):
            status, _, body = server.rest(path)
            assert (status, b"<h1>Not Found</h1>" in body) == (404, True)
        time.sleep(0.5)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("Stopping")
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 1
        assert time.monotonic() - began < 20
        assert isinstance(asked.exception(PATIENCE), grpc.RpcError)


def test_tls_with_client_certificates(half_plus_two, tmp_path):
    server_key, server_certificate = self_signed("server")
    client_key, client_certificate = self_signed("client")
    text = "".join(
        f"{name}: {json.dumps(value.decode())}\n"
        for name, value in (
            ("server_key", server_key),
            ("server_cert", server_certificate),
            ("custom_ca", client_certificate),
        )
    )
    (tmp_path / "ssl.config").write_text(text + "client_verify: true\n")
    (tmp_path / "client.pem").write_bytes(client_key + client_certificate)
    with serving(half_plus_two, f"--ssl_config_file={tmp_path / 'ssl.config'}", "--rest-api-tls") as server:
        address = f"127.0.0.1:{server.port}"
        known = grpc.ssl_channel_credentials(server_certificate, client_key, client_certificate)
        with grpc.secure_channel(address, known) as channel:
            assert ask(channel, [2.0]) == [3.0]
        unknown = grpc.ssl_channel_credentials(server_certificate)
        with grpc.secure_channel(address, unknown) as channel, pytest.raises(grpc.FutureTimeoutError):
            grpc.channel_ready_future(channel).result(timeout=1)
        server.context = ssl.create_default_context(cadata=server_certificate.decode())
        with pytest.raises(OSError, match=r"certificate|reset|EOF|closed"):
            server.rest("/v1/models/half_plus_two")
        server.context.load_cert_chain(tmp_path / "client.pem")
        assert server.rest("/v1/models/half_plus_two:predict", {"instances": [2.0]})[0] == 200
        assert "(TLS, client certificates)" in server.log()
