"""A small run, and one that was never stopped, for others to be compared with."""

import pytest

from tests.made_once import made_once
from tests.run_results import write_bert
from tests.small_runs import PHASES, Recorded, Small, record
from tests.toy import toy_rows, write_csv


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Small:
    """A run of a second or two an epoch, dropout on."""

    def make(folder):
        write_bert(folder / "bert")
        write_csv(folder / "rows.csv", toy_rows(60))

    folder = made_once(tmp_path_factory, "small", make)
    settings = {"batch_size": 8, "save_steps": 4, "precision": "float32", "phases": PHASES}
    return Small(folder / "bert", folder / "rows.csv", settings)


@pytest.fixture(scope="session")
def whole(small, tmp_path_factory) -> Recorded:
    """The small run, never stopped, with what `kill -9` would have left in each phase."""
    folder = made_once(tmp_path_factory, "whole", lambda folder: record(small, folder, {15, 18, 28, 29, 34}))
    return Recorded(folder / "whole", folder / "killed")
