import pytest

from kerasft.errors import KerasftError
from kerasft.serving.base_path import Policy
from kerasft.serving.batching import BatchingParameters
from kerasft.serving.config_files import (
    ModelConfig,
    read_batching_parameters_file,
    read_model_config_file,
    read_monitoring_config_file,
    read_ssl_config_file,
)
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

MODELS = """
# what is served
model_config_list {
  config { name: "half" base_path: "/models/half" model_platform: "tensorflow"
    model_version_policy { specific { versions: 42 versions: 43 } }
    version_labels { key: "stable" value: 42 }
    version_labels { key: "canary" value: 43 } }
  config { name: "all" base_path: "/models/all" model_platform: "tensorflow" model_version_policy { all {} } }
  config { name: "two" base_path: "/models/two" model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } } }
  config { name: "old" base_path: "gs://models/old" model_type: TENSORFLOW
    logging_config { sampling_config { sampling_rate: 0.1 } } }
}
"""
PEM = "-----BEGIN {}-----\\nMIIB\\n-----END {}-----\\n"


@pytest.fixture
def written(tmp_path):
    def write(text: str):
        (tmp_path / "file.config").write_text(text)
        return tmp_path / "file.config"

    return write


def test_a_list_of_models(written):
    assert read_model_config_file(written(MODELS)) == [
        ModelConfig(
            "half", "/models/half", "tensorflow", Policy("specific", 1, (42, 43)), {"stable": 42, "canary": 43}
        ),
        ModelConfig("all", "/models/all", "tensorflow", Policy("all")),
        ModelConfig("two", "/models/two", "tensorflow", Policy("latest", 2)),
        ModelConfig("old", "gs://models/old"),
    ]
    assert read_model_config_file(written("model_config_list {}")) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            "",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.",
        ),
        (
            'model_type: TENSORFLOW model_platform: "tensorflow"',
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.",
        ),
        ("model_type: OTHER", "ModelServerConfig::model_type choice 2 not supported."),
    ],
)
def test_a_model_without_one_platform(written, fields, words):
    with pytest.raises(ServingError) as caught:
        read_model_config_file(written(f'model_config_list {{ config {{ name: "m" base_path: "/m" {fields} }} }}'))
    assert (caught.value.code, caught.value.message) == (INVALID_ARGUMENT, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('model_config_list {\n  config { nmae: "m" }\n}', r'file\.config:2: expected a ModelServerConfig.*"nmae"'),
        ("model_config_list {\n\n  config {", r"file\.config:3: expected a ModelServerConfig"),
        ("custom_model_config {}", "expected a model_config_list, found custom_model_config"),
        ("", "expected a model_config_list, found nothing. For no model: model_config_list {}"),
    ],
)
def test_a_file_that_is_not_right_is_told_with_its_line(written, text, words):
    with pytest.raises(KerasftError, match=words) as caught:
        read_model_config_file(written(text))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(KerasftError, match=r"nowhere\.config: .* found no file to read: No such file"):
        read_model_config_file(tmp_path / "nowhere.config")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(KerasftError, match="not UTF-8"):
        read_batching_parameters_file(tmp_path / "bytes")


def test_batching_parameters_as_the_servers_guide_writes_them(written):
    text = """
    max_batch_size { value: 128 }
    batch_timeout_micros { value: 0 }
    max_enqueued_batches { value: 1000000 }
    num_batch_threads { value: 8 }
    allowed_batch_sizes: 16
    allowed_batch_sizes: 128
    pad_variable_length_inputs: true
    """
    assert read_batching_parameters_file(written(text)) == BatchingParameters(
        128, 0, 1_000_000, 8, (16, 128), pad_variable_length_inputs=True
    )
    text = "max_batch_size { value: 32 } enable_large_batch_splitting { value: true } thread_pool_name { value: 'p' }"
    found = read_batching_parameters_file(written(text))
    assert (found.enable_large_batch_splitting, found.max_execution_batch_size, found.thread_pool_name) == (
        True,
        32,
        "p",
    )
    assert read_batching_parameters_file(written("")) == BatchingParameters()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 128", r"file\.config:1: expected a BatchingParameters"),
        ("\nmax_batchsize { value: 1 }", r'file\.config:2: .*"max_batchsize"'),
        ("max_batch_size { value: 128 }\nallowed_batch_sizes: 64", r"file\.config: Last entry in allowed_batch_sizes"),
        ("num_batch_threads { value: -1 }", r"file\.config: num_batch_threads must be positive; was -1"),
    ],
)
def test_batching_parameters_that_are_wrong(written, text, words):
    with pytest.raises(KerasftError, match=words):
        read_batching_parameters_file(written(text))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('prometheus_config { enable: true path: "/metrics" }', "/metrics"),
        ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
        ('prometheus_config { path: "/metrics" }', None),
        ("", None),
    ],
)
def test_where_prometheus_reads(written, text, path):
    assert read_monitoring_config_file(written(text)) == path


def test_keys_and_certificates(written):
    key, cert = PEM.format("PRIVATE KEY", "PRIVATE KEY"), PEM.format("CERTIFICATE", "CERTIFICATE")
    found = read_ssl_config_file(written(f'server_key: "{key}" server_cert: "{cert}"'))
    assert found.server_key == b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
    assert (found.custom_ca, found.client_verify) == (b"", False)
    both = f'server_key: "{key}" server_cert: "{cert}" client_verify: true'
    found = read_ssl_config_file(written(f'{both} custom_ca: "{cert}"'))
    assert found.client_verify
    assert found.custom_ca == found.server_cert
    with pytest.raises(KerasftError, match="client_verify needs custom_ca"):
        read_ssl_config_file(written(both))
    with pytest.raises(KerasftError, match=r"expected server_cert to hold PEM text \(-----BEGIN …\), found a path"):
        read_ssl_config_file(written(f'server_key: "{key}" server_cert: "/etc/tls.crt"'))
    with pytest.raises(KerasftError, match=r"server_key to hold PEM text .* found nothing"):
        read_ssl_config_file(written(""))
