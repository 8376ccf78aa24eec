"""A byte-level BPE vocabulary of one's own, trained on a corpus by the `tokenizers` library, in GPT-2's two files.

Sennrich et al. 2016 over bytes, with the word split of GPT-2 (Radford et al. 2019). A piece is made of pairs that occur
twice or more: what stands in a corpus but once cannot be a piece, and so is not in the vocabulary that an export holds.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasft.errors import KerasftError
from kerasft.text.gpt2_vocabulary import END_OF_TEXT, byte_pieces

LEAST = 258
"""Pieces: all bytes, one more, and the end of a text."""
MOST = 1_000_000
_OCCURRENCES = 2


@dataclass(frozen=True)
class TrainedPairs:
    """A vocabulary.

    Attributes:
        pieces: as the files spell them, by id: the 256 bytes, what the merges make, the end of a text.
        merges: pairs of pieces, best first.
    """

    pieces: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]


def train_byte_pairs(texts: Iterable[str], size: int) -> TrainedPairs:
    """Trains a vocabulary. The same texts always give the same one.

    Args:
        texts: the corpus. The end token spelt out in it is text.
        size: pieces wanted, the end of a text among them.

    Returns:
        So many pieces, or as many as the corpus gives: no pair may be left that occurs twice.

    Raises:
        KerasftError: `tokenizers` is not installed; a size that has no room for all bytes; no text at all.
    """
    if not LEAST <= size <= MOST:
        raise KerasftError(
            f"vocabulary must be {LEAST:,} to {MOST:,} pieces (256 bytes, the end token, and what is learnt); found "
            f"{size:,}. Set vocabulary=8000, or leave it out to take GPT-2's."
        )
    try:
        import tokenizers
    except ImportError as error:
        raise KerasftError(
            "A vocabulary of one's own needs the tokenizers library: pip install 'kerasft[generation]'."
        ) from error
    # The end token is no affair of the training: in a text it would be split as text is.
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size - 1,
        min_frequency=_OCCURRENCES,
        initial_alphabet=sorted(byte_pieces()),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(texts, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    merges = tuple(_pair(merge) for merge in trained["merges"])
    if not merges:
        raise KerasftError("No vocabulary can be trained: no two letters stand side by side twice in the texts.")
    # By the order of the merges, not by the library's ids: a file's order of ids is then GPT-2's own.
    made = dict.fromkeys(left + right for left, right in merges)
    return TrainedPairs((*byte_pieces(), *made, END_OF_TEXT), merges)


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """Releases of the library differ in how they write a merge."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def write_byte_pairs(folder: Path, trained: TrainedPairs) -> Path:
    """Writes `vocab.json` and `merges.txt`, which `kerasft.text.gpt2_vocabulary.read_byte_pairs` reads.

    Args:
        folder: made when it is not there.
        trained: the vocabulary.

    Returns:
        The folder.

    Raises:
        OSError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = {piece: number for number, piece in enumerate(trained.pieces)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in trained.merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
