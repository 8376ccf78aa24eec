"""Random rows of tokens, and networks, for the tests of the prefix cache."""

from pathlib import Path

import numpy as np

from kerasft.backbones.load import load_backbone
from kerasft.data.pipeline import Encoded
from kerasft.heads import pooled_head
from kerasft.network import Network


def random_rows(count: int = 75, segments: bool = True) -> Encoded:
    """Rows of 2 to 11 tokens, the same at each call; with BERT's segments or without."""
    random = np.random.default_rng(3)
    lengths = random.integers(2, 12, count)
    tokens = int(lengths.sum())
    inputs = {"token_ids": random.integers(5, 30, tokens).astype(np.int32)}
    if segments:
        inputs["segment_ids"] = random.integers(0, 2, tokens).astype(np.int32)
    return Encoded(
        inputs=inputs,
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        uncut=lengths.astype(np.int32),
        padding={**dict.fromkeys(inputs, 0), "padding_mask": 0},
    )


def load(folder) -> Network:
    """A preset with a head of two classes on it."""
    backbone = load_backbone(folder)
    return Network(backbone, pooled_head(backbone.hidden_size, 2))


def content(folder: Path) -> list[str]:
    """The names in a cache's folder, but for its lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")
