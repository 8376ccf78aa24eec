"""Rows of different lengths, end to end in one array."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_ROWS = 512


@dataclass(frozen=True)
class Ragged:
    """N rows of numbers.

    Attributes:
        flat: [sum of lengths], one row after the other.
        starts: int64[N + 1], where each begins; the last is where the last one ends.
    """

    flat: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64[N]."""
        return np.diff(self.starts)

    def take(self, rows: np.ndarray) -> "Ragged":
        """Some rows, int[M], in their order there."""
        lengths = self.lengths[rows]
        starts = starts_of(lengths)
        shift = np.repeat(self.starts[:-1][rows] - starts[:-1], lengths)
        return Ragged(self.flat[np.arange(starts[-1]) + shift], starts)

    def to_lists(self) -> list[list]:
        """Row by row."""
        return [part.tolist() for part in np.split(self.flat, self.starts[1:-1])] if len(self) else []


def starts_of(lengths: np.ndarray) -> np.ndarray:
    """int64[N + 1]: where rows of these lengths begin."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def row_of_each(starts: np.ndarray) -> np.ndarray:
    """int64[sum of lengths]: of each number, the row that it is in."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    """From lists: int32."""
    lengths = [len(row) for row in rows]
    return Ragged(np.array([number for row in rows for number in row], np.int32), starts_of(np.array(lengths, int)))


def token_ids(text: Any, texts: Sequence[str | bytes]) -> Ragged:
    """Tokenises texts, each once, through the graph function that the export holds; no special tokens.

    Args:
        text: `kerasft.backbones.view.TextFunctions`.
        texts: N of them.

    Returns:
        int32.
    """
    import tensorflow as tf

    def make():
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def tokens(some):
            ids = text.tokenize(some).ids
            return ids.values, ids.row_lengths()

        return tokens

    tokens = text.graph("token_ids", make)
    flat, lengths = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for start in range(0, len(texts), _ROWS):
        values, counts = tokens(tf.constant(list(texts[start : start + _ROWS]), tf.string))
        flat.append(values.numpy().astype(np.int32))
        lengths.append(counts.numpy().astype(np.int64))
    return Ragged(np.concatenate(flat), starts_of(np.concatenate(lengths)))
