"""A small run, and one that was never stopped, for others to be compared with."""

import pytest

from tests.run_results import write_bert
from tests.small_runs import PHASES, Recorded, Small, record
from tests.toy import toy_rows, write_csv


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Small:
    """A run of a second or two an epoch, dropout on."""
    folder = tmp_path_factory.mktemp("small")
    settings = {"batch_size": 8, "save_steps": 4, "precision": "float32", "phases": PHASES}
    return Small(write_bert(folder / "bert"), write_csv(folder / "rows.csv", toy_rows(60)), settings)


@pytest.fixture(scope="session")
def whole(small, tmp_path_factory) -> Recorded:
    """The small run, never stopped, with what `kill -9` would have left in each phase."""
    return record(small, tmp_path_factory.mktemp("plain"), {15, 18, 28, 29, 34})
