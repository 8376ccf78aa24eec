"""GPT-2 for generation (Radford et al. 2019): its weights in the form that costs least a token, and what they compute.

Queries, keys and values come from one kernel, scaled already: at a batch of one, a token costs reading each kernel
once and little else, so the fewer products the better. The token embeddings are [H, V], kernels [inputs, outputs]: on a
CPU the product with the transpose of the other form takes up to four times as long.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import tensorflow as tf

from kerasft.backbones.view import Decoder

Weights = Mapping[str, tf.Tensor | tf.Variable]


def decoder(model) -> Decoder:
    """Copies the weights of a `keras_nlp.models.GPT2Backbone` as they are now.

    Args:
        model: its layers.

    Returns:
        The same model as functions; the logits are the product with the token embeddings (tied weights).
    """
    heads = model.num_heads
    head_size = model.hidden_dim // heads
    epsilon = model.layer_norm.epsilon
    weights = {
        "tokens": _array(model.token_embedding.embeddings).T,
        "places": _array(model.position_embedding.position_embeddings),
        **_norm_weights("norm", model.layer_norm),
    }
    for number, block in enumerate(model.transformer_layers):
        weights |= {f"{number}/{name}": array for name, array in _block_weights(block, head_size).items()}
    return Decoder(
        weights=weights,
        blocks=len(model.transformer_layers),
        heads=heads,
        head_size=head_size,
        context=len(weights["places"]),
        vocabulary=weights["tokens"].shape[1],
        embed=_embed,
        project=partial(_project, epsilon),
        finish_block=partial(_finish_block, epsilon),
        logits=partial(_logits, epsilon),
    )


# --- the copy ---------------------------------------------------------------------------------------------------------


def _array(weight) -> np.ndarray:
    return np.asarray(weight, np.float32)


def _norm_weights(name: str, layer) -> dict[str, np.ndarray]:
    return {f"{name}/scale": _array(layer.gamma), f"{name}/shift": _array(layer.beta)}


def _block_weights(block, head_size: int) -> dict[str, np.ndarray]:
    attention = block._self_attention_layer
    dense = (attention.query_dense, attention.key_dense, attention.value_dense)
    scales = (np.float32(head_size**-0.5), np.float32(1), np.float32(1))
    hidden_size = dense[0].kernel.shape[0]
    kernels = [_array(layer.kernel).reshape(hidden_size, -1) for layer in dense]
    biases = [_array(layer.bias).reshape(-1) for layer in dense]
    found = {
        "read/kernel": np.concatenate([k * scale for k, scale in zip(kernels, scales, strict=True)], axis=1),
        "read/bias": np.concatenate([b * scale for b, scale in zip(biases, scales, strict=True)]),
        "write/kernel": _array(attention.output_dense.kernel).reshape(-1, hidden_size),
        "write/bias": _array(attention.output_dense.bias),
        **_norm_weights("read/norm", block._self_attention_layer_norm),
        **_norm_weights("wide/norm", block._feedforward_layer_norm),
    }
    for name, layer in (
        ("wide", block._feedforward_intermediate_dense),
        ("narrow", block._feedforward_output_dense),
    ):
        found |= {f"{name}/kernel": _array(layer.kernel), f"{name}/bias": _array(layer.bias)}
    return found


# --- what it computes -------------------------------------------------------------------------------------------------


def _embed(weights: Weights, tokens: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    token = tf.transpose(tf.gather(weights["tokens"], tokens, axis=1))
    return tf.cast(token, tf.float32) + tf.cast(tf.gather(weights["places"], places), tf.float32)


def _project(epsilon: float, weights: Weights, block: int, hidden: tf.Tensor) -> list[tf.Tensor]:
    return tf.split(_dense(weights, f"{block}/read", _norm(epsilon, weights, f"{block}/read/norm", hidden)), 3, axis=1)


def _finish_block(epsilon: float, weights: Weights, block: int, hidden: tf.Tensor, attended: tf.Tensor) -> tf.Tensor:
    hidden = hidden + _dense(weights, f"{block}/write", attended)
    wide = _dense(weights, f"{block}/wide", _norm(epsilon, weights, f"{block}/wide/norm", hidden))
    return hidden + _dense(weights, f"{block}/narrow", _gelu(wide))


def _gelu(inputs: tf.Tensor) -> tf.Tensor:
    """The approximation with tanh (Hendrycks and Gimpel 2016), written with the sigmoid; TensorFlow's takes a power."""
    slope = 2 * np.sqrt(2 / np.pi)
    return inputs * tf.sigmoid(inputs * (slope + 0.044715 * slope * tf.square(inputs)))


def _logits(epsilon: float, weights: Weights, hidden: tf.Tensor) -> tf.Tensor:
    return _product(_norm(epsilon, weights, "norm", hidden), weights["tokens"])


def _norm(epsilon: float, weights: Weights, name: str, hidden: tf.Tensor) -> tf.Tensor:
    centred = hidden - tf.reduce_mean(hidden, axis=1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=1, keepdims=True)
    return centred * tf.math.rsqrt(variance + epsilon) * weights[f"{name}/scale"] + weights[f"{name}/shift"]


def _dense(weights: Weights, name: str, inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.bias_add(_product(inputs, weights[f"{name}/kernel"]), weights[f"{name}/bias"])


def _product(inputs: tf.Tensor, kernel: tf.Tensor | tf.Variable) -> tf.Tensor:
    """float32[N, outputs]."""
    kernel = tf.convert_to_tensor(kernel)
    return tf.cast(tf.matmul(tf.cast(inputs, kernel.dtype), kernel), tf.float32)
