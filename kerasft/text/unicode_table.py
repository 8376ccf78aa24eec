"""One number for every Unicode code point: what BERT's normalisation makes of it.

The table is made in Python once, when the graph is built, and enters the graph as small constants. The served
tokens then depend neither on a server's ICU release nor on string context (a final sigma, a locale).
"""

import dataclasses
import functools
import unicodedata

import numpy as np

from kerasft.text.bert_characters import (
    ACCENTS,
    DROPPED,
    IDEOGRAPHS,
    LATER_LOWERCASE,
    PUNCTUATION,
    UNDECOMPOSED,
)

# What a normalised character is to the word splitter. A run of the first two is a word.
LETTER, SEQUENCE, SPACE, SINGLE = range(4)

KIND_SHIFT = 21  # code points take 21 bits, the kind sits above them
LENGTH_BITS = 2  # characters of the normal form: 0 to 3
SIZE_BITS = 4  # bytes of the normal form in UTF-8: 0 to 9
PAGE = 256


@dataclasses.dataclass(frozen=True)
class UnicodeTable:
    """A two-level table over all code points, with equal pages stored once.

    `entries[pages[c >> 8] + (c & 255)]` packs three numbers, from the high bits down: `shift`, `size`, `length`.
    The normal form of code point `c` is the `length` units `c + shift`, `c + shift + 1`, ...; a unit is
    `kind << 21 | code point`, or, for kind SEQUENCE, `kind << 21 | index into sequences`. `size` is the UTF-8 bytes of
    the normal form, 0 for white space, which is in no word.

    Attributes:
        pages: int32[4352], where each page starts in `entries`.
        entries: int32[n], n a multiple of 256.
        sequences: int32[m], the normal forms of more than one character, one after the other.
    """

    pages: np.ndarray
    entries: np.ndarray
    sequences: np.ndarray


def normal_form(character: str, lowercase: bool, strip_accents: bool) -> str:
    """Normalises one character that is neither dropped nor white space: decompose, strip, lower-case, in this order.

    Args:
        character: one character.
        lowercase: whether to lower-case, each character alone (so no final sigma).
        strip_accents: whether to decompose (NFD) and drop non-spacing marks.

    Returns:
        The normal form, 0 to 3 characters.
    """
    if strip_accents:
        if ord(character) not in UNDECOMPOSED:
            character = unicodedata.normalize("NFD", character)
        character = "".join(c for c in character if ord(c) not in ACCENTS)
    return "".join(map(_lower, character)) if lowercase else character


def _lower(character: str) -> str:
    for upper, distance in LATER_LOWERCASE:
        if ord(character) in upper:
            return chr(ord(character) + distance)
    return character.lower()


@functools.lru_cache(maxsize=8)
def unicode_table(lowercase: bool, strip_accents: bool, split_cjk: bool) -> UnicodeTable:
    """Builds the table for one set of normalisation options (tenths of a second; then remembered).

    Args:
        lowercase: lower-case each character.
        strip_accents: decompose and drop non-spacing marks.
        split_cjk: make each Chinese character a word of its own.

    Returns:
        The table.
    """
    codes = np.arange(0x110000)
    singles = PUNCTUATION | IDEOGRAPHS if split_cjk else PUNCTUATION
    unit = codes | np.where(_members(singles), SINGLE, LETTER) << KIND_SHIFT
    size = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
    length = np.ones_like(codes)

    sequences: list[int] = []
    for code in _changing():
        form = normal_form(chr(code), lowercase, strip_accents)
        size[code], length[code] = len(form.encode()), len(form)
        if len(form) > 1:
            unit[code] = SEQUENCE << KIND_SHIFT | len(sequences)
            sequences.extend(map(ord, form))
        elif form:
            kind = SINGLE if ord(form) in singles or code in singles else LETTER
            unit[code] = kind << KIND_SHIFT | ord(form)

    white = np.array([code for code in range(0x3001) if chr(code).isspace()])
    unit[white], size[white] = SPACE << KIND_SHIFT | ord(" "), 0
    dropped = _members(DROPPED) | ((codes >= 0xD800) & (codes < 0xE000))
    size[dropped] = length[dropped] = 0
    shift = np.where(length > 0, unit - codes, 0)

    packed = ((shift << SIZE_BITS | size) << LENGTH_BITS | length).astype(np.int32).reshape(-1, PAGE)
    entries, page = np.unique(packed, axis=0, return_inverse=True)
    # One spare element: a gather needs something to read when no character gives a sequence.
    spared = np.array([*sequences, 0], np.int32)
    return UnicodeTable((page.reshape(-1) * PAGE).astype(np.int32), entries.reshape(-1), spared)


def _members(codes: frozenset[int]) -> np.ndarray:
    mask = np.zeros(0x110000, bool)
    mask[list(codes)] = True
    return mask


def _changing() -> list[int]:
    """Lists the code points that some option may change: a page that NFD and lower-casing leave alone has none."""
    later = frozenset().union(*(upper for upper, _ in LATER_LOWERCASE))
    found = set(ACCENTS | later)
    for first in (*range(0, 0xD800, PAGE), *range(0xE000, 0x110000, PAGE)):
        page = "".join(map(chr, range(first, first + PAGE)))
        if unicodedata.normalize("NFD", page).lower() != page:
            found.update(
                c for c in range(first, first + PAGE) if unicodedata.normalize("NFD", chr(c)).lower() != chr(c)
            )
    return sorted(found)
