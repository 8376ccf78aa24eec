"""Labels in `models.config`, and versions that go: what a server would read, and what is never removed."""

import pytest
from click.testing import CliRunner

from kerasft.errors import KerasftError
from kerasft.export.promote import labels, promote, remove_old


@pytest.fixture
def exports(tmp_path):
    for name, count in (("sentiment", 12), ("spam", 2)):
        for version in range(1, count + 1):
            (tmp_path / name / str(version)).mkdir(parents=True)
            (tmp_path / name / str(version) / "saved_model.pb").touch()
    return tmp_path


def _left(exports, name="sentiment"):
    return sorted(int(path.name) for path in (exports / name).iterdir())


def test_the_server_s_own_message_reads_the_file(exports):
    config_pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    promote(exports, "spam", 1)
    promote(exports, "sentiment", 3)
    promote(exports, "sentiment", 9, "canary", base_path="/else")
    path = promote(exports, "sentiment", 4)
    read = text_format.Parse(path.read_text(), config_pb2.ModelServerConfig())
    spam, sentiment = read.model_config_list.config
    assert dict(spam.version_labels) == {"stable": 1}
    assert spam.base_path == "/models/spam"
    assert dict(sentiment.version_labels) == {"stable": 4, "canary": 9}
    assert sentiment.base_path == "/models/sentiment"
    assert sentiment.model_platform == "tensorflow"
    assert list(sentiment.model_version_policy.specific.versions) == [4, 9, 12]


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [("sentimnt", 1, 'Did you mean "sentiment"'), ("sentiment", 15, "nearest is 12"), ("..", 1, "cannot name a model")],
)
def test_unknown_ones_change_nothing(exports, name, version, message):
    before = promote(exports, "spam", 1).read_text()
    with pytest.raises(KerasftError, match=message):
        promote(exports, name, version)
    assert (exports / "models.config").read_text() == before


def test_old_versions_go_but_labelled_ones_stay(exports):
    promote(exports, "sentiment", 3)
    assert remove_old(exports, "sentiment", 2) == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert _left(exports) == [3, 11, 12]
    assert _left(exports, "spam") == [1, 2]


def test_a_file_that_we_cannot_read_removes_nothing(exports):
    (exports / "models.config").write_text("model_config_list { config { nonsense: 1 } }")
    with pytest.raises(KerasftError, match="nonsense"):
        remove_old(exports, "sentiment", 1)
    with pytest.raises(KerasftError, match="nonsense"):
        promote(exports, "sentiment", 1)
    assert len(_left(exports)) == 12


def test_the_commands(exports, monkeypatch):
    from kerasft.cli import group
    from kerasft.export import publish

    run = CliRunner()
    said = run.invoke(group, ["promote", "sentiment", "2", "--label", "old", "--export-dir", str(exports)])
    assert said.exit_code == 0
    assert labels(exports, "sentiment") == {"old": 2}
    monkeypatch.setattr(publish, "export", lambda *_, **__: exports / "sentiment" / "12")
    said = run.invoke(group, ["export", "run", "--export-dir", str(exports), "--keep-last", "1"])
    assert said.exit_code == 0, said.output
    assert _left(exports) == [2, 12]
