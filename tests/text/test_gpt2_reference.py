"""Our token ids and offsets against the `tokenizers` library: real texts, random Unicode, merges in any order."""

import itertools
import json
import random

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from random_texts import AWKWARD, CHARACTERS, broken_strings, random_strings
from reference_tokenizer import difference, tokenizers
from shared_texts import DATA, needs_shared_data, shared_texts

from kerasft.text.bpe import Merges
from kerasft.text.gpt2 import make_tokenizer
from kerasft.text.gpt2_vocabulary import byte_pieces, read_byte_pairs
from kerasft.text.gpt2_words import LETTER, NUMBER, OTHER, SPACE, character_classes
from tests.toy_gpt2 import train, write_files


def reference(vocabulary: dict[str, int], merges):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def graph(merges: Merges):
    return tf.function(make_tokenizer(merges), input_signature=[tf.TensorSpec([None], tf.string)])


def differing(tokenize, expected, texts: list[str]) -> list[str]:
    """The texts whose ids or offsets differ."""
    found = []
    for start in range(0, len(texts), 4096):
        batch = texts[start : start + 4096]
        ids, offsets = difference(tokenize(tf.constant(batch)), expected.encode_batch(batch))
        found += [batch[row] for row in ids + offsets]
    return found


@pytest.fixture(scope="module")
def real():
    folder = DATA / "vocab" / "gpt2"
    files = [str(folder / "vocab.json"), str(folder / "merges.txt")]
    expected = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(*files))
    expected.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return graph(read_byte_pairs(*files).merges), expected


@needs_shared_data
def test_texts_of_the_shared_data(real):
    # Every sixteenth text, to spare time. (All pass.)
    texts = shared_texts()
    assert differing(*real, [text for number, text in enumerate(texts) if number % 16 == 0]) == []


@needs_shared_data
def test_20000_random_unicode_strings_with_the_real_vocabulary(real):
    assert differing(*real, [*AWKWARD, *random_strings(20_000, seed=12)]) == []


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    vocabulary, merges = train()
    folder = write_files(tmp_path_factory.mktemp("vocabulary"), vocabulary, merges)
    read = read_byte_pairs(folder / "vocab.json", folder / "merges.txt")
    assert read.pieces == tuple(vocabulary)
    return graph(read.merges), reference(vocabulary, merges)


def test_random_unicode_strings_with_a_toy_vocabulary(toy):
    assert differing(*toy, [*AWKWARD, *random_strings(4_000, seed=3)]) == []


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.characters(blacklist_categories=("Cs",)), max_size=20), min_size=1, max_size=4))
def test_any_unicode(toy, texts):
    assert differing(*toy, texts) == []


def test_bytes_that_are_not_utf8(toy):
    tokenize, expected = toy
    rows = broken_strings(2_000, seed=5)
    texts = [row.decode(errors="replace") for row in rows]
    assert difference(tokenize(tf.constant(rows)), expected.encode_batch(texts)) == ([], [])


def test_a_vocabulary_that_the_reference_trained():
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    expected = reference({piece: number for number, piece in enumerate(byte_pieces())}, [])
    texts = ["a" * n + "b" * m + "ab" * n for n in range(12) for m in range(5)] + ["the cafés, don't 中文"] * 9
    expected.train_from_iterator(texts, trainer)
    model = expected.model
    # As a user would have it: without the library's own table of special tokens.
    plain = tokenizers.Tokenizer(model)
    plain.pre_tokenizer = expected.pre_tokenizer
    vocabulary = expected.get_vocab()
    pairs = [tuple(pair) for pair in json.loads(expected.to_str())["model"]["merges"]]
    assert differing(graph(in_bytes(vocabulary, pairs)), plain, texts + random_strings(400, seed=9)) == []


def in_bytes(vocabulary: dict[str, int], merges) -> Merges:
    byte_of = {piece: byte for byte, piece in enumerate(byte_pieces())}
    tokens: list[bytes | None] = [None] * len(vocabulary)
    for piece, number in vocabulary.items():
        if piece != "<|endoftext|>":
            tokens[number] = bytes(byte_of[character] for character in piece)
    return Merges(tokens, [(vocabulary[a], vocabulary[b], vocabulary[a + b]) for a, b in merges])


@pytest.mark.parametrize("seed", range(6))
def test_merges_in_an_order_that_no_training_gives(seed):
    pick = random.Random(seed)
    strings = ["a", "b", "c"]
    merges: list[tuple[str, str]] = []
    for _ in range(60):
        pair = (pick.choice(strings), pick.choice(strings))
        if len("".join(pair)) <= 6 and pair not in merges:
            merges.append(pair)
            strings.append("".join(pair))
    pick.shuffle(merges)
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys([*byte_pieces(), *strings]))}
    texts = ["".join(pick.choices("abc", weights=(4, 3, 1), k=pick.randint(1, 40))) for _ in range(2_000)]
    assert differing(graph(in_bytes(vocabulary, merges)), reference(vocabulary, merges), texts) == []


def test_every_character_is_of_the_class_that_the_reference_splits_by():
    table = character_classes()
    codes = np.array([ord(c) for c in CHARACTERS])
    classes = table.classes[table.pages[codes >> 8] + (codes & 255)]
    bounds = [0, *(np.flatnonzero(np.diff(classes)) + 1).tolist(), len(classes)]
    # Characters of one class between two more of it are one word; white space at the end of a text is.
    around = {LETTER: "a", NUMBER: "1", OTHER: "!", SPACE: " "}
    splitter = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    for start, end in itertools.pairwise(bounds):
        mark = around[classes[start]]
        run = mark + "".join(CHARACTERS[start:end]) + mark
        assert [span for _, span in splitter.pre_tokenize_str(run)] == [(0, len(run))], f"from U+{codes[start]:04X} on"
