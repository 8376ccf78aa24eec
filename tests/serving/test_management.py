import time
from pathlib import Path

import pytest

from kerasft.serving.base_path import Policy
from kerasft.serving.management import model_status, reload_config
from kerasft.serving.models import ModelConfig, Models, ModelsOptions
from kerasft.serving.protos import get_model_status_pb2, model_management_pb2
from kerasft.serving.status import INVALID_ARGUMENT, NOT_FOUND, UNKNOWN, ServingError
from tests.serving import stand_in
from tests.serving.stand_in import spec, until, write

AVAILABLE, END = 30, 50  # ModelVersionStatus.State


@pytest.fixture
def models(tmp_path):
    """Serves versions 1 and 2 of `half`."""
    base = write(tmp_path / "half", 1, 2)
    configs = [ModelConfig("half", str(base), policy=Policy("all"))]
    models = Models(configs, ModelsOptions(0, enable_model_warmup=False), stand_in.load)
    models.start()
    yield models
    models.close()


def status(models: Models, *wanted, **more) -> list[tuple[int, int, int, str]]:
    found = model_status(models, get_model_status_pb2.GetModelStatusRequest(model_spec=spec(*wanted, **more)))
    entries = found.model_version_status
    return [(entry.version, entry.state, entry.status.error_code, entry.status.error_message) for entry in entries]


def reload(models: Models, *configs: dict):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.SetInParent()
    for config in configs:
        request.config.model_config_list.config.add(**{"model_platform": "tensorflow", **config})
    return reload_config(models, request)


def served(models: Models, name: str) -> bool:
    try:
        with models.lease(spec(name)):
            return True
    except ServingError:
        return False


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        pytest.param({}, INVALID_ARGUMENT, "Missing ModelSpec", id="I1-no-spec"),
        pytest.param(
            {"model_spec": spec("foo")}, NOT_FOUND, "Could not find any versions of model foo", id="I1-unknown-model"
        ),
        pytest.param(
            {"model_spec": spec("half", 9)},
            NOT_FOUND,
            "Could not find version 9 of model half",
            id="I1-unknown-version",
        ),
        pytest.param(
            {"model_spec": spec(label="L")}, INVALID_ARGUMENT, "Unrecognized servable version label: L", id="label"
        ),
    ],
)
def test_the_status_of_what_is_not_there(models, request_, code, message):
    with pytest.raises(ServingError) as caught:
        model_status(models, get_model_status_pb2.GetModelStatusRequest(**request_))
    assert (caught.value.code, caught.value.message) == (code, message)


def test_I2_two_versions_are_two_entries_and_one_that_is_asked_for_is_one(models):
    assert status(models) == [(2, AVAILABLE, 0, ""), (1, AVAILABLE, 0, "")]
    assert status(models, "half", 1) == [(1, AVAILABLE, 0, "")]


def test_a_broken_version_tells_its_error(models, tmp_path):
    (tmp_path / "half" / "3").mkdir()
    models.poll()
    version, state, code, message = status(models, "half", 3)[0]
    assert (version, state, code) == (3, END, NOT_FOUND)
    assert "Could not find SavedModel" in message
    assert served(models, "half")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param(
            {"name": "half", "base_path": "models/half"},
            "Expected model half to have an absolute path or URI; got base_path()=models/half",
            id="I6",
        ),
        pytest.param(
            {"name": "half", "base_path": "/models/half", "model_platform": "other"},
            "Illegal to change a model's platform. For model half platform was tensorflow "
            "and new platform requested is other",
            id="I7",
        ),
        pytest.param(
            {"name": "new", "base_path": "/models/new", "model_platform": "other"},
            "Model new requests unsupported platform other",
            id="unknown-platform",
        ),
    ],
)
def test_an_illegal_config_changes_nothing(models, config, words):
    with pytest.raises(ServingError) as caught:
        reload(models, config)
    assert (caught.value.code, caught.value.message) == (INVALID_ARGUMENT, words)
    assert status(models) == [(2, AVAILABLE, 0, ""), (1, AVAILABLE, 0, "")]


def test_a_model_listed_twice(models):
    twice = {"name": "half", "base_path": "/models/half"}
    with pytest.raises(ServingError, match="Illegal to list model half multiple times in config list"):
        reload(models, twice, twice)


@pytest.mark.parametrize("kind", ["custom_model_config", None])
def test_I10_only_lists_of_models_can_be_loaded(models, kind):
    request = model_management_pb2.ReloadConfigRequest()
    if kind:
        request.config.custom_model_config.SetInParent()
    with pytest.raises(ServingError, match="Only ModelConfigList is currently supported") as caught:
        reload_config(models, request)
    assert caught.value.code == INVALID_ARGUMENT


def test_a_new_list_adds_models_and_takes_others_down(models, tmp_path):
    write(tmp_path / "other", 5)
    half = {"name": "half", "base_path": str(tmp_path / "half")}
    answer = reload(models, half, {"name": "other", "base_path": str(tmp_path / "other")})
    assert answer.HasField("status")
    assert answer.status.error_code == 0
    assert served(models, "other")
    until(lambda: status(models) == [(2, AVAILABLE, 0, ""), (1, END, 0, "")])  # the policy is now `latest`
    reload(models)
    assert not served(models, "half")
    assert not served(models, "other")
    until(lambda: status(models, "other") == [(5, END, 0, "")])


def test_a_new_model_that_does_not_load_is_told_and_the_others_stand(models, tmp_path):
    (tmp_path / "broken" / "1").mkdir(parents=True)
    half = {"name": "half", "base_path": str(tmp_path / "half")}
    with pytest.raises(ServingError, match=r"1 model.s. did not become available") as caught:
        reload(models, half, {"name": "broken", "base_path": str(tmp_path / "broken")})
    assert caught.value.code == UNKNOWN
    assert served(models, "half")
    with pytest.raises(ServingError, match="Unable to find a numerical version path for servable none at: /nowhere"):
        reload(models, half, {"name": "none", "base_path": "/nowhere"})


def replace(file: Path, text: str) -> None:
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").rename(file)


@pytest.mark.parametrize("period", [0.01, 0.0])
def test_I11_a_config_file_that_is_polled(tmp_path, period, caplog):
    def text(name: str) -> str:
        base = write(tmp_path / name, 1)
        return f'model_config_list {{ config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" }} }}'

    file = tmp_path / "models.config"
    options = ModelsOptions(0, model_config_file=file, model_config_file_poll_wait_seconds=period)
    models = Models([], options, stand_in.load)
    try:
        replace(file, text("first"))
        models.start()
        if not period:
            models.reload([ModelConfig("first", str(tmp_path / "first"))])
        until(lambda: served(models, "first"))
        file.write_text("")  # about to be written
        time.sleep(0.1)
        assert served(models, "first")
        caplog.clear()
        replace(file, "model_config_list { config {")  # a mistake
        time.sleep(0.1)
        assert served(models, "first")
        told = [entry.getMessage() for entry in caplog.records if "--model_config_file" in entry.getMessage()]
        assert len(told) == bool(period)  # once, not at every look
        assert all("models.config:1: expected a ModelServerConfig" in words for words in told)
        replace(file, text("second"))
        if period:
            until(lambda: served(models, "second") and not served(models, "first"))
        else:
            time.sleep(0.05)
            assert served(models, "first")
            assert not served(models, "second")
    finally:
        models.close()
