"""Reads a WordPiece vocabulary: one piece a line, the line number its id."""

from collections import Counter
from pathlib import Path

from kerasft.errors import KerasftError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def read_vocabulary(path: str | Path) -> tuple[str, ...]:
    """Reads `vocab.txt` of a BERT checkpoint.

    Args:
        path: a UTF-8 text file. LF and CRLF end a line; other characters that Unicode takes for a line's end are in
            real vocabularies, as pieces.

    Returns:
        The pieces, in the order of their ids.

    Raises:
        KerasftError: the file cannot be read, is not UTF-8, repeats a piece, lacks a special one, or holds one
            that no word can have.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise KerasftError(
            f"Expected a vocabulary at {path}: {error.strerror}. Check the backbone's folder."
        ) from error
    except UnicodeDecodeError as error:
        raise KerasftError(
            f"The vocabulary {path} is not UTF-8 (byte {error.start}): fetch the backbone again, or save it as UTF-8."
        ) from error
    pieces = tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
    _check(pieces, path)
    return pieces


def _check(pieces: tuple[str, ...], path: Path) -> None:
    missing = [piece for piece in SPECIAL if piece not in pieces]
    if missing:
        raise KerasftError(
            f"The vocabulary {path} has {len(pieces)} pieces but not {', '.join(missing)}: "
            "is it a BERT vocab.txt, one piece a line?"
        )
    repeated = [piece for piece, count in Counter(pieces).items() if count > 1]
    if repeated:
        lines = [number for number, piece in enumerate(pieces, 1) if piece == repeated[0]]
        raise KerasftError(
            f"The vocabulary {path} has {len(repeated)} repeated pieces, the first {repeated[0]!r} on lines "
            f"{lines[0]} and {lines[1]}: ids would be ambiguous. Make each line unique."
        )
    unusable = [number for number, piece in enumerate(pieces, 1) if "\0" in piece or len(piece.encode()) > 256]
    if unusable:
        raise KerasftError(
            f"The vocabulary {path} has a NUL or over 256 bytes on line {unusable[0]}: is it a BERT vocab.txt?"
        )
