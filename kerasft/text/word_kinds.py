"""What each character is to the words around it. NumPy alone: rows are checked before TensorFlow is there."""

import functools
import unicodedata

import numpy as np

BETWEEN, ALONE, RUN, GOES_ON = range(4)
PAGE_BITS = 8
# Han, Kana, Bopomofo, Thai, Lao, Myanmar, Khmer, Yi, Tai: no spaces between words.
_UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x2E80, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0xA4CF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF)),
    *((0xFF66, 0xFF9D), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
)


@functools.cache
def kind_table() -> tuple[np.ndarray, np.ndarray]:
    """A two-level table: the kind of code point c is `entries[pages[c >> PAGE_BITS] + (c & (1 << PAGE_BITS) - 1)]`.

    Returns:
        `pages` int32 and `entries` uint8. The kinds are `BETWEEN` words, `ALONE` as a word of its own, in a `RUN` of
        its like, and `GOES_ON`, part of what is before it.
    """
    kinds = np.array([unicodedata.category(chr(code)) for code in range(0x110000)])
    first = kinds.astype("U1")
    classes = np.full(0x110000, ALONE, np.uint8)
    classes[np.isin(first, ["L", "N"]) | (kinds == "Pc")] = RUN
    for start, end in _UNSPACED:
        part = classes[start : end + 1]
        part[part == RUN] = ALONE
    # Marks, joiners and tags belong to what is before them.
    classes[(first == "M") | (kinds == "Cf")] = GOES_ON
    classes[(first == "Z") | (kinds == "Cc") | (kinds == "Cs")] = BETWEEN
    entries, page = np.unique(classes.reshape(-1, 1 << PAGE_BITS), axis=0, return_inverse=True)
    return (page.reshape(-1) << PAGE_BITS).astype(np.int32), entries.reshape(-1)


def in_word(text: str, place: int) -> bool:
    """Whether a character of a text, from 0, is in one of the words that `kerasft.text.word_places` finds."""
    pages, entries = kind_table()
    for character in reversed(text[: place + 1]):
        kind = entries[pages[ord(character) >> PAGE_BITS] + (ord(character) & (1 << PAGE_BITS) - 1)]
        if kind != GOES_ON:
            return bool(kind != BETWEEN)
    return False
