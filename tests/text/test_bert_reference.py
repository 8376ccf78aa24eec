"""Our token ids and offsets against the `tokenizers` library: real texts, random Unicode, broken bytes."""

import os
import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from reference_tokenizer import (
    characters_before_unicode_12,
    difference,
    reference_normalizer,
    reference_tokenizer,
)
from shared_texts import DATA, needs_shared_data, shared_texts

from kerasft.text.bert import make_tokenizer
from kerasft.text.bert_characters import DROPPED
from kerasft.text.vocabulary import read_vocabulary

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return shared_texts()


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "lowercase", "step"),
    [
        ("bert-uncased", True, 4),
        ("bert-base-chinese", True, 16),
        ("bert-base-chinese", False, 16),
        ("bert-uncased", False, 16),
    ],
)
def test_the_texts_of_the_shared_data_have_the_reference_tokens_and_offsets(texts, name, lowercase, step):
    vocabulary = read_vocabulary(DATA / "vocab" / name / "vocab.txt")
    reference = reference_tokenizer(vocabulary, lowercase)
    tokenize = tf.function(make_tokenizer(vocabulary, lowercase), input_signature=[tf.TensorSpec([None], tf.string)])

    # All texts that are not ASCII, and one in `step` of the others, to spare time; KERASFT_TEST_EVERY_TEXT=1 takes all.
    step = 1 if os.environ.get("KERASFT_TEST_EVERY_TEXT") else step
    chosen = [text for number, text in enumerate(texts) if number % step == 0 or not text.isascii()]
    for start in range(0, len(chosen), 4096):
        batch = chosen[start : start + 4096]
        other_ids, other_offsets = difference(tokenize(tf.constant(batch)), reference.encode_batch(batch))
        assert [batch[row] for row in other_ids] == []
        assert [batch[row] for row in other_offsets] == []


def random_strings(characters: list[str], count: int, seed: int) -> list[str]:
    """Strings of 0 to 40 characters: from all of Unicode, from within one script, and thick with combining marks."""
    pick = random.Random(seed)
    # Ideographs and Hangul are three quarters of Unicode: half of the strings do without.
    rarer = [
        c for c in characters if not (0x3400 <= ord(c) < 0xD7A4 or 0x17000 <= ord(c) < 0x19000 or ord(c) > 0x1FFFF)
    ]
    marks = [c for c in characters if unicodedata.combining(c)]
    strings = []
    for number in range(count):
        start = pick.randrange(len(characters) - 300)
        pools = (
            characters,
            rarer,
            characters[start : start + 300] + list(" aB."),
            pick.choices(marks, k=9) + rarer[:300],
        )
        strings.append("".join(pick.choices(pools[number % len(pools)], k=pick.randint(0, 40))))
    return strings


def spelling_vocabulary(texts: list[str], *options) -> list[str]:
    """A vocabulary that spells every text, so that a wrong character shows and does not hide in [UNK]."""
    normalize = reference_normalizer(*options).normalize_str
    letters = sorted(set("".join(map(normalize, texts))) - {" "})
    return [*SPECIAL, *letters, *("##" + letter for letter in letters)]


@pytest.mark.parametrize(("lowercase", "strip_accents"), [(True, None), (False, None)])
def test_20000_random_unicode_strings(lowercase, strip_accents):
    """Equal but for one class: marks that are kept, next to each other, in another order than the canonical one.

    The reference decomposes the whole text, which also sorts neighbouring combining marks; we decompose one character
    at a time. Nearly all marks are dropped afterwards, whatever their order. The few that stay (spacing marks with a
    combining class, and marks newer than Unicode 8.0) keep the text's order with us. Offsets differ there too: the
    reference gives a sorted mark the place of the one it changed places with.
    """
    strings = random_strings(characters_before_unicode_12(), 20_000, seed=12)
    vocabulary = spelling_vocabulary(strings, lowercase, strip_accents)
    tokenize = make_tokenizer(vocabulary, lowercase, strip_accents)
    reference = reference_tokenizer(vocabulary, lowercase, strip_accents)
    other_ids, other_offsets = difference(tokenize(tf.constant(strings)), reference.encode_batch(strings))

    if not lowercase:
        assert (other_ids, other_offsets) == ([], [])  # nothing is decomposed
        return
    assert len(other_ids) <= 20_000 // 1000
    assert len(other_offsets) <= 20_000 // 100
    in_order = [canonical(strings[row]) for row in other_ids + other_offsets]
    assert all(
        text != "".join(kept(strings[row])) for text, row in zip(in_order, other_ids + other_offsets, strict=True)
    )
    assert difference(tokenize(tf.constant(in_order, tf.string)), reference.encode_batch(in_order)) == ([], [])


def kept(text: str) -> list[str]:
    return [character for character in text if ord(character) not in DROPPED]


def canonical(text: str) -> str:
    return unicodedata.normalize("NFD", "".join(kept(text)))


def test_bytes_that_are_not_utf8_are_read_as_python_reads_them():
    pick = random.Random(5)
    characters = characters_before_unicode_12()[:3000:7]
    rows = []
    for _ in range(3000):
        row = bytearray("".join(pick.choices(characters + [" "] * 60, k=12)).encode())
        for _ in range(pick.randint(1, 4)):
            row[pick.randrange(len(row))] = pick.randrange(256)
        rows.append(bytes(row[: pick.randint(0, len(row))]))
    texts = [row.decode("utf-8", errors="replace") for row in rows]

    vocabulary = spelling_vocabulary(texts, True)
    found = make_tokenizer(vocabulary, True)(tf.constant(rows))
    assert difference(found, reference_tokenizer(vocabulary, True).encode_batch(texts)) == ([], [])


@pytest.mark.parametrize("split_cjk", [True, False])
def test_ideographs_are_words_only_where_asked(split_cjk):
    texts = ["中文abc字", "漢字とカナ", "豈更", "𠀀𠀁"]
    vocabulary = spelling_vocabulary(texts, True, None, split_cjk)
    found = make_tokenizer(vocabulary, True, split_cjk=split_cjk)(tf.constant(texts))
    reference = reference_tokenizer(vocabulary, True, split_cjk=split_cjk)
    assert difference(found, reference.encode_batch(texts)) == ([], [])


def test_the_limit_on_a_word_is_100_characters_not_bytes():
    texts = [
        letter * count for letter in ("a", "é", "ф", "한", "𐐨") for count in (33, 34, 99, 100, 101, 102, 130, 400, 401)
    ]
    texts.append(" ".join(texts))
    vocabulary = spelling_vocabulary(texts, True)
    reference = reference_tokenizer(vocabulary, True)
    found = make_tokenizer(vocabulary, True)(tf.constant(texts))
    assert difference(found, reference.encode_batch(texts)) == ([], [])
    assert np.array_equal(found.ids[0].numpy() == vocabulary.index("[UNK]"), np.zeros(33, bool))
