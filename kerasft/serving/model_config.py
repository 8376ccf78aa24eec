"""What a model server is told of each model, and what of it is legal."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kerasft.serving.base_path import Policy
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

PLATFORM = "tensorflow"
_ABSOLUTE = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class ModelConfig:
    """One entry of TensorFlow Serving's `model_config_list`.

    Attributes:
        name: what requests call the model.
        base_path: the folder of its versions, an absolute path.
        platform: `tensorflow`; no other is served.
        policy: which of the versions are served.
        labels: label -> version, for requests that name a label.
    """

    name: str
    base_path: str
    platform: str = PLATFORM
    policy: Policy = field(default_factory=Policy)
    labels: Mapping[str, int] = field(default_factory=dict)


def check_configs(configs: Sequence[ModelConfig], present: Mapping[str, ModelConfig]) -> None:
    """Judges a new list of models as model_servers/server_core.cc does.

    Args:
        configs: the new list.
        present: what is served now, by name.

    Raises:
        ServingError: INVALID_ARGUMENT, in its words.
    """
    seen = set()
    for config in configs:
        if config.name in seen:
            raise _invalid(f"Illegal to list model {config.name} multiple times in config list")
        seen.add(config.name)
    for config in configs:
        if not _ABSOLUTE.match(config.base_path):
            words = f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}"
            raise _invalid(words)
    for config in configs:
        if config.name in present and present[config.name].platform != config.platform:
            was = f"For model {config.name} platform was {present[config.name].platform}"
            words = f"Illegal to change a model's platform. {was} and new platform requested is {config.platform}"
            raise _invalid(words)
    for config in configs:
        if config.platform != PLATFORM:
            raise _invalid(f"Model {config.name} requests unsupported platform {config.platform}")


def _invalid(message: str) -> ServingError:
    return ServingError(INVALID_ARGUMENT, message)
