"""Backbones from scratch: `new:gpt2?layers=4&hidden=256&heads=4` names a network with random weights.

The table of families that can be made is here; what each can be told, and how it is made, is in the family's own room.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from kerasft.atomic import new_folder, publish
from kerasft.backbones import gpt2_new
from kerasft.backbones.fetch import Report, fetch
from kerasft.backbones.load import load_backbone
from kerasft.backbones.setting import EXAMPLE, PREFIX, Setting
from kerasft.backbones.view import Backbone
from kerasft.errors import KerasftError, did_you_mean

FAMILIES = {"gpt2": gpt2_new}


@dataclass(frozen=True)
class New:
    """A network to make.

    Attributes:
        family: a key of `FAMILIES`.
        settings: every setting that the family knows, with its value.
    """

    family: str
    settings: Mapping[str, float]


def parse_new(name: str) -> New:
    """Reads a name. Nothing is made, and TensorFlow is not imported.

    Args:
        name: `new:FAMILY`, and behind a `?` settings `key=value` with `&` between them; what is not said is as the
            family has it (for gpt2 the sizes of GPT-2 small).

    Raises:
        KerasftError: not of this form; an unknown family or key (names the nearest); a key twice; a value that is no
            number or out of its range; sizes that do not go together.
    """
    family, mark, query = name.removeprefix(PREFIX).partition("?")
    if not name.startswith(PREFIX) or not family or (mark and not query):
        raise KerasftError(f"'{name}' names no new backbone: expected such as '{EXAMPLE}'.")
    if family not in FAMILIES:
        raise KerasftError(f"'{name}': no '{family}' can be made from scratch.{did_you_mean(family, FAMILIES)}")
    known = FAMILIES[family].SETTINGS
    settings = {key: setting.default for key, setting in known.items()}
    told: set[str] = set()
    for key, value in _pairs(name, query):
        if key not in known:
            raise KerasftError(f"'{name}' has an unknown key '{key}'.{did_you_mean(key, known)}")
        if key in told:
            raise KerasftError(f"'{name}' has '{key}' twice: leave one of them out.")
        told.add(key)
        settings[key] = _value(name, key, value, known[key])
    FAMILIES[family].check(name, settings, told)
    return New(family, FAMILIES[family].completed(settings, told))


def _pairs(name: str, query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise KerasftError(f"'{name}' cannot be read: expected key=value with & between, '{EXAMPLE}'.") from None


def _value(name: str, key: str, value: str, setting: Setting) -> float:
    kind = "a whole number" if setting.whole else "a number"
    try:
        number = int(value) if setting.whole else float(value)
    except ValueError:
        raise KerasftError(f"'{name}': {key} must be {kind}, such as {setting.default}; found '{value}'.") from None
    # "not" this way round, so that NaN is refused too.
    if not setting.least <= number <= setting.most:
        raise KerasftError(
            f"'{name}': {key} must be {kind} from {setting.least:,} to {setting.most:,}; found '{value}'."
        )
    return number


def usual_vocabulary(new: New, report: Report | None = None) -> Path:
    """A folder with the family's own vocabulary, downloaded when it is not cached.

    Raises:
        KerasftError: it is not cached and cannot be had; names the ways out.
    """
    return fetch(FAMILIES[new.family].VOCABULARY, report)


def learn_vocabulary(new: New, texts: Iterable[str], size: int, folder: Path) -> int:
    """Learns a vocabulary of the family's sort from a corpus. The same texts always give the same one.

    Args:
        new: what `parse_new` has read.
        texts: the corpus.
        size: pieces wanted.
        folder: of the vocabulary's files; made when it is not there.

    Returns:
        The pieces there are: fewer where the corpus gives no more.

    Raises:
        KerasftError: a size out of range, nothing to learn from, or a library that is not installed.
        OSError: the disk is full.
    """
    return FAMILIES[new.family].learn_vocabulary(texts, size, folder)


def write_definition(new: New, vocabulary: Path, folder: Path) -> Path:
    """Writes a network without weights: what a run's folder has of any backbone. `load_new` gives it weights.

    Args:
        new: what `parse_new` has read.
        vocabulary: a folder with vocabulary files, of `usual_vocabulary` or `learn_vocabulary`; its size decides the
            size of the embeddings.
        folder: appears whole or not at all.

    Returns:
        The folder.

    Raises:
        KerasftError: there is something at `folder` already; no vocabulary, or one of another sort.
        OSError: the disk is full.
    """
    with _beside(folder) as beside:
        FAMILIES[new.family].write_definition(new.settings, vocabulary, beside)
    return folder


def load_new(folder: Path, seed: int) -> Backbone:
    """Builds the layers of a definition, with the random weights of a seed.

    Args:
        folder: as `write_definition` left it, or the copy in a run's folder.
        seed: of the weights. The same seed gives the same weights, whatever was drawn before.
    """
    backbone = load_backbone(folder, weights=False)
    FAMILIES[backbone.family].draw(backbone.model, seed)
    return backbone


def write_new(new: New, vocabulary: Path, folder: Path, seed: int) -> Path:
    """Makes a network and writes it as a Keras preset folder, which `--backbone` takes like any other.

    Args:
        new: what `parse_new` has read.
        vocabulary: as for `write_definition`.
        folder: appears whole or not at all.
        seed: as for `load_new`.

    Returns:
        The folder.

    Raises:
        KerasftError: there is something at `folder` already; no vocabulary, or one of another sort.
        OSError: the disk is full.
    """
    with _beside(folder) as beside:
        FAMILIES[new.family].write_definition(new.settings, vocabulary, beside)
        load_new(beside, seed).model.save_to_preset(str(beside))
    return folder


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder`."""
    if folder.exists():
        raise KerasftError(f"'{folder}' is there already: a backbone is never written over. Name another folder.")
    with new_folder(folder.parent, folder.name) as beside:
        yield beside
        publish(beside, folder)
