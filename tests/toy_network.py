"""Small networks of both families with random weights, in memory; and one batch for them."""

import numpy as np

from kerasft.backbones import bert, gpt2
from kerasft.heads import pooled_head
from kerasft.network import Network

SIZE, BLOCKS, HEADS = 16, 3, 2


def toy_network(family: str = "bert", dtype: str = "float32", dropout: float = 0.2) -> Network:
    """3 blocks of 16; the same weights and the same random generators at each call."""
    import keras
    import keras_nlp

    keras.utils.set_random_seed(3)
    make, view = {
        "bert": (keras_nlp.models.BertBackbone, bert.view),
        "gpt2": (keras_nlp.models.GPT2Backbone, gpt2.view),
    }[family]
    model = make(
        vocabulary_size=50,
        num_layers=BLOCKS,
        num_heads=HEADS,
        hidden_dim=SIZE,
        intermediate_dim=2 * SIZE,
        dropout=dropout,
        max_sequence_length=32,
        dtype=dtype,
    )
    return Network(view(model), pooled_head(SIZE, 2))


def toy_batch(family: str = "bert", rows: int = 6, tokens: int = 9) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Token inputs with ragged rows, and labels int32[rows]."""
    draw = np.random.default_rng(0)
    mask = (np.arange(tokens) < draw.integers(3, tokens + 1, rows)[:, None]).astype(np.int32)
    batch = {"token_ids": draw.integers(5, 50, (rows, tokens)).astype(np.int32) * mask, "padding_mask": mask}
    if family == "bert":
        batch["segment_ids"] = np.zeros_like(mask)
    return batch, draw.integers(0, 2, rows).astype(np.int32)
