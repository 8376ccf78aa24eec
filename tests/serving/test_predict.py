"""Section G of the conformance cases: Predict over gRPC."""

import pytest

from kerasft.serving.model_config import ModelConfig
from kerasft.serving.models import Models, ModelsOptions
from kerasft.serving.predict import predict
from kerasft.serving.protos import predict_pb2, prediction_service_pb2_grpc, tensor_pb2, types_pb2
from kerasft.serving.status import INTERNAL, ServingError
from tests.serving.half_plus import FLOAT, Graph, info, signature, tensor, write_saved_model
from tests.serving.served import refused, served, start_models

TWO = tensor(FLOAT, (), [2.0])
BOOL = tensor_pb2.TensorProto(dtype=types_pb2.DT_BOOL, bool_val=[True])
STRING = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[b"two"])
BROKEN = tensor_pb2.TensorProto(dtype=FLOAT, tensor_content=b"\0" * 8)
BROKEN.tensor_shape.dim.add(size=3)
BOUNDLESS = tensor(FLOAT, (1 << 40,), [1.0])
RESOURCE = tensor_pb2.TensorProto(dtype=types_pb2.DT_RESOURCE)


@pytest.fixture(scope="module")
def stub(half_plus_two, half_plus_two_tf2, half_plus_three, counter, odd_method):
    models = start_models(
        {"strict"},
        hp2=half_plus_two,
        tf2=half_plus_two_tf2,
        hp3=half_plus_three,
        counter=counter,
        odd=odd_method,
        strict=odd_method,
    )
    with served(models) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models.close()


@pytest.fixture(scope="module")
def odd_method(tmp_path_factory):
    """One signature, of a method that no API has."""
    base, graph = tmp_path_factory.mktemp("odd"), Graph()
    graph.half_plus("y", graph.placeholder("x", FLOAT), 2.0)
    sides = {"x": info("x", FLOAT, None)}, {"y": info("y", FLOAT, None)}
    write_saved_model(base / "00000123", graph, {"serving_default": signature("not/supported/method", *sides)})
    return base


def asked(name="hp2", signature_name="", version=None, output_filter=(), **inputs):
    request = predict_pb2.PredictRequest(inputs=inputs, output_filter=output_filter)
    request.model_spec.name, request.model_spec.signature_name = name, signature_name
    if version is not None:
        request.model_spec.version.value = version
    return request


SPECLESS = asked(x=TWO)
SPECLESS.ClearField("model_spec")


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        pytest.param(SPECLESS, "INVALID_ARGUMENT", "Missing ModelSpec", id="G1"),
        pytest.param(asked("", x=TWO), "INVALID_ARGUMENT", "ModelSpec has no name specified.", id="G2"),
        pytest.param(asked("m", x=TWO), "NOT_FOUND", "Servable not found for request: Latest(m)", id="G3-model"),
        pytest.param(
            asked("hp2", version=9, x=TWO),
            "NOT_FOUND",
            "Servable not found for request: Specific(hp2, 9)",
            id="G3-version",
        ),
        pytest.param(
            asked(signature_name="x", x=TWO),
            "FAILED_PRECONDITION",
            'Serving signature key "x" not found.',
            id="G5",
        ),
        pytest.param(
            asked(),
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
            id="G6",
        ),
        pytest.param(
            asked(unknown_key2=TWO, unknown_key1=TWO),
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=1 len({unknown_key1,unknown_key2}) != len({x}). "
            "Sent extra: {unknown_key1,unknown_key2}. Missing but required: {x}.",
            id="G7",
        ),
        pytest.param(
            asked(y=TWO),
            "INVALID_ARGUMENT",
            "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
            "Inputs expected to be in the request {y}, or default input alias set: ",
            id="one-unknown-input",
        ),
        pytest.param(
            asked("tf2", z=TWO),
            "INVALID_ARGUMENT",
            "Inputs contains invalid name. Used request inputs: , request input: z",
            id="unknown-beside-a-default",
        ),
        pytest.param(asked(x=BROKEN), "INVALID_ARGUMENT", "tensor parsing error: x", id="G9"),
        pytest.param(asked(x=BOUNDLESS), "INVALID_ARGUMENT", "tensor parsing error: x", id="G9-boundless"),
        pytest.param(asked(x=RESOURCE), "INVALID_ARGUMENT", "tensor parsing error: x", id="G9-resource"),
        pytest.param(asked(x=BOOL), "INVALID_ARGUMENT", "Expects arg[0] to be float but bool is provided", id="G10"),
        pytest.param(
            asked(x=STRING), "INVALID_ARGUMENT", "Expects arg[0] to be float but string is provided", id="G11"
        ),
        pytest.param(
            asked(output_filter=["output_filter"], x=TWO),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: output_filter Outputs expected to be in the set {y}.",
            id="G12",
        ),
        pytest.param(
            asked(output_filter=["y", "y"], x=TWO),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: y",
            id="G12-twice",
        ),
        pytest.param(
            asked("strict", x=TWO),
            "INTERNAL",
            "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
            "tensorflow/serving/classify, tensorflow/serving/regress}. Was: not/supported/method",
            id="G19-checked",
        ),
    ],
)
def test_refusals(stub, request_, code, words):
    found = refused(stub.Predict, request_)
    assert found[0] == code
    assert words in found[1]


@pytest.mark.parametrize("checked", [pytest.param(False, id="G19"), pytest.param(True, id="G19-checked")])
def test_the_servers_option_checks_the_method(odd_method, checked):
    models = Models([ModelConfig("odd", str(odd_method))], ModelsOptions(0, enable_signature_method_name_check=checked))
    models.start()
    try:
        if not checked:
            assert list(predict(models, asked("odd", x=TWO)).outputs["y"].float_val) == [3.0]
            return
        with pytest.raises(ServingError, match="Expected prediction signature method_name") as error:
            predict(models, asked("odd", x=TWO))
        assert error.value.code == INTERNAL
    finally:
        models.close()


def test_g20_long_messages_are_cut(stub):
    code, words = refused(stub.Predict, asked(output_filter=["ä" * 2000], x=TWO))
    assert code == "INVALID_ARGUMENT"
    assert words.startswith("output tensor alias not found in signature: ää")
    assert words.endswith("ä...TRUNCATED")
    assert 1023 <= len(words.removesuffix("...TRUNCATED").encode()) <= 1024


@pytest.mark.parametrize(
    ("request_", "outputs"),
    [
        pytest.param(asked(x=TWO), {"y": 3.0}, id="G14"),
        pytest.param(asked(version=123, output_filter=["y"], x=TWO), {"y": 3.0}, id="G14-version"),
        pytest.param(asked(signature_name="classify_x2_to_y3", inputs=TWO), {"scores": 4.0}, id="G16"),
        pytest.param(asked("odd", x=TWO), {"y": 3.0}, id="G19"),
        pytest.param(asked("hp3", x=TWO), {"y": 4.0}, id="half-plus-three"),
    ],
)
def test_scalars_in_scalars_out(stub, request_, outputs):
    response = stub.Predict(request_, timeout=30)
    assert {alias: list(found.float_val) for alias, found in response.outputs.items()} == {
        alias: [value] for alias, value in outputs.items()
    }
    for found in response.outputs.values():
        assert found.dtype == FLOAT
        assert found.HasField("tensor_shape")
        assert not found.tensor_shape.dim
        assert not found.tensor_content
    assert response.model_spec.name == request_.model_spec.name
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == (request_.model_spec.signature_name or "serving_default")


def test_g18_a_missing_input_takes_the_signatures_default(stub):
    found = stub.Predict(asked("tf2"), timeout=30).outputs["y"]
    assert (list(found.float_val), [dim.size for dim in found.tensor_shape.dim]) == ([2.0], [1])


def test_raw_content_and_a_repeated_last_value_are_read_too(stub):
    raw = tensor_pb2.TensorProto(dtype=FLOAT, tensor_content=tensor_bytes([2.0, 4.0]))
    raw.tensor_shape.dim.add(size=2)
    assert list(stub.Predict(asked(x=raw), timeout=30).outputs["y"].float_val) == [3.0, 4.0]
    short = tensor(FLOAT, (3,), [2.0, 4.0])
    assert list(stub.Predict(asked(x=short), timeout=30).outputs["y"].float_val) == [3.0, 4.0, 4.0]


def tensor_bytes(values):
    import numpy as np

    return np.array(values, "<f4").tobytes()


def test_the_counter_keeps_its_state_between_requests(stub):
    def value(name, **inputs):
        return list(stub.Predict(asked("counter", name, **inputs), timeout=30).outputs["output"].float_val)

    assert value("reset_counter") == [0.0]
    assert value("incr_counter") == [1.0]
    assert value("incr_counter_by", delta=tensor(FLOAT, (), [2.5])) == [3.5]
    assert value("get_counter") == [3.5]
