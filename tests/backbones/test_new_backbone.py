"""Backbones from scratch: names that are read, names that are refused, and a folder that loads like any other."""

import numpy as np
import pytest

from kerasft.backbones import fetch as fetching
from kerasft.backbones.load import load_backbone, load_text_functions
from kerasft.backbones.locate import locate, resolve
from kerasft.backbones.new import load_new, parse_new, usual_vocabulary, write_definition, write_new
from kerasft.errors import KerasftError
from tests.toy_gpt2 import train, write_files

SMALL = "new:gpt2?layers=2&hidden=64&heads=4&context=32&dropout=0"


def test_what_a_name_says_and_what_it_leaves_out():
    assert parse_new("new:gpt2").settings == {
        "layers": 12,
        "hidden": 768,
        "heads": 12,
        "inner": 3072,
        "context": 1024,
        "dropout": 0.1,
    }
    found = parse_new("new:gpt2?layers=4&hidden=256&heads=8").settings
    assert (found["layers"], found["hidden"], found["heads"], found["inner"]) == (4, 256, 8, 1024)
    assert parse_new("new:gpt2?hidden=256").settings["heads"] == 4
    assert parse_new("new:gpt2?hidden=100").settings["heads"] == 2
    assert parse_new("new:gpt2?hidden=7").settings["heads"] == 1
    assert parse_new("new:gpt2?inner=50&dropout=0.25").settings["inner"] == 50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt2?layers=4", "names no new backbone: expected such as 'new:gpt2"),
        ("new:", "names no new backbone"),
        ("new:?layers=4", "names no new backbone"),
        ("new:gpt2?", "names no new backbone"),
        ("new:gpt3", "no 'gpt3' can be made from scratch. Did you mean \"gpt2\""),
        ("new:gpt2?layer=4", "an unknown key 'layer'. Did you mean \"layers\""),
        ("new:gpt2?depth=4", "an unknown key 'depth'. Known: context, dropout, heads"),
        ("new:gpt2?layers=4&layers=5", "has 'layers' twice"),
        ("new:gpt2?layers", "cannot be read: expected key=value"),
        ("new:gpt2?layers=", "layers must be a whole number, such as 12; found ''"),
        ("new:gpt2?layers=four", "layers must be a whole number, such as 12; found 'four'"),
        ("new:gpt2?layers=4.5", "layers must be a whole number"),
        ("new:gpt2?layers=0", "layers must be a whole number from 1 to 1,000; found '0'"),
        ("new:gpt2?layers=-2", "layers must be a whole number from 1"),
        ("new:gpt2?dropout=1", "dropout must be a number from 0.0 to 0.99"),
        ("new:gpt2?dropout=nan", "dropout must be a number from 0.0 to 0.99"),
        ("new:gpt2?hidden=256&heads=5", "5 heads do not divide hidden=256. Set heads=2 or heads=4."),
        ("new:gpt2?hidden=4&heads=9", "9 heads do not divide hidden=4. Set heads=2 or heads=4."),
        ("new:gpt2?heads=7", "7 heads do not divide hidden=768. Set heads=6 or heads=8."),
    ],
)
def test_names_that_are_refused(name, message):
    with pytest.raises(KerasftError) as caught:
        parse_new(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("vocabulary"), *train())


@pytest.fixture(scope="module")
def folder(vocabulary, tmp_path_factory):
    return write_new(parse_new(SMALL), vocabulary, tmp_path_factory.mktemp("new") / "gpt2", seed=3)


def test_the_folder_is_a_backbone_like_any_other(folder, vocabulary):
    assert locate(str(folder)) == folder
    assert (resolve(str(folder)).kind, resolve(str(folder)).family) == ("keras-folder", "gpt2")
    backbone, functions = load_backbone(folder), load_text_functions(folder)
    assert (backbone.hidden_size, len(backbone.blocks), functions.max_length) == (64, 2, 32)
    assert functions.vocabulary == load_text_functions(vocabulary).vocabulary
    assert backbone.token_embedding.weights[0].shape == (len(functions.vocabulary), 64)
    tokens = functions.pack([functions.tokenize(["the film is good", ""]).ids], max_length=32)
    hidden = backbone.model(tokens)
    assert hidden.shape[-1] == 64
    assert np.isfinite(hidden).all()


def test_the_weights_are_spread_as_gpt2s(folder):
    backbone = load_backbone(folder)
    deviation = {weight.path: float(np.std(weight)) for weight in backbone.model.weights}
    assert deviation["token_embedding/embeddings"] == pytest.approx(0.02, rel=0.1)
    kernels = {path: spread for path, spread in deviation.items() if path.endswith("kernel")}
    assert len(kernels) == 12
    for path, spread in kernels.items():
        of_residual = "attention_output" in path or "feedforward_output" in path
        assert spread == pytest.approx(0.01 if of_residual else 0.02, rel=0.1), path
    positions = [spread for path, spread in deviation.items() if path.startswith("position_embedding")]
    assert positions == [pytest.approx(0.01, rel=0.1)]
    others = [path for path in deviation if path.endswith(("bias", "beta", "gamma"))]
    assert len(others) == 2 * (6 + 4) + 2
    assert all(deviation[path] == 0 for path in others)


def test_a_seed_gives_its_weights_whatever_was_drawn_before(folder, vocabulary, tmp_path):
    import keras

    keras.utils.set_random_seed(77)
    again = write_new(parse_new(SMALL), vocabulary, tmp_path / "again", seed=3)
    other = write_new(parse_new(SMALL), vocabulary, tmp_path / "other", seed=4)
    first, second, third = (load_backbone(place).model.get_weights() for place in (folder, again, other))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], third[0])


def test_nothing_is_written_over_and_nothing_is_left_half_done(folder, vocabulary, tmp_path):
    with pytest.raises(KerasftError, match="is there already"):
        write_new(parse_new(SMALL), vocabulary, folder, seed=3)
    with pytest.raises(KerasftError, match="has no vocabulary"):
        write_new(parse_new(SMALL), tmp_path, tmp_path / "made", seed=3)
    assert list(tmp_path.iterdir()) == []


def test_without_a_vocabulary_of_its_own_it_has_the_familys(monkeypatch, tmp_path):
    asked = []

    def download(entry, folder, say):
        asked.append(entry.name)
        for file in entry.files:
            with open(folder / file.name, "wb") as stream:
                stream.truncate(file.size)  # only sizes are looked at when files lie in the cache
        return "a test"

    monkeypatch.setattr(fetching, "_download", download)
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path))
    new = parse_new("new:gpt2")
    assert usual_vocabulary(new) == usual_vocabulary(new) == locate("gpt2-vocabulary") == tmp_path / "gpt2-vocabulary"
    assert locate("new:gpt2?layers=2", weights=False) == tmp_path / "gpt2-vocabulary"
    assert asked == ["gpt2-vocabulary"]


def test_a_name_is_looked_at_and_has_no_files():
    source = resolve("new:gpt2?layers=2")
    assert (source.name, source.kind, source.family) == ("new:gpt2?layers=2", "new", "gpt2")
    with pytest.raises(KerasftError, match="has no files: each run makes its own"):
        locate("new:gpt2?layers=2")
    with pytest.raises(KerasftError, match='Did you mean "layers"'):
        resolve("new:gpt2?layer=2")
    with pytest.raises(KerasftError, match="or one from scratch such as new:gpt2"):
        resolve("no_such_backbone")


def test_a_definition_and_a_seed_are_the_whole_backbone(folder, vocabulary, tmp_path):
    import keras

    definition = write_definition(parse_new(SMALL), vocabulary, tmp_path / "definition")
    assert not [path for path in definition.rglob("*") if path.suffix == ".h5"]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        made = load_new(definition, seed=3)
    finally:
        keras.config.set_dtype_policy(before)
    assert made.blocks[0].compute_dtype == "bfloat16"
    for ours, theirs in zip(made.model.get_weights(), load_backbone(folder).model.get_weights(), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs)
    assert load_text_functions(definition).vocabulary == load_text_functions(folder).vocabulary
