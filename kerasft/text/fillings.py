"""What the pieces of the two families' vocabularies are where a token of a text is hidden."""

import re
from collections.abc import Sequence

import numpy as np

from kerasft.backbones.view import BEGINS, CONTINUES, NEVER, Filling
from kerasft.text.bert_characters import IDEOGRAPHS

_INSIDE = "##"
# `[CLS]`, `[unused12]`: brackets are words of their own in a text, so that no text has such a piece.
_SPECIAL = re.compile(r"\[[^\[\]]+\]")


def wordpiece_filling(vocabulary: Sequence[str], mask: str) -> Filling:
    """The pieces of BERT: `ing` begins a word, `##ing` goes on with one.

    Args:
        vocabulary: the pieces, by id.
        mask: the piece that stands for a hidden token.
    """
    special = tuple(number for number, piece in enumerate(vocabulary) if _SPECIAL.fullmatch(piece))
    inside = [len(piece) > len(_INSIDE) and piece.startswith(_INSIDE) for piece in vocabulary]
    words = [
        piece.removeprefix(_INSIDE) if goes_on else piece for piece, goes_on in zip(vocabulary, inside, strict=True)
    ]
    kinds = np.where(inside, CONTINUES, BEGINS).astype(np.int8)
    kinds[[not word.strip() for word in words]] = NEVER
    kinds[list(special)] = NEVER
    return Filling(
        mask=next((number for number in special if vocabulary[number] == mask), None),
        special=special,
        kinds=kinds,
        words=_of_kinds(words, kinds),
        # Ideographs are words, one by one: nothing goes on behind them.
        letters=_letters(words) & np.array([ord(word[-1:] or " ") not in IDEOGRAPHS for word in words]),
        takes_blank=False,
    )


def byte_pair_filling(tokens: Sequence[bytes | None], mask: int) -> Filling:
    """The pieces of GPT-2: those that begin a word have the blank before it.

    Args:
        tokens: the bytes of each piece, by id; None for one that no text has.
        mask: the id that stands for a hidden token; GPT-2 has none of its own for that.

    Returns:
        Pieces that are a part of a character's bytes, or white space, fill no gap.
    """
    words, kinds = [], np.full(len(tokens), NEVER, np.int8)
    for number, token in enumerate(tokens):
        word = _decoded((token or b"").removeprefix(b" "))
        words.append(word)
        if word and word == word.strip():
            kinds[number] = BEGINS if token.startswith(b" ") else CONTINUES
    return Filling(
        mask=mask,
        special=tuple(sorted({mask, *(number for number, token in enumerate(tokens) if token is None)})),
        kinds=kinds,
        words=_of_kinds(words, kinds),
        letters=_letters(words),
        takes_blank=True,
    )


def _decoded(token: bytes) -> str:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return ""


def _of_kinds(words: Sequence[str], kinds: np.ndarray) -> tuple[str, ...]:
    return tuple(word if kind != NEVER else "" for word, kind in zip(words, kinds.tolist(), strict=True))


def _letters(words: Sequence[str]) -> np.ndarray:
    return np.array([word[-1:].isalnum() for word in words], bool)
