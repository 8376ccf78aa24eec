"""GPT-2 over sequences that hold several texts, one behind the other: each text is read as if it were alone.

As sequences are packed by Krell et al. 2021 (arXiv 2107.02027): attention stays within a text, and positions begin anew
in each. Filling is read as one more text.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from kerasft.backbones.view import Backbone


def packed(plain: Backbone) -> Backbone:
    """The same layers for packed sequences.

    Args:
        plain: the view of a `keras_nlp.models.GPT2Backbone`.

    Returns:
        A view whose `padding_mask` int32[B, T] numbers the texts of a sequence in their order, from 1 on; 0 for
        filling, behind the last one. A sequence of one text gives what `plain` gives.
    """
    return replace(plain, embed=partial(_embed, plain.model), run_block=_run_block, packed=None)


def _embed(model, inputs: Mapping[str, Any]):
    tokens = model.token_embedding(inputs["token_ids"])
    positions = model.position_embedding(tokens, positions=_positions(inputs["padding_mask"]))
    return model.embeddings_dropout(model.embeddings_add((tokens, positions)))


def _run_block(block, hidden, texts):
    # That tokens see none behind them, the block itself knows.
    return block(hidden, decoder_attention_mask=_together(texts))


def _together(texts):
    """bool[B, T, T]: whether two places are of one text."""
    from keras import ops

    return ops.equal(ops.expand_dims(texts, 2), ops.expand_dims(texts, 1))


def _positions(texts):
    """int32[B, T], from 0 in each text: how many places behind the text's first one."""
    from keras import ops

    place = ops.cumsum(ops.ones_like(texts), axis=1)
    # As many numbers as one head's attention of one block has, and compared, not computed.
    own = ops.where(_together(texts), ops.expand_dims(place, 1), ops.expand_dims(place, 2))
    return place - ops.min(own, axis=2)
