"""Base paths of the models that the conformance cases name. Nobody may change what is in them: copy the folder."""

from pathlib import Path

import pytest

from tests.made_once import made_once
from tests.serving import half_plus


@pytest.fixture(scope="session")
def half_plus_two(tmp_path_factory) -> Path:
    """HP2: versions 123 and 124, of TensorFlow 1."""
    return made_once(tmp_path_factory, "half_plus_two", half_plus.write_half_plus_two)


@pytest.fixture(scope="session")
def half_plus_two_tf2(tmp_path_factory) -> Path:
    """HP2TF2: version 123, every method is predict."""
    return made_once(tmp_path_factory, "half_plus_two_tf2", half_plus.write_half_plus_two_tf2)


@pytest.fixture(scope="session")
def half_plus_three(tmp_path_factory) -> Path:
    """HP3: version 123."""
    return made_once(tmp_path_factory, "half_plus_three", half_plus.write_half_plus_three)


@pytest.fixture(scope="session")
def counter(tmp_path_factory) -> Path:
    """CNT: version 123."""
    return made_once(tmp_path_factory, "counter", half_plus.write_counter)
