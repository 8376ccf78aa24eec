"""Task heads: small functional models from a backbone's hidden states to logits."""

_CHANGE = 0.1  # of what the layer of a `vector_head` adds


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


def vocabulary_head(hidden_size: int, outputs: int, pooling: str = "mean", dropout: float = 0.1, *, embedding):
    """At some places of a text, a logit for each piece of the vocabulary: the head of masked language modelling.

    As in Devlin et al. 2019: a linear layer, GELU, a layer norm, then the product with each row of the token embeddings
    (tied weights, Press and Wolf 2017) and a bias. At the places alone: over a vocabulary of 30,000 pieces, logits at
    every place would cost more than a small backbone. The linear layer begins as the identity, for hidden states and
    embeddings share their axes: on the starter data MiniLM then ends at an accuracy of 0.30 and not 0.19 (one seed).

    Args:
        hidden_size: H of the backbone.
        outputs: not used: there are V logits.
        pooling: not used; heads take the same arguments.
        dropout: not used: the backbone's last block has its own.
        embedding: the layer with the token embeddings [V, H]. It stays the backbone's: whether the matrix trains is
            said there, and its weights are not among the head's.

    Returns:
        A `keras.Model` from hidden float[B, T, H], padding mask int32[B, T] and `chosen` int32[B, P], the places, to
        logits float32[B, P, V].
    """
    import keras
    from keras import ops

    hidden, mask, chosen = _entries(hidden_size)
    states = _at_places(hidden, chosen)
    states = keras.layers.Dense(
        hidden_size, kernel_initializer=keras.initializers.Identity(), dtype="float32", name="transform"
    )(ops.cast(states, "float32"))
    states = keras.layers.LayerNormalization(epsilon=1e-12, dtype="float32", name="transform_norm")(
        ops.gelu(states, approximate=True)
    )
    logits = _tied(states, embedding, bias=True)
    return keras.Model({"hidden": hidden, "padding_mask": mask, "chosen": chosen}, logits, name="head")


def language_head(hidden_size: int, outputs: int, pooling: str = "mean", dropout: float = 0.1, *, embedding):
    """At some places of a text, a logit for each piece of the vocabulary to come next: GPT-2's own head.

    The product with each row of the token embeddings (Radford et al. 2019; Press and Wolf 2017), and no weight of its
    own. At the places alone: a prompt is read, and only the answer behind it is learnt.

    Args:
        hidden_size: H of the backbone.
        outputs: not used: there are V logits.
        pooling: not used; heads take the same arguments.
        dropout: not used: the backbone's blocks have their own.
        embedding: as for `vocabulary_head`.

    Returns:
        A `keras.Model` from hidden float[B, T, H], padding mask int32[B, T] and `chosen` int32[B, P], the places, to
        logits float32[B, P, V].
    """
    import keras
    from keras import ops

    hidden, mask, chosen = _entries(hidden_size)
    logits = _tied(ops.cast(_at_places(hidden, chosen), "float32"), embedding, bias=False)
    return keras.Model({"hidden": hidden, "padding_mask": mask, "chosen": chosen}, logits, name="head")


def _entries(hidden_size: int):
    """Inputs of a head that answers at some places: hidden, padding mask and places."""
    import keras

    hidden = keras.Input((None, hidden_size), name="hidden")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    return hidden, mask, keras.Input((None,), dtype="int32", name="chosen")


def _at_places(hidden, chosen):
    """float[B, P, H]: the hidden states at places int32[B, P]."""
    import keras
    import tensorflow as tf

    class AtPlaces(keras.layers.Layer):
        def call(self, hidden, chosen):
            return tf.gather(hidden, chosen, batch_dims=1)

    return AtPlaces(name="at_places")(hidden, chosen)


def _tied(states, embedding, bias: bool):
    """float32[B, P, V]: the product of states float32[B, P, H] with each row of the token embeddings."""
    import keras
    import tensorflow as tf

    pieces, hidden_size = embedding.input_dim, embedding.output_dim

    class Tied(keras.layers.Layer):
        def build(self, input_shape):
            self.bias = self.add_weight(name="bias", shape=(pieces,), initializer="zeros") if bias else 0.0

        def call(self, states):
            # Not an attribute, which would make the matrix a weight of the head too.
            matrix = tf.convert_to_tensor(embedding.embeddings)
            logits = tf.matmul(tf.reshape(states, [-1, hidden_size]), matrix, transpose_b=True) + self.bias
            return tf.reshape(logits, [tf.shape(states)[0], tf.shape(states)[1], pieces])

    return Tied(dtype="float32", name="logits")(states)


def vector_head(hidden_size: int, outputs: int, pooling: str = "mean", dropout: float = 0.1):
    """One vector a text, as long as the backbone's, through a linear layer that changes nothing before it is trained.

    So a backbone that gives good vectors already gives them still, and a phase of the head alone, on cached hidden
    states, has something to learn: which directions count.

    Args:
        hidden_size: H of the backbone.
        outputs: not used; heads take the same arguments.
        pooling: as for `pooled_head`.
        dropout: share of the pooled vector dropped in training.

    Returns:
        A `keras.Model` from hidden float[B, T, H] and padding mask int32[B, T] to vectors float32[B, H], of any length.
    """
    import keras
    from keras import ops

    hidden = keras.Input((None, hidden_size), name="hidden")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    pooled = ops.cast(keras.layers.Dropout(dropout, name="head_dropout")(_pool(hidden, mask, pooling)), "float32")
    change = keras.layers.Dense(hidden_size, kernel_initializer="zeros", dtype="float32", name="change")(pooled)
    # Adam's steps are of one size whatever the gradient: at a head's rate they would soon outweigh the pooled vector
    # (measured on STS-B: Spearman 0.852 after a whole layer's phase, from 0.867).
    vectors = pooled + _CHANGE * change
    return keras.Model({"hidden": hidden, "padding_mask": mask}, vectors, name="head")


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
