"""Backbones from scratch: `new:gpt2?layers=4&hidden=256&heads=4` names a network with random weights.

The table of families that can be made is here; what each can be told, and how it is made, is in the family's own room.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from kerasft.atomic import new_folder, publish
from kerasft.backbones import gpt2_new
from kerasft.backbones.fetch import Report, fetch
from kerasft.backbones.setting import Setting
from kerasft.errors import KerasftError, did_you_mean

PREFIX = "new:"

FAMILIES = {"gpt2": gpt2_new}
_EXAMPLE = "new:gpt2?layers=4&hidden=256&heads=4"


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
        raise KerasftError(f"'{name}' names no new backbone: expected such as '{_EXAMPLE}'.")
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
        raise KerasftError(f"'{name}' cannot be read: expected key=value with & between, '{_EXAMPLE}'.") from None


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


def write_new(new: New, vocabulary: Path, folder: Path, seed: int) -> Path:
    """Makes a network and writes it as a Keras preset folder, which `--backbone` takes like any other.

    Args:
        new: what `parse_new` has read.
        vocabulary: a folder with vocabulary files, of `usual_vocabulary` or `kerasft.text.train_bpe.write_byte_pairs`;
            its size decides the size of the embeddings.
        folder: appears whole or not at all.
        seed: of the weights. The same seed gives the same weights, whatever was drawn before.

    Returns:
        The folder.

    Raises:
        KerasftError: there is something at `folder` already; no vocabulary, or one of another sort.
        OSError: the disk is full.
    """
    if folder.exists():
        raise KerasftError(f"'{folder}' is there already: a backbone is never written over. Name another folder.")
    with new_folder(folder.parent, folder.name) as beside:
        FAMILIES[new.family].write(new.settings, vocabulary, beside, seed)
        publish(beside, folder)
    return folder
