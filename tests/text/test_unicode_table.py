"""The table of code points against the reference, all of them, and by hand."""

import unicodedata

import numpy as np
import pytest

from kerasft.text.bert_characters import DROPPED, IDEOGRAPHS, PUNCTUATION
from kerasft.text.unicode_table import (
    KIND_SHIFT,
    LENGTH_BITS,
    LETTER,
    SEQUENCE,
    SINGLE,
    SIZE_BITS,
    SPACE,
    normal_form,
    unicode_table,
)


def look_up(table, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Reads the table as its docstring says: kinds, code points, units of each code, UTF-8 bytes of each code."""
    entry = table.entries[table.pages[codes >> 8] + (codes & 255)]
    length = entry & (1 << LENGTH_BITS) - 1
    size = entry >> LENGTH_BITS & (1 << SIZE_BITS) - 1
    first = codes + (entry >> LENGTH_BITS + SIZE_BITS)
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    unit = np.repeat(first, length) + within
    kind, code = unit >> KIND_SHIFT, unit & (1 << KIND_SHIFT) - 1
    code = np.where(kind == SEQUENCE, table.sequences[np.where(kind == SEQUENCE, code, 0)], code)
    return kind, code, length, size


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("É", "e"),
        ("İ", "i"),
        ("ß", "ß"),
        ("ﬁ", "ﬁ"),
        ("Σ", "σ"),
        ("Å", "a"),
        ("한", "\u1112\u1161\u11ab"),
        ("\u0301", ""),
    ],
)
def test_normal_forms_of_uncased_models(character, expected):
    assert normal_form(character, lowercase=True, strip_accents=True) == expected


def test_cased_models_keep_every_character_whole():
    assert normal_form("É", lowercase=False, strip_accents=False) == "É"
    assert normal_form("İ", lowercase=True, strip_accents=False) == "i̇"


@pytest.mark.parametrize(
    ("character", "kind"),
    [("a", LETTER), (" ", SPACE), ("\t", SPACE), ("\u3000", SPACE), ("$", SINGLE), ("中", SINGLE)],
)
def test_kinds(character, kind):
    kinds, _, _, _ = look_up(unicode_table(True, True, True), np.array([ord(character)]))
    assert kinds.tolist() == [kind]


@pytest.mark.parametrize("options", [(True, True, True), (False, False, True), (True, True, False)])
def test_sizes_are_the_bytes_that_the_words_will_have(options):
    codes = np.array([code for code in range(0x110000) if not 0xD800 <= code < 0xE000])
    kinds, forms, length, size = look_up(unicode_table(*options), codes)
    size_of_unit = np.where(kinds == SPACE, 0, 1 + (forms > 0x7F) + (forms > 0x7FF) + (forms > 0xFFFF))
    of_code = np.add.reduceat(np.append(size_of_unit, 0), np.minimum(np.cumsum(length) - length, len(size_of_unit)))
    np.testing.assert_array_equal(size, np.where(length > 0, of_code, 0))


def test_a_sequence_has_no_character_that_would_end_a_word():
    sequences = set(unicode_table(True, True, True).sequences.tolist()) - {0}
    assert not sequences & (PUNCTUATION | DROPPED | IDEOGRAPHS)


def test_tables_are_small():
    for options in ((True, True, True), (False, False, True)):
        table = unicode_table(*options)
        assert sum(array.nbytes for array in vars(table).values()) < 400_000


# From here on: against the reference.


def assigned() -> list[str]:
    """The characters that this Python knows, but one to put between them."""
    return [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs") and c != "|"]


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_every_character_is_normalised_as_the_reference_does(lowercase, strip_accents):
    from reference_tokenizer import reference_normalizer

    text = "|".join(assigned())  # no mark can combine with its neighbour
    expected = reference_normalizer(lowercase, strip_accents, split_cjk=False).normalize_str(text)
    _, forms, _, _ = look_up(unicode_table(lowercase, strip_accents, False), np.array([ord(c) for c in text]))
    assert forms.astype("<u4").tobytes().decode("utf-32-le") == expected


def test_every_character_splits_words_as_the_reference_does():
    from reference_tokenizer import reference_normalizer, tokenizers

    characters = [c for c in assigned() if ord(c) not in DROPPED and not c.isspace()]
    split = tokenizers.pre_tokenizers.BertPreTokenizer().pre_tokenize_str(" ".join(f"a{c}a" for c in characters))
    whole = {word for word, _ in split if len(word) == 3}
    assert {ord(c) for c in characters if f"a{c}a" not in whole} == PUNCTUATION - {ord("|")}

    normalizer = reference_normalizer(False)
    separated = normalizer.normalize_str("|".join(map(chr, sorted(IDEOGRAPHS))))
    assert separated == "|".join(f" {chr(code)} " for code in sorted(IDEOGRAPHS))
    others = "|".join(c for c in characters if ord(c) not in IDEOGRAPHS)
    assert normalizer.normalize_str(others) == others
