"""A vocabulary trained on a corpus: its size, its files, its ids against the library that trained it."""

import sys

import pytest
import tensorflow as tf
from random_texts import AWKWARD, random_strings
from reference_tokenizer import difference, tokenizers

from kerasft.errors import KerasftError
from kerasft.text.gpt2 import make_tokenizer
from kerasft.text.gpt2_vocabulary import END_OF_TEXT, byte_pieces, read_byte_pairs
from kerasft.text.train_bpe import train_byte_pairs, write_byte_pairs
from tests.toy import toy_rows

CORPUS = [row["text"] for row in toy_rows(120)] + ["don't\n\n\tdef f(x):\n    return 中文 中文"] * 3


@pytest.fixture(scope="module")
def trained():
    return train_byte_pairs(CORPUS, 400)


def test_the_pieces_are_bytes_then_merges_then_the_end(trained):
    assert trained.pieces[:256] == byte_pieces()
    assert trained.pieces[-1] == END_OF_TEXT
    assert len(trained.pieces) == len(set(trained.pieces)) <= 400
    assert len(trained.pieces) > 300
    assert [left + right for left, right in trained.merges] == list(trained.pieces[256:-1])


def test_the_same_texts_give_the_same_vocabulary(trained):
    assert train_byte_pairs(iter(CORPUS), 400) == trained


def test_the_files_are_read_as_gpt2s(trained, tmp_path):
    folder = write_byte_pairs(tmp_path / "vocabulary", trained)
    found = read_byte_pairs(folder / "vocab.json", folder / "merges.txt")
    assert found.pieces == trained.pieces
    assert found.end_of_text == len(trained.pieces) - 1
    assert len(found.merges.pairs) == len(trained.merges)


def test_its_ids_are_the_librarys(trained, tmp_path):
    folder = write_byte_pairs(tmp_path, trained)
    files = [str(folder / name) for name in ("vocab.json", "merges.txt")]
    expected = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(*files))
    expected.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenize = tf.function(
        make_tokenizer(read_byte_pairs(*files).merges), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    texts = [*CORPUS, *AWKWARD, *random_strings(500, seed=8)]
    assert difference(tokenize(tf.constant(texts)), expected.encode_batch(texts)) == ([], [])


def test_an_end_token_in_the_corpus_is_text():
    trained = train_byte_pairs([f"a {END_OF_TEXT} b"] * 50, 300)
    assert trained.pieces.count(END_OF_TEXT) == 1
    assert "endoftext" in trained.pieces
    assert not any("|>" in piece and "endoftext" in piece for piece in trained.pieces[:-1])


def test_what_stands_in_the_corpus_once_is_no_piece():
    trained = train_byte_pairs([*CORPUS, "qzxjvkw"], 2000)
    assert len(trained.pieces) < 2000
    assert not any("qz" in piece for piece in trained.pieces)


@pytest.mark.parametrize("size", [0, 257, 1_000_001])
def test_a_size_without_room(size):
    with pytest.raises(KerasftError, match=r"vocabulary must be 258 to 1,000,000"):
        train_byte_pairs(CORPUS, size)


@pytest.mark.parametrize("texts", [[], [""], ["ab"]])
def test_nothing_to_learn_from(texts):
    with pytest.raises(KerasftError, match="No vocabulary can be trained"):
        train_byte_pairs(texts, 300)


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(KerasftError, match=r"pip install 'kerasft\[generation\]'"):
        train_byte_pairs(CORPUS, 300)
