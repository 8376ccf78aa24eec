import json
import shutil
import time
from pathlib import Path

import pytest
from tiny_backbone import CLOSED, Hub

from kerasft.backbones import catalog
from kerasft.backbones.layout import vocabulary_files
from kerasft.backbones.locate import is_here, locate, resolve
from kerasft.errors import KerasftError

HF_BERT = {"config.json": '{"model_type": "bert"}', "vocab.txt": "[PAD]\n", "model.safetensors": "w"}
HF_GPT2 = {
    "config.json": '{"model_type": "gpt2"}',
    "vocab.json": "{}",
    "merges.txt": "",
    "model.safetensors.index.json": json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}),
    "m-1.safetensors": "w",
    "m-2.safetensors": "w",
}
KERAS_BERT = {
    "config.json": '{"class_name": "BertBackbone", "registered_name": "keras_hub>BertBackbone"}',
    "metadata.json": "{}",
    "assets/tokenizer/vocabulary.txt": "[PAD]\n",
    "model.weights.h5": "w",
}
LAYOUTS = {"hf-bert": HF_BERT, "hf-gpt2": HF_GPT2, "keras-bert": KERAS_BERT}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def without(files, *names):
    return {name: text for name, text in files.items() if name not in names}


@pytest.fixture
def hugging_face(tmp_path, monkeypatch):
    """huggingface_hub's download, from a local folder; `asked` lists (file, local_files_only)."""
    import huggingface_hub
    from huggingface_hub import errors

    remote, cached, asked = tmp_path / "remote", tmp_path / "hub-cache", []
    remote.mkdir()

    def download(repo_id, filename, local_files_only=False):
        assert repo_id == "org/model"
        asked.append((filename, local_files_only))
        if not (cached / filename).exists():
            if local_files_only or not (remote / filename).exists():
                raise errors.LocalEntryNotFoundError("none") if local_files_only else errors.EntryNotFoundError("none")
            (cached / filename).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(remote / filename, cached / filename)
        return str(cached / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield remote, cached, asked


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    import kagglehub

    remote, cached = tmp_path / "remote", tmp_path / "kaggle-cache"
    remote.mkdir()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(cached))

    class Missing(OSError):
        response = type("Response", (), {"status_code": 404})

    def download(handle, path):
        folder = cached / "models" / handle
        if not (remote / path).exists():
            raise Missing(f"404 {path}")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(remote / path, folder / path)
        return str(folder / path)

    monkeypatch.setattr(kagglehub, "model_download", download)
    return remote


@pytest.mark.parametrize(
    ("name", "kind", "location", "family"),
    [
        ("minilm", "checked", "hf://sentence-transformers/all-MiniLM-L6-v2", "bert"),
        (
            "hf://sentence-transformers/all-MiniLM-L6-v2",
            "checked",
            "hf://sentence-transformers/all-MiniLM-L6-v2",
            "bert",
        ),
        ("gpt2_base_en", "kaggle", "kaggle://keras/gpt2/keras/gpt2_base_en/3", "gpt2"),
        ("bge_small_en", "kaggle", "kaggle://keras/bge/keras/bge_small_en/1", "bert"),
        ("hf://org/model", "huggingface", "hf://org/model", None),
        ("kaggle://org/bert/keras/mine", "kaggle", "kaggle://org/bert/keras/mine", None),
        ("kaggle://org/bert/keras/mine/2", "kaggle", "kaggle://org/bert/keras/mine/2", None),
    ],
)
def test_names_and_addresses(name, kind, location, family):
    source = resolve(name)
    assert (source.name, source.kind, source.location, source.family) == (name, kind, location, family)


@pytest.mark.parametrize(
    ("files", "kind", "family"),
    [
        (HF_BERT, "huggingface-folder", "bert"),
        (HF_GPT2, "huggingface-folder", "gpt2"),
        (KERAS_BERT, "keras-folder", "bert"),
    ],
    ids=LAYOUTS,
)
def test_local_model_folders(tmp_path, files, kind, family):
    folder = write(tmp_path / "mine", files)
    source = resolve(str(folder))
    assert (source.kind, source.family, source.location) == (kind, family, str(folder))
    assert locate(str(folder)) == folder
    assert all(path.is_file() for path in vocabulary_files(folder))


@pytest.mark.parametrize(
    ("files", "family"), [({"vocab.txt": "[PAD]\n"}, "bert"), ({"vocab.json": "{}", "merges.txt": ""}, "gpt2")]
)
def test_a_vocabulary_alone_is_good_for_tokens_only(tmp_path, files, family):
    folder = write(tmp_path / "words", files)
    assert (resolve(str(folder)).kind, resolve(str(folder)).family) == ("vocabulary-folder", family)
    assert locate(str(folder), weights=False) == folder
    with pytest.raises(KerasftError, match=r"no weights.*kerasft tokens"):
        locate(str(folder))


def test_a_folder_named_like_nothing_else_needs_no_slash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine", HF_BERT)
    write(tmp_path / "minilm", HF_BERT)
    assert resolve("mine").kind == "huggingface-folder"
    assert resolve("minilm").kind == "checked"
    assert resolve("./minilm").kind == "huggingface-folder"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("miniln", "no backbone named 'miniln'.*Did you mean \"minilm\""),
        ("bert-base-en", 'Did you mean "bert_base_en"'),
        ("", "no backbone named"),
        ("./nowhere", "There is no folder './nowhere'"),
        ("google/bert", "There is no folder 'google/bert'.*hf://google/bert"),
        ("hf://bert", "expected hf://org/model"),
        ("hf://a/b/c", "expected hf://org/model"),
        ("hf://../model?x/y", "expected hf://org/model"),
        ("kaggle://keras/bert", "expected kaggle://org/model/keras/variant"),
        ("kaggle://keras/bert/keras/x/latest", "expected kaggle://org/model/keras/variant"),
        ("gs://bucket/model", "unknown scheme"),
    ],
)
def test_what_is_no_backbone(name, message):
    with pytest.raises(KerasftError, match=message) as error:
        locate(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": '{"model_type": "roberta"}'}, "architecture 'roberta'; supported are the BERT and GPT-2"),
        ({"config.json": '{"class_name": "LlamaBackbone"}'}, "architecture 'LlamaBackbone'; supported"),
        ({"config.json": "{}"}, "neither 'model_type'.*nor 'class_name'"),
        ({"config.json": "[1]"}, "neither 'model_type'"),
        ({"config.json": "{oops"}, "cannot be read as JSON"),
        ({"notes.txt": "", "a.bin": ""}, "holds no model.*found a.bin, notes.txt"),
        ({}, "holds no model.*found nothing"),
        (without(HF_BERT, "model.safetensors"), "no weights: expected model.safetensors"),
        (without(HF_BERT, "model.safetensors") | {"pytorch_model.bin": ""}, "safe_serialization"),
        (without(KERAS_BERT, "model.weights.h5"), "no weights: expected model.weights.h5"),
        (without(HF_BERT, "vocab.txt"), "lacks a WordPiece vocabulary: expected vocab.txt"),
        (without(HF_GPT2, "merges.txt"), "lacks a byte-level BPE vocabulary: expected merges.txt"),
        (without(HF_GPT2, "m-2.safetensors"), "lacks 1 of its weight files: m-2.safetensors"),
    ],
)
def test_folders_that_will_not_do(tmp_path, files, message):
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(KerasftError, match=message) as error:
        locate(str(write(folder, files)))
    assert "\n" not in str(error.value)


def test_a_file_is_not_a_folder(tmp_path):
    with pytest.raises(KerasftError, match="is a file; pass the folder"):
        resolve(str(write(tmp_path, {"model.safetensors": ""}) / "model.safetensors"))


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_hugging_face_gives_a_folder_that_resolves(hugging_face, files):
    remote, cached, _ = hugging_face
    write(remote, files)
    folder = locate("hf://org/model")
    assert folder == cached
    assert resolve(str(folder)).family in ("bert", "gpt2")
    assert locate(str(folder)) == folder


def test_tokens_need_no_weights_from_the_hub(hugging_face):
    remote, cached, _ = hugging_face
    write(remote, HF_BERT)
    locate("hf://org/model", weights=False)
    assert not (cached / "model.safetensors").exists()


def test_cached_model_works_without_network(hugging_face, monkeypatch):
    _, cached, asked = hugging_face
    write(cached, HF_BERT)
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    assert locate("hf://org/model") == cached
    assert all(local for _, local in asked)
    (cached / "vocab.txt").unlink()
    with pytest.raises(KerasftError, match=r"cached only in part.*does not answer.*Ways out"):
        locate("hf://org/model")


def test_no_network_and_not_cached_is_told_at_once(monkeypatch, tmp_path):
    """With huggingface_hub's real client: asked on its own it retries for over 20 seconds."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    start = time.monotonic()
    with pytest.raises(KerasftError, match=r"not cached and Hugging Face does not answer.*Ways out") as error:
        locate("hf://kerasft-no-such-org/no-such-model")
    assert time.monotonic() - start < 6
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"README.md": ""}, "has no config.json"),
        ({"config.json": '{"model_type": "llama"}'}, "'llama'; supported"),
        (without(HF_BERT, "model.safetensors"), "no weights"),
        (without(HF_BERT, "vocab.txt"), "lacks a WordPiece"),
    ],
)
def test_hub_models_that_will_not_do(hugging_face, files, message):
    write(hugging_face[0], files)
    with pytest.raises(KerasftError, match=message):
        locate("hf://org/model")


def test_kaggle_preset_by_name(kaggle, monkeypatch):
    entry = catalog.find("bert_tiny_en_uncased")
    assert not is_here(entry)
    write(kaggle, KERAS_BERT)
    lines = []
    folder = locate(entry.name, lines.append)
    assert resolve(str(folder)).kind == "keras-folder"
    assert is_here(entry)
    assert lines == ["bert_tiny_en_uncased: not cached; downloading it from Kaggle"]
    locate(entry.name, lines.append)
    assert len(lines) == 1


def test_kaggle_that_does_not_answer_names_the_ways_out(kaggle, monkeypatch):
    import kagglehub

    def refuse(*_):
        raise ConnectionError("Name or service not known\nand more")

    monkeypatch.setattr(kagglehub, "model_download", refuse)
    with pytest.raises(KerasftError, match=r"Kaggle.*Ways out.*fetch gpt2_base_en") as error:
        locate("gpt2_base_en")
    assert "\n" not in str(error.value)
