"""What a model folder looks like: the two layouts (Keras preset, Hugging Face) of the two families."""

import json
from dataclasses import dataclass
from pathlib import Path

from kerasft.backbones.catalog import Family
from kerasft.errors import KerasftError

CONFIG = "config.json"
# How the two layouts name a family in config.json: `model_type` in one, `class_name` in the other.
MODEL_TYPES: dict[str, Family] = {"bert": "bert", "gpt2": "gpt2"}
CLASS_NAMES: dict[str, Family] = {"BertBackbone": "bert", "GPT2Backbone": "gpt2"}
SUPPORTED = "supported are the BERT and GPT-2 families"


@dataclass(frozen=True)
class Layout:
    """The files of one layout. `weights` is one file; `shards` is the index that names several instead."""

    kind: str
    weights: str
    shards: str
    vocabulary: dict[Family, tuple[str, ...]]
    settings: tuple[str, ...]


HUGGING_FACE = Layout(
    kind="huggingface-folder",
    weights="model.safetensors",
    shards="model.safetensors.index.json",
    vocabulary={"bert": ("vocab.txt",), "gpt2": ("vocab.json", "merges.txt")},
    settings=("tokenizer_config.json", "tokenizer.json"),
)
KERAS = Layout(
    kind="keras-folder",
    weights="model.weights.h5",
    shards="model.weights.json",
    vocabulary={
        "bert": ("assets/tokenizer/vocabulary.txt",),
        "gpt2": ("assets/tokenizer/vocabulary.json", "assets/tokenizer/merges.txt"),
    },
    settings=("metadata.json", "tokenizer.json"),
)
VOCABULARY_ONLY = "vocabulary-folder"


def read_config(file: Path, name: str) -> tuple[Layout, Family]:
    """Tells layout and family from a `config.json`.

    Args:
        file: the config file.
        name: how the user named this backbone, for messages.

    Raises:
        KerasftError: not JSON, of neither layout, or of a family that is not supported.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KerasftError(f"Backbone '{name}': its {CONFIG} cannot be read as JSON ({error}).") from error
    if isinstance(config, dict) and "model_type" in config:
        layout, kind, families = HUGGING_FACE, config["model_type"], MODEL_TYPES
    elif isinstance(config, dict) and "class_name" in config:
        layout, kind, families = KERAS, config["class_name"], CLASS_NAMES
    else:
        raise KerasftError(
            f"Backbone '{name}': its {CONFIG} has neither 'model_type' (a Hugging Face folder) nor 'class_name' "
            "(a Keras preset folder). Pass the folder that save_pretrained or save_to_preset wrote."
        )
    if kind not in families:
        raise KerasftError(f"Backbone '{name}' is of the architecture '{kind}'; {SUPPORTED}.")
    return layout, families[kind]


def describe(folder: Path, name: str) -> tuple[str, Family]:
    """Tells what a local folder holds.

    Returns:
        `(kind, family)`, kind `huggingface-folder`, `keras-folder` or `vocabulary-folder` (tokens only).

    Raises:
        KerasftError: it holds none of these.
    """
    if (folder / CONFIG).is_file():
        layout, family = read_config(folder / CONFIG, name)
        return layout.kind, family
    for family, files in HUGGING_FACE.vocabulary.items():
        if all((folder / file).is_file() for file in files):
            return VOCABULARY_ONLY, family
    found = sorted(path.name for path in folder.iterdir())
    listing = ", ".join(found[:5]) + (", …" if len(found) > 5 else "") if found else "nothing"
    raise KerasftError(
        f"The folder '{name}' holds no model: expected {CONFIG} with weights and a vocabulary "
        f"(or, for tokens only, vocab.txt, or vocab.json and merges.txt); found {listing}."
    )


def vocabulary_files(folder: Path) -> tuple[Path, ...]:
    """The vocabulary in a folder of any kind: `(vocabulary,)` for BERT, `(vocabulary, merges)` for GPT-2.

    Raises:
        KerasftError: the folder holds no model, or its vocabulary is missing.
    """
    kind, family = describe(folder, str(folder))
    files = (KERAS if kind == KERAS.kind else HUGGING_FACE).vocabulary[family]
    paths = tuple(folder / file for file in files)
    missing = [file for file, path in zip(files, paths, strict=True) if not path.is_file()]
    if missing:
        what = "a WordPiece vocabulary" if family == "bert" else "a byte-level BPE vocabulary"
        raise KerasftError(f"The model in '{folder}' lacks {what}: expected {' and '.join(missing)}.")
    return paths


def shard_files(index: Path) -> list[str]:
    """The names of the weight files that a shard index (of either layout) lists, without any outside its folder."""
    try:
        values = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        names = {name for value in values for name in (value if isinstance(value, list) else [value])}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise KerasftError(f"The weight index '{index}' cannot be read ({error!r}).") from error
    return sorted(name for name in names if Path(name).name == name)


def check_weights(folder: Path, layout: Layout, name: str) -> None:
    """Raises a `KerasftError` unless the folder has the layout's weights, every shard included."""
    if (folder / layout.weights).is_file():
        return
    if (folder / layout.shards).is_file():
        missing = [shard for shard in shard_files(folder / layout.shards) if not (folder / shard).is_file()]
        if missing:
            raise KerasftError(f"Backbone '{name}' lacks {len(missing)} of its weight files: {', '.join(missing[:3])}.")
        return
    mend = (
        " Save it anew with save_pretrained(folder, safe_serialization=True)."
        if (folder / "pytorch_model.bin").exists()
        else " Copy the weights there too."
    )
    raise KerasftError(f"Backbone '{name}' has no weights: expected {layout.weights} in '{folder}'.{mend}")
