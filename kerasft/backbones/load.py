"""From a local backbone folder to its view and its text functions. The table of families is here."""

import json
import shutil
from pathlib import Path

from kerasft.atomic import new_folder, publish
from kerasft.backbones import bert, gpt2
from kerasft.backbones.view import Backbone, TextFunctions
from kerasft.errors import KerasftError

FAMILIES = {"bert": bert, "gpt2": gpt2}

_WEIGHTS = {".safetensors", ".h5", ".bin", ".msgpack", ".onnx", ".ot"}


def family_of(folder: Path) -> str:
    """Which family a folder holds, from its `config.json`, else from its vocabulary files.

    Raises:
        KerasftError: neither says, or the family is not one of ours.
    """
    config = folder / "config.json"
    if config.is_file():
        found = json.loads(config.read_text(encoding="utf-8"))
        said = found.get("model_type") or found.get("class_name") or ""
        family = said.removesuffix("Backbone").lower()
    elif (folder / "vocab.txt").is_file():
        family = "bert"
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        family = "gpt2"
    else:
        family = "nothing known"
    if family not in FAMILIES:
        raise KerasftError(f"Backbone folder {folder}: expected a model of {' or '.join(FAMILIES)}, found {family}.")
    return family


def load_backbone(folder: Path, weights: bool = True) -> Backbone:
    """Builds the layers of a Keras preset folder or a Hugging Face folder.

    Args:
        folder: as `kerasft.backbones.fetch.locate` gives it.
        weights: false builds the architecture with random weights, for a run whose own weights come next.

    Raises:
        KerasftError: the files do not fit each other.
    """
    family = FAMILIES[family_of(folder)]
    import keras_nlp

    try:
        model = keras_nlp.models.Backbone.from_preset(str(folder), load_weights=weights)
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise KerasftError(f"Backbone folder {folder} cannot be loaded: {reason[0]}") from error
    return family.view(model)


def load_text_functions(folder: Path) -> TextFunctions:
    """The text functions of a backbone folder; needs no weights."""
    return FAMILIES[family_of(folder)].text_functions(folder)


def save_backbone(source: Path, trained: Backbone, folder: Path, weights: bool = True) -> None:
    """Writes a backbone with new weights as a Keras preset folder, which `--backbone` and keras-nlp take.

    Args:
        source: the folder that it was made from. What the network does not use (BERT's pooler) and the tokenizer are
            as they are there.
        trained: the layers with the new weights.
        folder: appears whole or not at all; what is there already goes.
        weights: false where `source` is a definition without any, for a network that is trained from scratch.

    Raises:
        OSError: the disk is full.
    """
    whole = load_backbone(source, weights)
    for new, old in zip(_layers(trained), _layers(whole), strict=True):
        for weight, target in zip(new.weights, old.weights, strict=True):
            if "seed_generator" not in target.path:
                target.assign(weight)
    with new_folder(folder.parent, folder.name) as beside:
        whole.model.save_to_preset(str(beside))
        FAMILIES[whole.family].save_tokenizer(source, beside)
        if folder.exists():
            shutil.rmtree(folder)
        publish(beside, folder)


def _layers(backbone: Backbone) -> tuple:
    return (*backbone.bottom, *backbone.blocks, *backbone.top)


def copy_definition(folder: Path, target: Path) -> None:
    """Copies everything of a backbone folder but its weights: enough to rebuild the architecture and the tokens."""
    target.mkdir(parents=True)
    for source in sorted(folder.rglob("*")):
        relative = source.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if source.is_file() and not hidden and source.suffix not in _WEIGHTS:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / relative)
