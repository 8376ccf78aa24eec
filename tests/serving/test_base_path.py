from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasft.serving.base_path import Policy, aspired_versions, fingerprint
from tests.serving.stand_in import write


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        (Policy(), [9]),
        (Policy("latest", 2), [7, 9]),
        (Policy("latest", 0), [9]),  # TensorFlow Serving takes an unset number for one
        (Policy("latest", 50), [1, 7, 9]),
        (Policy("all"), [1, 7, 9]),
        (Policy("specific", versions=(1, 7, 8)), [1, 7]),
    ],
)
def test_which_versions_a_policy_wants(tmp_path, policy, versions):
    write(tmp_path, 1, 7, 9)
    assert sorted(aspired_versions(tmp_path, policy)) == versions


def test_only_numbers_are_versions_whatever_they_hold(tmp_path):
    for name in ("00000123", "7", "tmp-8", "9.partial", "-3", "1e3", "٣", str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "124").write_text("a file")
    found = aspired_versions(tmp_path, Policy("all"))
    assert {version: path.name for version, path in found.items()} == {123: "00000123", 7: "7", 124: "124"}


def test_a_base_path_that_is_not_there_is_not_an_empty_one(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        aspired_versions(tmp_path / "nowhere", Policy())
    assert aspired_versions(tmp_path, Policy()) == {}


@given(versions=st.sets(st.integers(0, 10**9), max_size=6), count=st.integers(1, 8))
def test_the_latest_are_the_highest_as_numbers(tmp_path_factory, versions: set[int], count: int):
    base = tmp_path_factory.mktemp("base")
    for version in versions:
        (base / str(version)).mkdir()
    assert sorted(aspired_versions(base, Policy("latest", count))) == sorted(versions)[-count:]


def test_a_fingerprint_changes_with_what_the_folder_holds(tmp_path: Path):
    (tmp_path / "variables").mkdir()
    marks = [fingerprint(tmp_path)]
    (tmp_path / "variables" / "data").write_bytes(b"12")
    marks.append(fingerprint(tmp_path))
    (tmp_path / "variables" / "data").write_bytes(b"123")
    marks.append(fingerprint(tmp_path))
    assert len(set(marks)) == 3
    assert fingerprint(tmp_path) == marks[-1]
