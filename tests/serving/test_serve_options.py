"""From the command line to what is served: paths, flags as TensorFlow Serving spells them, and mistakes in one line."""

import pytest

from kerasft import cli
from kerasft.errors import KerasftError
from kerasft.serving import server
from kerasft.serving.base_path import Policy
from kerasft.serving.served_paths import configs_of

CONFIG = "model_config_list { config { name: 'm' base_path: '/models/m' model_platform: 'tensorflow' } }"


@pytest.fixture
def told(monkeypatch):
    """Runs the command up to the point where the server would start; gives the options."""
    caught = []

    def serve(options, report):
        caught.append(options)
        return server.DRAINED

    monkeypatch.setattr(server, "serve", serve)

    def run(*arguments):
        cli.main(["serve", *map(str, arguments)])
        return caught.pop()

    return run


@pytest.fixture
def models(tmp_path):
    """A folder like saved_models: two models, one of two versions, and things that are none."""
    for version in ("topic/1", "topic/2", "spam/7", "spam/half-copied", ".hidden/1"):
        (tmp_path / "saved_models" / version).mkdir(parents=True)
    for version in ("topic/1", "topic/2", "spam/7", ".hidden/1"):
        (tmp_path / "saved_models" / version / "saved_model.pb").touch()
    (tmp_path / "saved_models" / "README.md").touch()
    return tmp_path / "saved_models"


def test_what_a_path_is(models):
    assert [(config.name, config.base_path) for config in configs_of([models])] == [
        ("spam", str(models / "spam")),
        ("topic", str(models / "topic")),
    ]
    [topic] = configs_of([models / "topic"])
    assert (topic.name, topic.policy) == ("topic", Policy())
    [first] = configs_of([models / "topic" / "1"])
    assert (first.name, first.base_path) == ("topic", str(models / "topic"))
    assert first.policy == Policy("specific", versions=(1,))
    [renamed] = configs_of([models / "topic"], "news")
    assert (renamed.name, renamed.base_path) == ("news", str(models / "topic"))


def test_relative_paths_become_absolute(models, monkeypatch):
    monkeypatch.chdir(models)
    assert configs_of(["spam"])[0].base_path == str(models / "spam")
    assert configs_of(["."])[1].base_path == str(models / "topic")


def test_the_same_name_twice(models, tmp_path):
    other = tmp_path / "other" / "spam" / "1"
    other.mkdir(parents=True)
    (other / "saved_model.pb").touch()
    with pytest.raises(KerasftError, match="Two models are named spam"):
        configs_of([models, other])


def test_defaults(told, models):
    options = told(models)
    assert (options.host, options.port, options.rest_api_port) == ("127.0.0.1", 8500, 8501)
    assert options.models_options.file_system_poll_wait_seconds == 1.0
    assert options.models_options.batching is None
    assert (options.ssl, options.metrics_path, options.page) == (None, None, True)


def test_flags_of_tensorflow_serving(told, models, tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 16 }")
    options = told(
        "--port=9000",
        "--rest_api_port=9001",
        "--model_name=news",
        f"--model_base_path={models / 'topic'}",
        "--enable_batching=true",
        "--enable_per_model_batching_parameters",
        f"--batching_parameters_file={tmp_path / 'batching'}",
        "--enable_model_warmup=false",
        "--file_system_poll_wait_seconds=5",
        "--max_num_load_retries=2",
        "--enable_signature_method_name_check=true",
    )
    assert (options.port, options.rest_api_port) == (9000, 9001)
    assert [config.name for config in options.models] == ["news"]
    assert options.models_options.batching.max_batch_size == 16
    assert options.models_options.enable_per_model_batching_parameters is True
    assert options.models_options.enable_model_warmup is False
    assert options.models_options.file_system_poll_wait_seconds == 5.0
    assert options.models_options.max_num_load_retries == 2
    assert options.models_options.enable_signature_method_name_check is True


def test_model_config_file(told, tmp_path):
    (tmp_path / "models.config").write_text(CONFIG)
    options = told("--model-config-file", tmp_path / "models.config", "--model-config-file-poll-wait-seconds", 3)
    assert [config.name for config in options.models] == ["m"]
    assert options.models_options.model_config_file == tmp_path / "models.config"
    assert options.models_options.model_config_file_poll_wait_seconds == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "Expected a PATH", id="nothing"),
        pytest.param(["{}/tpoic"], 'is not there, not a folder with a model. Did you mean "topic"?', id="misspelt"),
        pytest.param(["{}/README.md"], "README.md is a file", id="file"),
        pytest.param(["{}/spam/half-copied"], "holds no model", id="empty"),
        pytest.param(["{}", "--model-name", "m"], "2 were found: spam, topic", id="one-name-for-two"),
        pytest.param(["{}", "--model-config-file", "{}/../models.config"], "has no place beside it", id="both"),
        pytest.param(["{}", "--batching-parameters-file", "x"], "without --enable-batching", id="batching-off"),
        pytest.param(
            ["{}", "--enable-per-model-batching-parameters"], "without --enable-batching", id="own-batching-off"
        ),
        pytest.param(["{}", "--port", "8501"], "cannot share port 8501", id="one-port"),
        pytest.param(["{}", "--port", "0", "--rest-api-port", "0"], "nothing would listen", id="no-port"),
        pytest.param(["{}", "--rest-api-tls"], "pass --ssl-config-file", id="tls-without-key"),
        pytest.param(["{}", "--host", "no.such.host.invalid"], "--host no.such.host.invalid", id="host"),
        pytest.param(["{}", "--prot", "1"], "--port", id="flag"),
        pytest.param(["{}/topic"], "did not become available", id="broken-model"),
    ],
)
def test_mistakes(capfd, models, arguments, words):
    (models.parent / "models.config").write_text(CONFIG)
    with pytest.raises(SystemExit) as stop:
        cli.main(["serve", *(argument.format(models) for argument in arguments)])
    said = capfd.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert said[-1].startswith("Error: ")
    assert words in said[-1]
    assert [line for line in said[:-1] if not line.startswith("Loading ")] == []
