"""What holds for every method: limits, deadlines, clients that hang up, malformed bytes, health."""

import threading
import time

import grpc
import pytest
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from kerasft.errors import KerasftError
from kerasft.serving.grpc_server import METHODS, GrpcOptions, make_grpc
from kerasft.serving.health import NOT_SERVING, SERVING, Health
from kerasft.serving.protos import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tests.serving.half_plus import FLOAT, tensor
from tests.serving.served import refused, served, start_models


@pytest.fixture
def models(half_plus_two):
    """Serves one model; a test may put its own `run` in."""
    models = start_models(hp2=half_plus_two)
    yield models
    models.close()


def request(*values: float) -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest(inputs={"x": tensor(FLOAT, (len(values),), list(values))})
    made.model_spec.name = "hp2"
    return made


def predict(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict


class Gate:
    """A run that waits until it is let through, and counts."""

    def __init__(self):
        self.open, self.begun, self.ran = threading.Event(), threading.Semaphore(0), []

    def __call__(self, loaded, signature_name, feeds, outputs, deadline=None):
        self.begun.release()
        self.open.wait(30)
        self.ran.append(list(feeds["x"].float_val))
        return loaded.run(signature_name, feeds, outputs)


def test_requests_whose_client_has_gone_are_not_run(models):
    models.run = gate = Gate()
    with served(models, threads=1) as channel:
        first = predict(channel).future(request(1.0), timeout=30)
        assert gate.begun.acquire(timeout=30)
        gone = predict(channel).future(request(2.0), timeout=30)
        late = predict(channel).future(request(3.0), timeout=0.2)
        assert late.exception().code() == grpc.StatusCode.DEADLINE_EXCEEDED
        gone.cancel()
        time.sleep(0.2)  # the server hears of it
        gate.open.set()
        assert list(first.result().outputs["y"].float_val) == [2.5]
        assert list(predict(channel)(request(4.0), timeout=30).outputs["y"].float_val) == [4.0]
    assert gate.ran == [[1.0], [4.0]]


def test_more_requests_than_allowed_are_refused_at_once(models):
    models.run = gate = Gate()
    with served(models, max_concurrent=1) as channel:
        first = predict(channel).future(request(1.0), timeout=30)
        assert gate.begun.acquire(timeout=30)
        assert refused(predict(channel), request(2.0))[0] == "RESOURCE_EXHAUSTED"
        gate.open.set()
        assert list(first.result().outputs["y"].float_val) == [2.5]


def test_a_rush_that_the_process_is_slow_to_take_is_answered_all_the_same(models):
    """gRPC's own limits are 1,000, from which it drops at random, and 3,000: with CANCELLED, and without words."""
    taking = threading.Event()
    with served(models) as channel:
        channel.loop.call_soon_threadsafe(taking.wait, 30)
        rush = [predict(channel).future(request(float(number)), timeout=60) for number in range(3200)]
        time.sleep(1)  # all of them are there
        taking.set()
        answers = [found.result().outputs["y"].float_val[0] for found in rush]
    assert answers == [number / 2 + 2 for number in range(3200)]


def test_messages_over_the_limit_are_refused(models):
    with served(models, max_message_bytes=2000) as channel:
        assert refused(predict(channel), request(*range(1000)))[0] == "RESOURCE_EXHAUSTED"
        assert len(predict(channel)(request(*range(100)), timeout=30).outputs["y"].float_val) == 100


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_bytes_that_are_no_message(models, method):
    with served(models) as channel:
        call = channel.unary_unary(f"/{method.service}/{method.name}")
        code, words = refused(call, b"\xff\xff\xff")
    assert code == "INVALID_ARGUMENT"
    assert words == f"The request is not a {method.request.DESCRIPTOR.name} message."


def test_a_fault_in_the_server_is_internal_and_says_no_more_than_its_kind(models):
    def run(*_, **__):
        raise ZeroDivisionError("a secret")

    models.run = run
    with served(models) as channel:
        assert refused(predict(channel), request(1.0)) == ("INTERNAL", "Predict failed: ZeroDivisionError")


def test_each_request_is_told_of(models):
    seen = []
    with served(models, observe=lambda *told: seen.append(told)) as channel:
        predict(channel)(request(1.0), timeout=30)
        refused(predict(channel), predict_pb2.PredictRequest())
    assert [told[:3] for told in seen] == [("Predict", "hp2", 0), ("Predict", "", 3)]
    assert all(0 < told[3] < 30 for told in seen)


def test_model_status(models):
    with served(models) as channel:
        asked = get_model_status_pb2.GetModelStatusRequest()
        asked.model_spec.name = "hp2"
        found = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked, timeout=30)
    (version,) = found.model_version_status
    assert (version.version, version.status.error_code) == (123, 0)
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE


def test_health_is_asked_and_watched(models):
    health = Health(serving=False)
    with served(models, health=health) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", StringValue.SerializeToString, Int32Value.FromString
        )
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", StringValue.SerializeToString, Int32Value.FromString
        )
        assert check(StringValue(), timeout=30).value == NOT_SERVING
        told = watch(StringValue(value="tensorflow.serving.PredictionService"), timeout=30)
        assert next(told).value == NOT_SERVING
        channel.loop.call_soon_threadsafe(health.set, True)
        assert next(told).value == SERVING
        assert check(StringValue(), timeout=30).value == SERVING
        told.cancel()
        assert refused(check, StringValue(value="nobody"))[0] == "NOT_FOUND"


def test_an_address_that_is_taken_is_not_shared(models):
    import asyncio

    async def twice():
        _, port = make_grpc(models, GrpcOptions(address="127.0.0.1:0"))
        make_grpc(models, GrpcOptions(address=f"127.0.0.1:{port}"))

    with pytest.raises(KerasftError, match=r"cannot listen on 127.0.0.1:\d+"):
        asyncio.run(twice())
