import shutil
from pathlib import Path

import pytest

from kerasft.serving.loaded import load
from kerasft.serving.models import ModelConfig, Models, ModelsOptions
from kerasft.serving.protos import prediction_log_pb2
from kerasft.serving.status import DATA_LOSS, INVALID_ARGUMENT, UNIMPLEMENTED, ServingError
from kerasft.serving.warm_up import REQUESTS, warm_up
from tests.serving.stand_in import StandIn, spec
from tests.serving.test_tf_record import framed


def log(kind: str, signature: str = "", x: float = 2.0) -> prediction_log_pb2.PredictionLog:
    """A record of one request; it does not say which model it was made on."""
    made = prediction_log_pb2.PredictionLog()
    part = getattr(made, kind)
    part.SetInParent()
    if kind == "predict_log":
        part.request.inputs["x"].dtype = 1
        part.request.inputs["x"].tensor_shape.dim.add(size=1)
        part.request.inputs["x"].float_val.append(x)
    elif kind in ("classify_log", "regress_log", "multi_inference_log"):
        example = part.request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(x)
    if kind == "multi_inference_log":
        task = part.request.tasks.add(method_name="tensorflow/serving/regress")
        task.model_spec.CopyFrom(spec("elsewhere"))
        task.model_spec.signature_name = signature
    elif signature:
        part.request.model_spec.signature_name = signature
    return made


@pytest.fixture
def write(half_plus_two, tmp_path):
    """Gives a function that writes a base path with one version and these warm-up records, or this file."""

    def write(*records, data: bytes | None = None) -> Path:
        folder = tmp_path / "base" / "7"
        shutil.copytree(half_plus_two / "00000123", folder)
        (folder / REQUESTS).parent.mkdir()
        whole = b"".join(framed(record.SerializeToString()) for record in records)
        (folder / REQUESTS).write_bytes(whole if data is None else data)
        return folder

    return write


class Counted:
    """Counts the runs of a version."""

    def __init__(self, folder: Path):
        self._loaded = load("half", 7, folder)
        self.runs = 0

    def __getattr__(self, name):
        return getattr(self._loaded, name)

    def run(self, *arguments):
        self.runs += 1
        return self._loaded.run(*arguments)

    def fetch(self, *arguments):
        self.runs += 1
        return self._loaded.fetch(*arguments)


def test_every_kind_of_request_is_replayed_as_often_as_asked(write):
    records = [
        log("predict_log"),
        log("classify_log", "classify_x_to_y"),
        log("regress_log", "regress_x_to_y"),
        log("multi_inference_log", "regress_x_to_y"),
        prediction_log_pb2.PredictionLog(),
    ]
    folder = write(*records)
    loaded = Counted(folder)
    assert warm_up(loaded, folder) == 5
    assert loaded.runs == 4
    warm_up(loaded, folder, iterations=3)
    assert loaded.runs == 16
    loaded.close()


def test_a_version_without_the_file_is_warm(half_plus_two):
    assert warm_up(None, half_plus_two / "00000123") == 0


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        pytest.param(
            lambda write: write(log("predict_log"), log("session_run_log")),
            UNIMPLEMENTED,
            "Unsupported log_type for warmup: 5",
            id="I12-session_run",
        ),
        pytest.param(
            lambda write: write(log("predict_streamed_log")),
            UNIMPLEMENTED,
            "Unsupported log_type for warmup: 7",
            id="I12-predict_streamed",
        ),
        pytest.param(
            lambda write: write(*[prediction_log_pb2.PredictionLog()] * 1001),
            INVALID_ARGUMENT,
            "Number of warmup records exceeds the maximum (1000) at ",
            id="I13",
        ),
        pytest.param(
            lambda write: write(data=b'{"instances": [1.0]}'),
            DATA_LOSS,
            "corrupted record at 0 (Is this even a TFRecord file?). "
            "Please verify your warmup data is in TFRecord format.",
            id="I14",
        ),
        pytest.param(
            lambda write: write(data=framed(b"\xff\xff\xff")),
            INVALID_ARGUMENT,
            "Failed to parse warmup record: ",
            id="no-PredictionLog",
        ),
        pytest.param(
            lambda write: write(log("regress_log", "nope")),
            INVALID_ARGUMENT,
            "No signature was found with the name: nope",
            id="a-request-that-fails",
        ),
    ],
)
def test_a_version_whose_warm_up_fails_is_not_served(write, make, code, words):
    base = make(write).parent
    models = Models([ModelConfig("half", str(base))], ModelsOptions(file_system_poll_wait_seconds=0))
    try:
        with pytest.raises(ServingError, match="did not become available"):
            models.start()
        (found,) = models.status(spec())
        assert (found.state, found.code) == ("END", code)
        assert found.message.startswith(words)
    finally:
        models.close()


def test_a_thousand_records_are_not_too_many(write):
    folder = write(*[prediction_log_pb2.PredictionLog()] * 1000)
    assert warm_up(StandIn(), folder) == 1000


def test_warm_up_can_be_switched_off(write):
    base = write(data=b"nonsense").parent
    options = ModelsOptions(file_system_poll_wait_seconds=0, enable_model_warmup=False)
    models = Models([ModelConfig("half", str(base))], options)
    models.start()
    with models.lease(spec()) as loaded:
        assert loaded.version == 7
    models.close()
