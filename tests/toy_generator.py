"""The random GPT-2 as a keras-nlp backbone, and as a generator whose pieces are bytes and a few longer ones."""

import functools
from types import SimpleNamespace

import numpy as np

from kerasft.backbones.gpt2 import view
from kerasft.backbones.view import Spelling
from kerasft.generation.generator import Generator, make_generator
from tests.random_gpt2 import END, TOY, Sizes, random_arrays

LONGER = ("the", " film", " the", "é".encode()[:1] + b"!", "日本".encode(), "日".encode()[1:], b"\n\n", b"STOP")
PIECES = (
    *(bytes([number]) for number in range(256)),
    *(piece.encode() if isinstance(piece, str) else piece for piece in LONGER),
    *(b"piece%d" % number for number in range(END - 256 - len(LONGER))),
    b"",
)


def keras_backbone(arrays: dict[str, np.ndarray], sizes: Sizes = TOY):
    """A `keras_nlp.models.GPT2Backbone` with these weights."""
    import keras_nlp

    model = keras_nlp.models.GPT2Backbone(
        vocabulary_size=sizes.vocabulary,
        num_layers=sizes.blocks,
        num_heads=sizes.heads,
        hidden_dim=sizes.hidden,
        intermediate_dim=4 * sizes.hidden,
        max_sequence_length=sizes.places,
    )
    model.token_embedding.embeddings.assign(arrays["wte.weight"])
    model.position_embedding.position_embeddings.assign(arrays["wpe.weight"])
    for number, block in enumerate(model.transformer_layers):
        attention = block._self_attention_layer
        kernels = np.split(arrays[f"h.{number}.attn.c_attn.weight"], 3, axis=1)
        biases = np.split(arrays[f"h.{number}.attn.c_attn.bias"], 3)
        dense = (attention.query_dense, attention.key_dense, attention.value_dense)
        for layer, kernel, bias in zip(dense, kernels, biases, strict=True):
            _assign(layer, kernel, bias)
        for name, layer in (
            ("attn.c_proj", attention.output_dense),
            ("mlp.c_fc", block._feedforward_intermediate_dense),
            ("mlp.c_proj", block._feedforward_output_dense),
            ("ln_1", block._self_attention_layer_norm),
            ("ln_2", block._feedforward_layer_norm),
        ):
            _assign(layer, arrays[f"h.{number}.{name}.weight"], arrays[f"h.{number}.{name}.bias"])
    _assign(model.layer_norm, arrays["ln_f.weight"], arrays["ln_f.bias"])
    return model


def _assign(layer, *values) -> None:
    for weight, value in zip(layer.weights, values, strict=True):
        weight.assign(value.reshape(weight.shape))


@functools.cache
def toy_generator(precision: str = "float32", seed: int = 0, sizes: Sizes = TOY, end: int = END) -> Generator:
    """The model of `random_arrays(sizes, seed)`."""
    text = SimpleNamespace(spelling=Spelling(PIECES[: sizes.vocabulary], end))
    return make_generator(view(keras_backbone(random_arrays(sizes, seed), sizes)), text, precision)


def ragged(rows: list[list[int]]):
    """Ragged int32[B, (T)]."""
    import tensorflow as tf

    return tf.RaggedTensor.from_row_lengths(
        tf.constant([token for row in rows for token in row], tf.int32),
        tf.constant([len(row) for row in rows], tf.int64),
    )


def in_graph(function):
    """`generate` and its kind as a served graph runs them; prompts and knobs of any size share one graph."""
    import tensorflow as tf

    return tf.function(function, reduce_retracing=True)


def as_lists(answers) -> list[list[int]]:
    """The tokens of each answer, without the filling."""
    return [[token for token in row if token >= 0] for row in np.asarray(answers["tokens"]).tolist()]
