"""Training in less memory and time: what is cheap to make again is not kept for the backward pass.

TensorFlow keeps every step of a composed function. A tanh GELU is eight steps over the widest tensor of a block, a
layer norm six: here each is one function with a gradient of its own that keeps its input alone. Dropout keeps one byte
a value, and spends half the random bits.
"""

import math
from types import MethodType

from kerasft.backbones.view import Backbone

_SLOPE = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715
_WORDS = 2**16


def make_lean(backbone: Backbone) -> None:
    """Puts functions that keep less in the place of the backbone's GELUs, layer norms and dropouts: the same values and
    gradients to rounding, other random masks. For training only: an export is made of Keras' own.

    Args:
        backbone: its layers are changed in place; their weights, and what a saved model would hold, are not.
    """
    import keras

    for part in (*backbone.bottom, *backbone.blocks, *backbone.top):
        for layer in part._flatten_layers():
            if getattr(getattr(layer, "activation", None), "__name__", "") == "gelu_approximate":
                layer.activation = gelu
            elif type(layer) is keras.layers.LayerNormalization and _is_plain(layer):
                layer.call = MethodType(_normalised, layer)
            elif type(layer) is keras.layers.Dropout and layer.noise_shape is None and 0 < layer.rate < 1:
                layer.call = MethodType(_dropped, layer)


def gelu(inputs):
    """GELU in its tanh form (Hendrycks and Gimpel 2016), which is x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x³)), computed
    in float32.

    Args:
        inputs: float[…].

    Returns:
        The same shape and dtype.
    """
    import tensorflow as tf

    def gate(wide):
        return tf.sigmoid(wide * (wide * wide * (_SLOPE * _CUBIC) + _SLOPE))

    @tf.custom_gradient
    def function(x):
        def gradient(upstream):
            wide = tf.cast(x, tf.float32)
            open_ = gate(wide)
            slope = wide * wide * (3 * _SLOPE * _CUBIC) + _SLOPE
            passed = wide * open_
            return tf.cast(tf.cast(upstream, tf.float32) * (open_ + (passed - passed * open_) * slope), x.dtype)

        # In bfloat16 each of these steps would round up and down again: 8.2 ms of a processor for 5.0 here.
        wide = tf.cast(x, tf.float32)
        return tf.cast(wide * gate(wide), x.dtype), gradient

    return function(tf.convert_to_tensor(inputs))


def layer_norm(inputs, gamma, beta, epsilon: float):
    """Layer normalisation over the last axis (Ba et al. 2016), computed in float32.

    Args:
        inputs: float[…, H].
        gamma: float[H].
        beta: float[H].
        epsilon: is added to the variance.

    Returns:
        The shape and dtype of `inputs`.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def function(x, gamma, beta):
        wide = tf.cast(x, tf.float32)
        mean = tf.reduce_mean(wide, -1, keepdims=True)
        scale = tf.math.rsqrt(tf.reduce_mean(tf.square(wide - mean), -1, keepdims=True) + epsilon)
        values = (wide - mean) * scale * tf.cast(gamma, tf.float32) + tf.cast(beta, tf.float32)

        def gradient(upstream):
            upstream = tf.cast(upstream, tf.float32)
            normal = (tf.cast(x, tf.float32) - mean) * scale
            axes = tf.range(tf.rank(x) - 1)
            through = upstream * tf.cast(gamma, tf.float32)
            back = through - tf.reduce_mean(through, -1, keepdims=True)
            back -= normal * tf.reduce_mean(through * normal, -1, keepdims=True)
            return (
                tf.cast(back * scale, x.dtype),
                tf.cast(tf.reduce_sum(upstream * normal, axes), gamma.dtype),
                tf.cast(tf.reduce_sum(upstream, axes), beta.dtype),
            )

        return tf.cast(values, x.dtype), gradient

    return function(*map(tf.convert_to_tensor, (inputs, gamma, beta)))


def dropout(inputs, rate: float, seed):
    """Dropout (Srivastava et al. 2014) that draws 16 random bits for each value where TensorFlow's draws 32.

    Args:
        inputs: float[…].
        rate: the share that is dropped, over 0 and under 1; kept to 1/65536.
        seed: whole numbers [2].

    Returns:
        The shape and dtype of `inputs`: zero, or the value divided by `1 - rate`.
    """
    import tensorflow as tf

    least = min(max(round(rate * _WORDS), 1), _WORDS - 1)
    larger = _WORDS / (_WORDS - least)

    @tf.custom_gradient
    def function(x):
        count = tf.size(x, tf.int64)
        drawn = tf.random.stateless_uniform([-(-count // 4)], tf.cast(seed, tf.int64), None, None, tf.uint64)
        words = tf.reshape(tf.bitcast(drawn, tf.uint16), [-1])[:count]
        kept = tf.reshape(words >= tf.constant(least, tf.uint16), tf.shape(x))

        def masked(values):
            return tf.where(kept, values * tf.cast(larger, values.dtype), tf.zeros([], values.dtype))

        return masked(x), masked

    return function(tf.convert_to_tensor(inputs))


def _dropped(layer, inputs, training=False):
    return dropout(inputs, layer.rate, layer.seed_generator.next()) if training else inputs


def _normalised(layer, inputs):
    import keras

    return keras.ops.cast(layer_norm(inputs, layer.gamma, layer.beta, layer.epsilon), layer.compute_dtype)


def _is_plain(layer) -> bool:
    axis = layer.axis if isinstance(layer.axis, int) else tuple(layer.axis)
    last = axis in (-1, (-1,)) or axis in (len(layer.gamma.shape) + 1, (2,))
    return bool(layer.scale and layer.center and not layer.rms_scaling and last)
