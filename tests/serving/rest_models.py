"""What the REST tests serve: every model that the conformance cases name."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kerasft.serving.base_path import Policy
from kerasft.serving.model_config import ModelConfig
from kerasft.serving.models import Models, ModelsOptions


@contextlib.contextmanager
def served(two: Path, two_tf2: Path, three: Path, counter: Path) -> Iterator[Models]:
    """HP2 in both versions, 123 with the label L; HP2TF2, HP3 and CNT."""
    configs = [ModelConfig(name, str(path)) for name, path in (("HP2TF2", two_tf2), ("HP3", three), ("CNT", counter))]
    both = Policy("specific", versions=(123, 124))
    models = Models([ModelConfig("HP2", str(two), policy=both), *configs], ModelsOptions(0))
    models.start()
    try:
        # A label may name a version only once it is there.
        models.reload([ModelConfig("HP2", str(two), policy=both, labels={"L": 123}), *configs])
        yield models
    finally:
        models.close()
