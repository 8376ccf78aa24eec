import shutil
import threading

import numpy as np
import pytest

from kerasft.serving.base_path import Policy
from kerasft.serving.models import ModelConfig, Models, ModelsOptions
from kerasft.serving.status import FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, UNKNOWN, ServingError
from tests.serving import stand_in
from tests.serving.stand_in import StandIn, spec, until, write

QUIET = ModelsOptions(file_system_poll_wait_seconds=0, enable_model_warmup=False)


@pytest.fixture
def serve(tmp_path):
    """Gives a function that starts Models on stand-ins; at the end all are closed."""
    started = []

    def start(*configs: ModelConfig, options=QUIET, load=stand_in.load) -> Models:
        models = Models(configs or [ModelConfig("half", str(tmp_path))], options, load)
        started.append(models)
        models.start()
        return models

    yield start
    for models in started:
        models.close()


def version_of(models: Models, *wanted, **more) -> int:
    with models.lease(spec(*wanted, **more)) as loaded:
        return loaded.version


def states(models: Models, name: str = "half") -> dict[int, str]:
    return {found.version: found.state for found in models.status(spec(name))}


@pytest.mark.parametrize(
    ("wanted", "code", "message"),
    [
        pytest.param(None, INVALID_ARGUMENT, "Missing ModelSpec", id="G1"),
        pytest.param(spec(""), INVALID_ARGUMENT, "ModelSpec has no name specified.", id="G2"),
        pytest.param(spec("m"), NOT_FOUND, "Servable not found for request: Latest(m)", id="G3-latest"),
        pytest.param(spec("half", 9), NOT_FOUND, "Servable not found for request: Specific(half, 9)", id="G3-specific"),
        pytest.param(spec("half", 1), NOT_FOUND, "Servable not found for request: Specific(half, 1)", id="G3-old"),
        pytest.param(
            spec("half", label="L"), INVALID_ARGUMENT, "Unrecognized servable version label: L", id="unknown-label"
        ),
    ],
)
def test_a_request_for_what_is_not_served(serve, tmp_path, wanted, code, message):
    write(tmp_path, 1, 2)
    models = serve()
    with pytest.raises(ServingError) as caught, models.lease(wanted):
        pass
    assert (caught.value.code, caught.value.message) == (code, message)


def test_I15_the_readiness_probe_of_a_missing_model_says_servable(serve, tmp_path):
    from kerasft.serving.predict import predict
    from kerasft.serving.protos import predict_pb2

    write(tmp_path, 1)
    models = serve()
    with pytest.raises(ServingError, match="Servable") as caught:
        predict(models, predict_pb2.PredictRequest(model_spec=spec("intentionally_missing_model")))
    assert caught.value.code == NOT_FOUND


def test_a_request_gets_the_latest_or_the_version_it_names(serve, tmp_path):
    write(tmp_path, 9, 10)
    models = serve(ModelConfig("half", str(tmp_path), policy=Policy("all")))
    assert version_of(models) == 10
    assert version_of(models, "half", 9) == 9
    with models.lease(spec()) as loaded:
        found = models.run(loaded, "serving_default", {"x": np.array([2.0])}, ["y"])
    assert found["y"] == [11.0]


def test_a_new_version_is_up_before_the_old_one_goes(serve, tmp_path):
    write(tmp_path, 1)
    seen = []

    def load(name, version, folder):
        if version == 2:
            seen.append((version_of(models), states(models)))
        return stand_in.load(name, version, folder)

    models = serve(load=load)
    write(tmp_path, 2)
    models.poll()
    assert seen == [(1, {2: "LOADING", 1: "AVAILABLE"})]
    assert version_of(models) == 2
    until(lambda: states(models) == {2: "AVAILABLE", 1: "END"})
    assert [found.code for found in models.status(spec())] == [0, 0]


def test_a_version_in_use_is_closed_only_when_its_last_request_ends(serve, tmp_path):
    write(tmp_path, 1)
    models = serve()
    with models.lease(spec()) as old:
        write(tmp_path, 2)
        models.poll()
        assert version_of(models) == 2
        assert states(models)[1] == "UNLOADING"
        assert not old.closed
        assert old.run("serving_default", {"x": np.array([2.0])}, ["y"])["y"] == [2.0]
    until(lambda: old.closed and states(models)[1] == "END")


def test_a_half_copied_version_is_reported_while_the_old_one_goes_on_and_loads_when_it_is_whole(serve, tmp_path):
    write(tmp_path, 1)
    models = serve()
    (tmp_path / "2" / "variables").mkdir(parents=True)
    models.poll()
    models.poll()
    assert version_of(models) == 1
    (broken,) = models.status(spec("half", 2))
    assert (broken.state, broken.code) == ("END", NOT_FOUND)
    assert "Could not find SavedModel" in broken.message
    (tmp_path / "2" / "model").touch()
    models.poll()
    assert version_of(models) == 2
    assert models.status(spec("half", 2))[0][1:] == ("AVAILABLE", 0, "")


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), KeyError("x")], ids=repr)
def test_no_error_of_a_load_ends_the_watch(serve, tmp_path, error):
    write(tmp_path, 1)

    def load(name, version, folder):
        if version == 2:
            raise error
        return stand_in.load(name, version, folder)

    models = serve(load=load)
    write(tmp_path, 2)
    models.poll()
    found = models.status(spec("half", 2))[0]
    assert (found.state, found.code) == ("END", UNKNOWN)
    assert type(error).__name__ in found.message
    write(tmp_path, 3)
    models.poll()
    assert version_of(models) == 3


def test_a_load_that_failed_is_retried_as_often_as_the_flag_says(serve, tmp_path):
    write(tmp_path, 1)
    tried = []

    def load(name, version, folder):
        tried.append(version)
        return stand_in.load(name, version, folder)

    options = ModelsOptions(0, max_num_load_retries=2, load_retry_interval_micros=0, enable_model_warmup=False)
    models = serve(options=options, load=load)
    (tmp_path / "2").mkdir()
    for _ in range(6):
        models.poll()
    assert tried == [1, 2, 2, 2]
    (tmp_path / "2").rmdir()
    models.poll()
    write(tmp_path, 2)  # the same number again is a new try
    models.poll()
    assert version_of(models) == 2


def test_a_version_that_is_gone_is_taken_down_but_not_when_the_base_path_cannot_be_read(serve, tmp_path):
    base = write(tmp_path / "base", 1, 2)
    models = serve(ModelConfig("half", str(base)))
    base.rename(tmp_path / "away")
    models.poll()
    assert version_of(models) == 2
    (tmp_path / "away").rename(base)
    (base / "2" / "model").unlink()
    (base / "2").rmdir()
    models.poll()
    assert version_of(models) == 1
    until(lambda: states(models) == {2: "END", 1: "AVAILABLE"})


def test_the_watch_finds_a_new_version_by_itself(serve, tmp_path):
    write(tmp_path, 1)
    models = serve(options=ModelsOptions(file_system_poll_wait_seconds=0.01, enable_model_warmup=False))
    write(tmp_path, 2)
    until(lambda: version_of(models) == 2)


def test_a_warning_is_given_once_not_at_every_look(serve, tmp_path, caplog):
    models = serve(ModelConfig("half", str(tmp_path / "late")))
    for _ in range(3):
        models.poll()
    (tmp_path / "late").mkdir()
    for _ in range(3):
        models.poll()
    told = [record.getMessage() for record in caplog.records]
    base = tmp_path / "late"
    assert told == [
        f"half: Could not find base path {base}: No such file or directory",
        f"half: No version (a folder 1, 2, …) in {base}",
    ]


def test_a_broken_saved_model_is_told_in_the_loaders_words_and_the_old_one_goes_on(serve, half_plus_two, tmp_path):
    shutil.copytree(half_plus_two / "00000123", tmp_path / "1")
    models = serve(load=None)
    whole = (tmp_path / "1" / "saved_model.pb").read_bytes()
    (tmp_path / "2").mkdir()
    messages = set()
    for part in (b"", whole[: len(whole) // 2], b"<html>not a model</html>"):
        (tmp_path / "2" / "saved_model.pb").write_bytes(part)
        models.poll()
        found = models.status(spec("half", 2))[0]
        assert found.state == "END"
        assert found.code != 0
        messages.add(found.message)
        assert version_of(models) == 1
    assert any("saved_model.pb" in message for message in messages), messages
    (tmp_path / "2" / "saved_model.pb").write_bytes(whole)
    models.poll()
    assert version_of(models) == 2


def test_nothing_is_watched_with_a_period_of_zero(serve, tmp_path):
    write(tmp_path, 1)
    before = threading.active_count()
    serve()
    assert threading.active_count() == before


class TestLabels:
    def config(self, tmp_path, **labels) -> ModelConfig:
        return ModelConfig("half", str(tmp_path), policy=Policy("all"), labels=labels)

    def test_a_label_names_an_available_version(self, serve, tmp_path):
        write(tmp_path, 1, 2)
        models = serve(self.config(tmp_path))
        models.reload([self.config(tmp_path, stable=1, canary=2)])
        assert version_of(models, label="stable") == 1
        assert models.status(spec(label="canary"))[0].version == 2
        models.reload([self.config(tmp_path, stable=2)])
        assert version_of(models, label="stable") == 2
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            version_of(models, label="canary")

    def test_no_other_version_and_so_none_at_the_start(self, serve, tmp_path):
        write(tmp_path, 1)
        message = "Request to assign label to version 1 of model half, which is not currently available for inference"
        with pytest.raises(ServingError) as caught:
            serve(self.config(tmp_path, stable=1))
        assert (caught.value.code, caught.value.message) == (FAILED_PRECONDITION, message)
        models = serve(self.config(tmp_path))
        models.reload([self.config(tmp_path, stable=1)])
        with pytest.raises(ServingError, match="version 7 of model half, which is not currently available"):
            models.reload([self.config(tmp_path, stable=7)])
        assert version_of(models, label="stable") == 1  # the old labels stand

    def test_a_new_label_may_where_it_is_allowed_but_one_in_use_may_not_leave_for_nowhere(self, serve, tmp_path):
        write(tmp_path, 1)
        options = ModelsOptions(0, allow_version_labels_for_unavailable_models=True, enable_model_warmup=False)
        models = serve(self.config(tmp_path, stable=1), options=options)
        assert version_of(models, label="stable") == 1
        with pytest.raises(ServingError, match="Request to assign label to version 5"):
            models.reload([self.config(tmp_path, stable=5)])
        models.reload([self.config(tmp_path, stable=1, next=5)])
        with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(half, 5\)"):
            version_of(models, label="next")


class TestStart:
    def test_a_model_that_does_not_load_is_told(self, serve, tmp_path):
        (tmp_path / "3").mkdir()
        with pytest.raises(ServingError) as caught:
            serve()
        assert caught.value.code == UNKNOWN
        words = "1 model(s) did not become available: {{{name: half version: 3} due to error: NOT_FOUND: Could not find"
        assert caught.value.message.startswith(words)

    def test_a_base_path_without_versions_is_waited_for_unless_the_flag_forbids(self, serve, tmp_path):
        models = serve()
        write(tmp_path, 1)
        models.poll()
        assert version_of(models) == 1
        empty = ModelConfig("none", str(tmp_path / "1"))
        with pytest.raises(ServingError, match="Unable to find a numerical version path for servable none at: /"):
            serve(empty, options=ModelsOptions(0, fail_if_no_model_versions_found=True))


def test_closing_waits_for_requests_and_then_nothing_is_served(serve, tmp_path):
    write(tmp_path, 1)
    models = serve()
    lease = models.lease(spec())
    loaded: StandIn = lease.__enter__()
    closing = threading.Thread(target=models.close)
    closing.start()
    until(lambda: states(models) == {1: "UNLOADING"})
    assert not loaded.closed
    lease.__exit__(None, None, None)
    closing.join(10)
    assert loaded.closed
    with pytest.raises(ServingError, match="Servable not found"):
        version_of(models)


def test_a_request_that_never_ends_does_not_hold_the_end_up_for_ever(serve, tmp_path):
    write(tmp_path, 1)
    models = serve()
    with models.lease(spec()) as loaded:
        models.close(timeout=0.05)
        assert not loaded.closed
