"""One view of every family: what training and export need of a backbone, and nothing of how it is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Backbone:
    """The layers of a pre-trained model, bottom to top.

    Attributes:
        family: `bert` or `gpt2`.
        hidden_size: H.
        inputs: () -> symbolic token inputs, name -> KerasTensor [B, T].
        embed: (token inputs) -> hidden [B, T, H].
        bottom: the layers that `embed` calls, for freezing.
        blocks: the transformer layers.
        run_block: (block, hidden, padding mask int32[B, T]) -> hidden.
        top: layers after the last block (GPT-2's last norm); trained whenever a block is.
        finish: (hidden) -> hidden, through `top`.
    """

    family: str
    hidden_size: int
    inputs: Callable[[], Mapping[str, Any]]
    embed: Callable[..., Any]
    bottom: tuple[Any, ...]
    blocks: tuple[Any, ...]
    run_block: Callable[..., Any]
    top: tuple[Any, ...]
    finish: Callable[[Any], Any]


class Mark(NamedTuple):
    """How a family tells its network of one word of a text.

    Attributes:
        front: segments to put in front of the text, ragged int32[B, (T)] each.
        input: the token input that is 1 at the word's own tokens.
    """

    front: Sequence[Any] = ()
    input: str | None = None


@dataclass(frozen=True)
class TextFunctions:
    """How a family turns text into tokens: graph functions, the same in training and in the export.

    Attributes:
        family: `bert` or `gpt2`.
        vocabulary: the pieces, by id.
        tokenize: string[B] -> `kerasft.text.bert.Tokens`, without special tokens.
        pack: (one ragged int32[B, (T)] a segment, max_length) -> token inputs, name -> [B, T], padded to the longest
            row.
        lengths: the same arguments -> int32[B], the tokens that the rows have before the cut, special tokens included.
        padding: what a missing token is in each input, name -> number.
        max_length: the most tokens that the position embedding has.
        pooling: the family's usual pooling.
        mark: (the tokens of a text, ragged int32[B, (T)]; the token behind the marked word, int32[B], 0 where none is
            marked) -> `Mark`.
    """

    family: str
    vocabulary: Sequence[str]
    tokenize: Callable[[Any], Any]
    pack: Callable[..., Mapping[str, Any]]
    lengths: Callable[..., Any]
    padding: Mapping[str, int]
    max_length: int
    pooling: str
    mark: Callable[[Any, Any], Mark]
