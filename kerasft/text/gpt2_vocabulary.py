"""Reads a byte-level BPE vocabulary: `vocab.json` (piece -> id) and `merges.txt` (one pair a line, best first).

In these files each byte is a printable character: itself where it is one in Latin-1, else the next from U+0100 on.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from kerasft.errors import KerasftError
from kerasft.text.bpe import Merges

END_OF_TEXT = "<|endoftext|>"

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTE_OF = {chr(byte): byte for byte in _PRINTABLE} | {chr(256 + n): byte for n, byte in enumerate(_OTHERS)}


@dataclass(frozen=True)
class BytePairVocabulary:
    """A vocabulary and its merges.

    Attributes:
        pieces: as the file spells them, by id.
        merges: the same in bytes and ids.
        end_of_text: id of the one special token.
    """

    pieces: tuple[str, ...]
    merges: Merges
    end_of_text: int


def read_byte_pairs(vocabulary: str | Path, merges: str | Path) -> BytePairVocabulary:
    """Reads the two files of a GPT-2 checkpoint.

    Args:
        vocabulary: `vocab.json`.
        merges: `merges.txt`.

    Returns:
        What they hold.

    Raises:
        KerasftError: a file cannot be read or is of another format, ids with gaps, no end-of-text token, not all 256
            bytes, a merge of unknown pieces, a merge listed twice.
    """
    ids = _read_pieces(Path(vocabulary))
    pairs = _read_pairs(Path(merges), ids)
    # A piece that no merge makes and that is no byte is never a token of a text.
    made = {number for _, _, number in pairs} | {ids[character] for character in _BYTE_OF}
    pieces = tuple(ids)
    tokens = tuple(bytes(map(_BYTE_OF.get, piece)) if ids[piece] in made else None for piece in pieces)
    return BytePairVocabulary(pieces, Merges(tokens, pairs), ids[END_OF_TEXT])


def byte_pieces() -> tuple[str, ...]:
    """The character that stands for each byte, by byte."""
    return tuple(sorted(_BYTE_OF, key=_BYTE_OF.get))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise KerasftError(f"Expected {path}: {error.strerror}. Check the backbone's folder.") from error
    except UnicodeDecodeError as error:
        raise KerasftError(f"{path} is not UTF-8 (byte {error.start}): fetch the backbone again.") from error


def _read_pieces(path: Path) -> dict[str, int]:
    """Piece -> id, in the order of the ids."""
    try:
        found = json.loads(_read(path))
    except ValueError as error:
        raise KerasftError(f"{path} is not JSON ({error}): is it GPT-2's vocab.json?") from error
    if not isinstance(found, dict) or sorted(map(str, found.values())) != sorted(map(str, range(len(found)))):
        raise KerasftError(f"{path}: expected an object of pieces with the ids 0, 1, 2, … each once, found otherwise.")
    ids = dict(sorted(found.items(), key=lambda item: item[1]))
    missing = [piece for piece in (*byte_pieces(), END_OF_TEXT) if piece not in ids]
    if missing:
        raise KerasftError(
            f"The vocabulary {path} has {len(ids)} pieces but not {', '.join(missing[:5])}: expected all 256 bytes "
            f"and {END_OF_TEXT}. Is it GPT-2's vocab.json?"
        )
    return ids


def _read_pairs(path: Path, ids: dict[str, int]) -> tuple[tuple[int, int, int], ...]:
    """The merges: ids of the left piece, the right one, and both together."""
    pairs = {}
    for number, line in enumerate(_read(path).split("\n"), 1):
        line = line.removesuffix("\r")
        if not line or line.startswith("#version"):
            continue
        left, _, right = line.partition(" ")
        if not (left in ids and right in ids and left + right in ids):
            raise KerasftError(
                f"{path}, line {number}: expected two pieces of the vocabulary that make a third, found {line!r}. "
                "Take both files from one checkpoint."
            )
        if (left, right) in pairs:
            raise KerasftError(f"{path}, line {number}: {line!r} is there twice: its rank would be ambiguous.")
        pairs[left, right] = (ids[left], ids[right], ids[left + right])
    return tuple(pairs.values())
