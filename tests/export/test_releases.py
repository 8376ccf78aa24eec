"""Which releases load an export: never a yes or a no that the tables do not hold."""

import pytest

from kerasft.errors import KerasftError
from kerasft.export.releases import loads_in, minor_releases


def test_between_two_releases_that_were_read_it_is_unknown():
    answers = loads_in("2.16", minor_releases("2.12..2.17"))
    assert list(answers.values()) == ["no", "unknown", "unknown", "unknown", "yes", "yes"]
    assert list(answers) == ["2.12", "2.13", "2.14", "2.15", "2.16", "2.17"]
    assert loads_in("2.21", minor_releases("2.20")) == {"2.20": "no"}
    assert set(loads_in("2.12", minor_releases("2.12..2.21")).values()) == {"yes"}


@pytest.mark.parametrize("text", ["2.11", "2.12..2.22", "2.16..2.14", "3.1", "2.12...2.14", "", "2.x"])
def test_other_forms_are_refused(text):
    with pytest.raises(KerasftError, match=r"such as 2\.16"):
        minor_releases(text)


def test_the_command_says_it_and_exits_1(monkeypatch):
    from click.testing import CliRunner

    from kerasft.cli import group
    from kerasft.export import check

    report = {"export": "x", "findings": [], "servable": True, "lowest_release": "2.20"}
    monkeypatch.setattr(check, "check_export", lambda _: dict(report))
    said = CliRunner().invoke(group, ["check", "x", "--tf-serving", "2.16..2.20"])
    assert "2.16: no" in said.output
    assert "2.18: unknown" in said.output
    assert "2.20: yes" in said.output
    assert said.exit_code == 1
    assert CliRunner().invoke(group, ["check", "x", "--tf-serving", "2.20..2.21"]).exit_code == 0
