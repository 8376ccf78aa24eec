"""From what the user wrote after --backbone to a local folder with the model's files."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kerasft.backbones import hub, layout
from kerasft.backbones.catalog import CATALOG, VOCABULARIES, Entry, Family, find
from kerasft.backbones.download import from_hugging_face, from_kaggle, kaggle_folder
from kerasft.backbones.fetch import Report, fetch, is_cached
from kerasft.backbones.presets import keras_presets
from kerasft.backbones.setting import EXAMPLE, is_new
from kerasft.errors import KerasftError, did_you_mean

Kind = Literal["checked", "huggingface", "kaggle", "huggingface-folder", "keras-folder", "vocabulary-folder", "new"]


@dataclass(frozen=True)
class Source:
    """Where a backbone comes from.

    Attributes:
        name: as the user wrote it.
        kind: `checked` (in kerasft's own cache, with checksums), `huggingface` or `kaggle` (downloaded by the hub's
            own client, into its cache), or a local folder of three sorts; a vocabulary alone only makes tokens. `new`
            for one that is made from scratch, in a run.
        location: the `hf://` or `kaggle://` address, or the folder; the name of a new one.
        family: None as long as only a download can tell.
    """

    name: str
    kind: Kind
    location: str
    family: Family | None


def resolve(name: str) -> Source:
    """Tells what a backbone's name means; nothing is downloaded and TensorFlow is not imported.

    A catalogue name wins over a keras-nlp preset, which wins over a folder of the same name (`./name` is the folder).

    Raises:
        KerasftError: nothing of this name, a folder that is no model, an architecture of no supported family, a
            malformed address.
    """
    for entry in CATALOG:
        if name in (entry.name, entry.source):
            return _of_entry(name, entry)
    for entry in VOCABULARIES:
        if name == entry.name:
            return _of_entry(name, entry)
    if is_new(name):
        from kerasft.backbones.new import parse_new

        return Source(name, "new", name, parse_new(name).family)
    if "://" in name:
        return _of_address(name)
    folder = Path(name).expanduser()
    looks_like_path = name.startswith((".", "~")) or "/" in name or os.sep in name
    if not looks_like_path and (preset := keras_presets().get(name)):
        return Source(name, "kaggle", *preset)
    if name and folder.is_dir():
        kind, family = layout.describe(folder, name)
        return Source(name, kind, str(folder), family)
    if name and folder.exists():
        raise KerasftError(f"The backbone '{name}' is a file; pass the folder that holds config.json and the weights.")
    if looks_like_path:
        hint = f" A model on Hugging Face is written hf://{name}." if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else ""
        raise KerasftError(f"There is no folder '{name}' to take a backbone from.{hint}")
    names = [entry.name for entry in CATALOG]
    raise KerasftError(
        f"There is no backbone named '{name}': expected a name of the catalogue, a keras-nlp preset of the BERT or "
        f"GPT-2 family, hf://org/model, kaggle://org/model/keras/variant, a folder, or one from scratch such as "
        f"{EXAMPLE}.{did_you_mean(name, names)}"
    )


def locate(name: str, report: Report | None = None, weights: bool = True) -> Path:
    """The local folder with a backbone's files, downloaded when needed.

    `resolve(str(locate(name)))` then tells layout and family, whatever the name was.

    Args:
        name: anything that `resolve` takes.
        report: is given a line for each thing that is about to take time.
        weights: False when configuration and vocabulary are enough.

    Returns:
        A folder in Hugging Face or Keras preset layout, complete: config.json, vocabulary and (if asked) weights. Of a
        new backbone its family's own vocabulary.

    Raises:
        KerasftError: as `resolve`; files that are missing; no network and not cached (names the ways out); the weights
            of a new backbone, which each run makes (`kerasft.training.source`).
    """
    source = resolve(name)
    if source.kind == "checked":
        return fetch(find(name).name, report)
    if source.kind == "huggingface":
        return from_hugging_face(source.location, name, report, weights)
    if source.kind == "kaggle":
        return from_kaggle(source.location, name, report, weights)
    if source.kind == "new":
        from kerasft.backbones.new import parse_new, usual_vocabulary

        if weights:
            raise KerasftError(f"'{name}' has no files: each run makes its own, by its seed (kerasft fit --backbone).")
        return usual_vocabulary(parse_new(name), report)
    folder = Path(source.location)
    layout.vocabulary_files(folder)
    if weights and source.kind == layout.VOCABULARY_ONLY:
        raise KerasftError(
            f"The folder '{name}' holds a vocabulary and no weights: good for `kerasft tokens` only. "
            "Put config.json and model.safetensors beside it."
        )
    if weights:
        layout.check_weights(folder, layout.KERAS if source.kind == layout.KERAS.kind else layout.HUGGING_FACE, name)
    return folder


def is_here(entry: Entry) -> bool:
    """Whether a catalogue entry can be used without a network."""
    if entry.files:
        return is_cached(entry)
    return (kaggle_folder(entry.source) / layout.KERAS.weights).is_file()


def _of_entry(name: str, entry: Entry) -> Source:
    if entry.files:
        return Source(name, "checked", entry.source, entry.family)
    return Source(name, "kaggle" if entry.source.startswith("kaggle://") else "huggingface", entry.source, entry.family)


def _of_address(name: str) -> Source:
    scheme, _, rest = name.partition("://")
    parts = rest.split("/")
    if scheme == "hf":
        if len(parts) != 2 or not all(re.fullmatch(r"[\w.-]+", part) for part in parts):
            raise KerasftError(f"'{name}' is no Hugging Face address: expected hf://org/model.")
        return Source(name, "huggingface", name, None)
    if scheme == "kaggle":
        versioned = len(parts) == 5 and parts[4].isdigit()
        if not (len(parts) == 4 or versioned) or not all(re.fullmatch(r"[\w.-]+", part) for part in parts):
            raise KerasftError(f"'{name}' is no Kaggle address: expected kaggle://org/model/keras/variant[/version].")
        return Source(name, "kaggle", name, None)
    raise KerasftError(f"The backbone '{name}' has an unknown scheme: expected {hub.PREFIX}… or kaggle://….")
