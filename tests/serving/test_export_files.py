"""What an export brings along, and the server: warm-up requests, sample requests with their answers, batching."""

import json
import shutil

import pytest
from google.protobuf import json_format

from kerasft.export.samples import SAMPLES
from kerasft.serving.batching import BatchingParameters
from kerasft.serving.classify import classify
from kerasft.serving.models import ModelConfig, Models, ModelsOptions
from kerasft.serving.predict import predict
from kerasft.serving.protos import classification_pb2, predict_pb2
from kerasft.serving.rest_handler import answer
from kerasft.serving.status import INVALID_ARGUMENT, ServingError
from tests.serving.stand_in import spec

OPTIONS = {"file_system_poll_wait_seconds": 0, "batching": BatchingParameters(max_batch_size=1, num_batch_threads=1)}


@pytest.fixture(scope="module")
def models(toy_export):
    models = Models([ModelConfig("sentiment", str(toy_export.parent))], ModelsOptions(file_system_poll_wait_seconds=0))
    models.start()
    yield models
    models.close()


def test_the_server_replays_an_export_s_requests_before_it_serves(toy_export, caplog):
    caplog.set_level("INFO", "kerasft.serving.warm_up")
    models = Models([ModelConfig("sentiment", str(toy_export.parent))], ModelsOptions(file_system_poll_wait_seconds=0))
    models.start()
    models.close()
    assert "6 warm-up requests of version 1 of model sentiment replayed" in caplog.text


@pytest.mark.parametrize(
    ("name", "api"),
    [("serving_default.row", "predict"), ("serving_default.columnar", "predict"), ("classify.examples", "classify")],
)
def test_a_sample_request_gets_the_very_answer_that_lies_beside_it(models, toy_export, name, api):
    body = (toy_export / SAMPLES / f"{name}.json").read_bytes()
    reply = answer(models, "POST", f"/v1/models/sentiment:{api}", body)
    assert reply.status == 200
    assert reply.body == (toy_export / SAMPLES / f"{name}.response.json").read_bytes()
    assert json.loads(reply.body)


def test_the_grpc_samples_are_requests(models, toy_export):
    for name, call, request in (
        ("serving_default", predict, predict_pb2.PredictRequest()),
        ("classify", classify, classification_pb2.ClassificationRequest()),
    ):
        json_format.Parse((toy_export / SAMPLES / f"{name}.grpc.json").read_text(), request)
        assert request.model_spec.name == "sentiment"
        assert call(models, request).model_spec.signature_name == name


def test_every_sample_is_told_here(toy_export):
    names = {path.name for path in (toy_export / SAMPLES).iterdir()}
    forms = ("serving_default.row", "serving_default.columnar", "classify.examples")
    assert names == {f"{form}{end}.json" for form in forms for end in ("", ".response")} | {
        "serving_default.grpc.json",
        "classify.grpc.json",
    }


def ask(models: Models, rows: int) -> int:
    """Gives how many rows were answered."""
    body = json.dumps({"instances": ["a film"] * rows}).encode()
    reply = answer(models, "POST", "/v1/models/sentiment:predict", body)
    if reply.status != 200:
        raise ServingError(reply.code, json.loads(reply.body)["error"])
    return len(json.loads(reply.body)["predictions"])


@pytest.mark.parametrize(("per_model", "most"), [(False, 1), (True, 256)])
def test_a_versions_own_batching_counts_only_where_the_flag_says_so(toy_export, per_model, most):
    options = ModelsOptions(**OPTIONS, enable_model_warmup=False, enable_per_model_batching_parameters=per_model)
    models = Models([ModelConfig("sentiment", str(toy_export.parent))], options)
    models.start()
    try:
        assert ask(models, min(most, 40)) == min(most, 40)
        with pytest.raises(ServingError, match=f"larger than maximum input batch size {most}"):
            ask(models, most + 1)
    finally:
        models.close()


def test_a_version_without_parameters_of_its_own_is_not_batched_and_one_with_broken_ones_not_served(
    toy_export, tmp_path
):
    folder = shutil.copytree(toy_export, tmp_path / "1", ignore=shutil.ignore_patterns("batching_params.pbtxt"))
    options = ModelsOptions(**OPTIONS, enable_model_warmup=False, enable_per_model_batching_parameters=True)
    models = Models([ModelConfig("sentiment", str(tmp_path))], options)
    models.start()
    assert ask(models, 3) == 3
    models.close()
    (folder / "batching_params.pbtxt").write_text("max_batch_size: 3")
    models = Models([ModelConfig("sentiment", str(tmp_path))], options)
    with pytest.raises(ServingError, match="did not become available"):
        models.start()
    [found] = models.status(spec("sentiment"))
    assert (found.state, found.code) == ("END", INVALID_ARGUMENT)
    assert found.message.startswith(f"Invalid protobuf file: '{folder / 'batching_params.pbtxt'}'")
    models.close()
