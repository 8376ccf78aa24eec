"""A byte-level BPE vocabulary of a few hundred pieces, trained here, and a toy GPT-2 that uses it."""

import itertools
import json
from collections import Counter
from pathlib import Path

from kerasft.text.gpt2_vocabulary import END_OF_TEXT, byte_pieces
from tests.toy import toy_rows

CORPUS = (
    " ".join(row["text"] for row in toy_rows(60)) + " don't we're they'll the  cafés    naïve 中文中文 日本 \n\n\t\t "
)


def train(corpus: str = CORPUS, merges: int = 150) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Learns merges from the words of a text, which a blank leads.

    Returns:
        Piece -> id, and the merges, best first.
    """
    letters = byte_pieces()
    words = Counter(tuple(letters[byte] for byte in (" " + word).encode()) for word in corpus.split(" "))
    pieces, learnt = [*letters], []
    while len(learnt) < merges:
        pairs = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        pair = max((pair for pair in pairs if "".join(pair) not in pieces), key=lambda pair: (pairs[pair], pair))
        learnt.append(pair)
        pieces.append("".join(pair))
        words = Counter({_merged(word, pair): count for word, count in words.items()})
    return {piece: number for number, piece in enumerate([*pieces, END_OF_TEXT])}, learnt


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    found, place = [], 0
    while place < len(word):
        width = 2 if word[place : place + 2] == pair else 1
        found.append("".join(word[place : place + width]))
        place += width
    return tuple(found)


def write_files(folder: Path, vocabulary: dict[str, int], merges, names=("vocab.json", "merges.txt")) -> Path:
    """The two files of a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / names[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_backbone(folder: Path, dropout: float = 0.1, trained=None) -> Path:
    """A Keras preset folder: GPT-2, 2 blocks of 16, random weights from a fixed seed; vocabulary and merges as `train`
    gives them."""
    import keras
    import keras_nlp

    vocabulary, merges = trained or train()
    keras.utils.set_random_seed(1)
    backbone = keras_nlp.models.GPT2Backbone(
        vocabulary_size=len(vocabulary),
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        dropout=dropout,
        max_sequence_length=64,
    )
    backbone.save_to_preset(str(folder))
    tokenizer = keras_nlp.models.GPT2Tokenizer(vocabulary=vocabulary, merges=[" ".join(pair) for pair in merges])
    tokenizer.save_to_preset(str(folder))
    return folder
