"""One view of every family: what training and export need of a backbone, and nothing of how it is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

NEVER, BEGINS, CONTINUES = range(3)


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
        token_embedding: of the layers in `bottom`, the one whose matrix [V, H] has a row for each piece.
        model: the keras-nlp model whose layers these are.
        decoder: () -> a copy of the weights for generation; None where tokens read those behind them too.
        packed: () -> a view of the same layers for sequences that hold several texts, which do not see each other: its
            `padding_mask` numbers them from 1 on, 0 for filling. None where the family has no such view.
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
    token_embedding: Any
    model: Any
    decoder: Callable[[], "Decoder"] | None = None
    packed: Callable[[], "Backbone"] | None = None


@dataclass(frozen=True)
class Decoder:
    """A causal model as functions of tensors: all that is computed for each token alone.

    What a token takes from those before it, attention and its cache, is generation's. The N tokens of a call may come
    from any rows and places. Each function takes the weights first, as tensors or variables in the arrays' place.

    Attributes:
        weights: name -> float32 array.
        blocks: how many.
        heads: of the attention in each block.
        head_size: d, the numbers of a query, of a key and of a value.
        context: the most places.
        vocabulary: V.
        embed: (weights, tokens int32[N], places int32[N]) -> hidden float32[N, H].
        project: (weights, block, hidden) -> queries, keys and values, float32[N, heads * d] each; the product of query
            and key is what the softmax takes, scaled already.
        finish_block: (weights, block, hidden, attended values float32[N, heads * d]) -> hidden.
        logits: (weights, hidden) -> float32[N, V].
    """

    weights: Mapping[str, np.ndarray]
    blocks: int
    heads: int
    head_size: int
    context: int
    vocabulary: int
    embed: Callable[..., Any]
    project: Callable[..., Any]
    finish_block: Callable[..., Any]
    logits: Callable[..., Any]


@dataclass(frozen=True)
class Spelling:
    """What the tokens that a model writes stand for.

    Attributes:
        pieces: the bytes of each token, by id; none for a token that is in no text.
        end: id of the token behind every text; it stands before a text too.
    """

    pieces: Sequence[bytes]
    end: int


@dataclass(frozen=True)
class Filling:
    """What the V pieces of a vocabulary are where a token of a text is hidden.

    Attributes:
        mask: the id that stands for a hidden token; None where the vocabulary has none.
        special: the ids that no text has: they are never hidden, and never an answer.
        kinds: int8[V], `NEVER`, `BEGINS` or `CONTINUES`: which gaps a piece may fill.
        words: each piece as a text has it, without the marks of the vocabulary; "" for those of kind `NEVER`.
        letters: bool[V], whether a piece ends with a letter or a digit, so that more of its word may follow.
        takes_blank: a blank before a word is a part of its piece. Then the pieces that begin a word stand behind a
            blank; else they stand wherever no letter is in front.
    """

    mask: int | None
    special: tuple[int, ...]
    kinds: np.ndarray
    words: tuple[str, ...]
    letters: np.ndarray
    takes_blank: bool


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
        filling: () -> what the pieces are as fillings of a gap in a text.
        spelling: None where the family writes no text.
        graphs: of `graph`.
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
    filling: Callable[[], Filling]
    spelling: Spelling | None = None
    graphs: list[tuple[Any, Callable]] = field(default_factory=list, init=False, repr=False, compare=False)

    def graph(self, key: Any, make: Callable[[], Callable]) -> Callable:
        """A graph made of these functions, traced once for all who ask for the same: that takes seconds.

        Args:
            key: what it depends on beside them; compared by `==`.
            make: () -> the graph.
        """
        for known, graph in self.graphs:
            if known == key:
                return graph
        self.graphs.append((key, make()))
        return self.graphs[-1][1]
