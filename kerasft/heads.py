"""Task heads: small functional models from a backbone's hidden states to logits."""


def pooled_head(hidden_size: int, outputs: int, pooling: str = "mean", dropout: float = 0.1):
    """One vector a text, then a linear layer.

    Args:
        hidden_size: H of the backbone.
        outputs: C, the number of logits.
        pooling: `mean` over the real tokens (Reimers and Gurevych 2019), `cls` (the first token, Devlin et al. 2019) or
            `last` (the last real token, for causal backbones, Radford et al. 2018).
        dropout: share of the pooled vector dropped in training.

    Returns:
        A `keras.Model` from hidden float[B, T, H] and padding mask int32[B, T] to logits float32[B, C].
    """
    import keras
    from keras import ops

    hidden = keras.Input((None, hidden_size), name="hidden")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    pooled = keras.layers.Dropout(dropout, name="head_dropout")(_pool(hidden, mask, pooling))
    logits = keras.layers.Dense(
        outputs, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02), dtype="float32", name="logits"
    )(ops.cast(pooled, "float32"))
    return keras.Model({"hidden": hidden, "padding_mask": mask}, logits, name="head")


def token_head(hidden_size: int, outputs: int, pooling: str = "mean", dropout: float = 0.1):
    """A linear layer on each token.

    Args:
        hidden_size: H of the backbone.
        outputs: C, the number of logits for each token.
        pooling: not used; heads take the same arguments.
        dropout: share of the hidden states dropped in training.

    Returns:
        A `keras.Model` from hidden float[B, T, H] and padding mask int32[B, T] to logits float32[B, T, C].
    """
    import keras
    from keras import ops

    hidden = keras.Input((None, hidden_size), name="hidden")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    dropped = keras.layers.Dropout(dropout, name="head_dropout")(hidden)
    logits = keras.layers.Dense(
        outputs, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02), dtype="float32", name="logits"
    )(ops.cast(dropped, "float32"))
    return keras.Model({"hidden": hidden, "padding_mask": mask}, logits, name="head")


def span_head(hidden_size: int, outputs: int, pooling: str = "mean", dropout: float = 0.1):
    """Scores of each token, and in front of them those of the text as a whole, for "nowhere".

    Args:
        hidden_size: H of the backbone.
        outputs: C, the number of scores for each token; 2 for the first and the last token of a span.
        pooling: of the text as a whole, as for `pooled_head`.
        dropout: share of the hidden states dropped in training.

    Returns:
        A `keras.Model` from hidden float[B, T, H] and padding mask int32[B, T] to logits float32[B, 1 + T, C]; those of
        filling are far below all others.
    """
    import keras
    from keras import ops

    hidden = keras.Input((None, hidden_size), name="hidden")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    nowhere = ops.expand_dims(_pool(hidden, mask, pooling), 1)
    dropped = keras.layers.Dropout(dropout, name="head_dropout")(ops.concatenate([nowhere, hidden], axis=1))
    logits = keras.layers.Dense(
        outputs, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02), dtype="float32", name="logits"
    )(ops.cast(dropped, "float32"))
    kept = ops.pad(ops.cast(mask, "float32"), [[0, 0], [1, 0]], constant_values=1.0)
    return keras.Model({"hidden": hidden, "padding_mask": mask}, logits - 1e9 * (1.0 - kept)[..., None], name="head")


def _pool(hidden, mask, pooling: str):
    from keras import ops

    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        # A weighted sum, not a gather: there is no index that a batch of no rows could break.
        last = ops.equal(ops.cumsum(mask, axis=1), ops.sum(mask, axis=1, keepdims=True))
        weights = ops.cast(last, "float32") * ops.cast(mask, "float32")
    else:
        weights = ops.cast(mask, "float32")
        weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1.0)
    return ops.einsum("bt,bth->bh", ops.cast(weights, hidden.dtype), hidden)
