"""What peer_tasks.py needs for vectors of texts: pairs, each text by itself, and the in-batch softmax of their cosines.

The same loss as kerasft's but for texts that a batch has twice, which the peer takes for different ones.
"""

from typing import Any

import numpy as np
import torch
from peer_trainer import MeanPooled
from scipy import stats

TEMPERATURE = 0.05


class TextPairs(torch.utils.data.Dataset):
    """Two tokenised texts a row, and the row's score."""

    def __init__(self, rows: list[dict], kind: Any, learnt: Any, tokenizer, max_length: int):
        self.rows = rows
        self.targets = [kind.target(row, learnt) for row in rows]
        self.sides = [
            tokenizer([row[name] for row in rows], truncation=True, max_length=max_length)
            for name in ("text", "text_pair")
        ]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        sides = [{name: values[index] for name, values in side.items()} for side in self.sides]
        # Under a name that the network takes: the Trainer drops others.
        return {"input_ids": sides, "labels": self.targets[index]}


def collate_pairs(tokenizer):
    """A batch: all first texts, then all second ones, in one array padded to the longest."""

    def collate(examples: list[dict]) -> dict[str, torch.Tensor]:
        texts = [example["input_ids"][side] for side in (0, 1) for example in examples]
        return {
            **tokenizer.pad(texts, return_tensors="pt"),
            "labels": torch.tensor([row["labels"] for row in examples]),
        }

    return collate


class PairVectors(MeanPooled):
    """Backbone and mean over the real tokens; no other layer."""

    def __init__(self, folder: str, outputs: int):
        super().__init__(folder, 1)
        self.head = torch.nn.Identity()
        self.dropout = torch.nn.Identity()

    def forward(self, input_ids, attention_mask, token_type_ids=None, labels=None):
        found = super().forward(input_ids, attention_mask, token_type_ids)["logits"]
        # [B, 2, D], so that a row's vectors stay together.
        return {"logits": torch.stack(found.chunk(2), dim=1)}


def pair_loss(vectors: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Each first text finds its second one among those of the batch (Henderson et al. 2017)."""
    first, second = torch.nn.functional.normalize(vectors, dim=-1).unbind(1)
    return torch.nn.functional.cross_entropy(first @ second.T / TEMPERATURE, torch.arange(len(first)))


def pair_figures(vectors: np.ndarray, held_out: TextPairs, learnt: Any) -> dict[str, float]:
    """Spearman's correlation of the cosines with the scores."""
    first, second = np.moveaxis(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), 1, 0)
    return {"spearman": float(stats.spearmanr((first * second).sum(-1), held_out.targets).statistic)}
