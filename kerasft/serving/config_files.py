"""The files that `tensorflow_model_server` takes by a flag, read as it reads them.

`--model_config_file`, `--batching_parameters_file`, `--monitoring_config_file` and `--ssl_config_file`.
"""

from dataclasses import dataclass
from pathlib import Path

from kerasft.errors import KerasftError
from kerasft.serving.base_path import Policy
from kerasft.serving.batching import BatchingParameters
from kerasft.serving.model_config import PLATFORM, ModelConfig
from kerasft.serving.status import INVALID_ARGUMENT, ServingError
from kerasft.serving.text_proto import message_class, read_text_proto

BATCHING_PARAMS = "batching_params.pbtxt"  # bundle_factory_util.cc
PROMETHEUS_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True)
class SslConfig:
    """What `--ssl_config_file` holds: PEM text, not paths.

    Attributes:
        server_key: the private key.
        server_cert: the certificate chain.
        custom_ca: the certificate authority that clients' certificates are checked with.
        client_verify: refuse a client without a certificate.
    """

    server_key: bytes
    server_cert: bytes
    custom_ca: bytes
    client_verify: bool


def read_model_config_file(path: str | Path) -> list[ModelConfig]:
    """Reads a `ModelServerConfig`.

    Raises:
        KerasftError: not such a file, or not a `model_config_list`.
        ServingError: what server_core.cc refuses in one.
    """
    from kerasft.serving.protos import model_server_config_pb2

    found = read_text_proto(path, model_server_config_pb2.ModelServerConfig())
    kind = found.WhichOneof("config")
    if kind != "model_config_list":
        # Also a file that is just being written again: taken for an empty list, it would end every model.
        raise KerasftError(
            f"{path}: expected a model_config_list, found {kind or 'nothing'}. For no model: model_config_list {{}}."
        )
    return model_configs(found.model_config_list)


def model_configs(config_list) -> list[ModelConfig]:
    """Reads a `ModelConfigList` message.

    Raises:
        ServingError: INVALID_ARGUMENT, in the words of model_servers/server_core.cc.
    """
    return [
        ModelConfig(
            name=config.name,
            base_path=config.base_path,
            platform=_platform(config),
            policy=_policy(config.model_version_policy),
            labels=dict(config.version_labels),
        )
        for config in config_list.config
    ]


def _platform(config) -> str:
    both = "ModelServerConfig::model_type (deprecated)", "ModelServerConfig::model_platform."
    if config.model_type:
        if config.model_platform:
            raise ServingError(INVALID_ARGUMENT, f"Illegal setting both {both[0]} and {both[1]}")
        if config.model_type != 1:  # ModelType.TENSORFLOW
            words = f"ModelServerConfig::model_type choice {config.model_type} not supported."
            raise ServingError(INVALID_ARGUMENT, words)
        return PLATFORM
    if not config.model_platform:
        raise ServingError(INVALID_ARGUMENT, f"Illegal setting neither {both[0]} nor {both[1]}")
    return config.model_platform


def _policy(found) -> Policy:
    choice = found.WhichOneof("policy_choice")
    if choice == "all":
        return Policy("all")
    if choice == "specific":
        return Policy("specific", versions=tuple(found.specific.versions))
    return Policy("latest", max(found.latest.num_versions, 1))


def read_batching_parameters_file(path: str | Path) -> BatchingParameters:
    """Reads `BatchingParameters`.

    Raises:
        KerasftError: not such a file, or values that the server would not start with.
    """
    found = read_text_proto(path, message_class("BatchingParameters")())
    given = {}
    for field, value in found.ListFields():
        if field.name == "allowed_batch_sizes":
            given[field.name] = tuple(value)
        else:
            given[field.name] = value.value if field.message_type else value
    try:
        return BatchingParameters(**given)
    except KerasftError as error:
        raise KerasftError(f"{path}: {error}") from None


def own_batching_parameters(folder: str | Path) -> BatchingParameters | None:
    """Reads a version's own `batching_params.pbtxt`, beside its `saved_model.pb`; None where it has none.

    Raises:
        ServingError: the version cannot be served, as in util/proto_util.h, with the reason behind it.
    """
    path = Path(folder) / BATCHING_PARAMS
    if not path.is_file():
        return None
    try:
        return read_batching_parameters_file(path)
    except KerasftError as error:
        raise ServingError(INVALID_ARGUMENT, f"Invalid protobuf file: '{path}'. {error}") from None


def read_monitoring_config_file(path: str | Path) -> str | None:
    """Reads a `MonitoringConfig`.

    Returns:
        The URL path that Prometheus reads, None if it is not enabled.

    Raises:
        KerasftError: not such a file.
    """
    found = read_text_proto(path, message_class("MonitoringConfig")()).prometheus_config
    if not found.enable:
        return None
    return found.path or PROMETHEUS_PATH


def read_ssl_config_file(path: str | Path) -> SslConfig:
    """Reads an `SSLConfig`.

    Raises:
        KerasftError: not such a file, or one without a key or a certificate.
    """
    found = read_text_proto(path, message_class("SSLConfig")())
    for name in ("server_key", "server_cert"):
        text = getattr(found, name)
        if "-----BEGIN" not in text:
            what = "nothing" if not text else "a path" if len(text) < 300 and "/" in text else "other text"
            raise KerasftError(f"{path}: expected {name} to hold PEM text (-----BEGIN …), found {what}.")
    if found.client_verify and not found.custom_ca:
        raise KerasftError(
            f"{path}: client_verify needs custom_ca, the authority that signs the clients' certificates."
        )
    texts = (text.encode() for text in (found.server_key, found.server_cert, found.custom_ca))
    return SslConfig(*texts, client_verify=found.client_verify)
