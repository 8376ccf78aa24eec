"""Gradient checkpointing: a block keeps only its input and runs again in the backward pass (Chen et al. 2016)."""

from collections.abc import Callable
from typing import Any


def recomputed(block: Any, run_block: Callable[..., Any], hidden_size: int):
    """A layer that is `block`, but whose activations are not kept for the backward pass.

    TensorFlow's and Keras' own checkpointing (`tf.recompute_grad`, `keras.remat`) run a block the second time with
    other dropout masks, and without dropout at all when the second run falls outside the model's call: the gradients
    are then those of another function. Here the second run gets the seeds of the first.

    Args:
        block: a built transformer layer. Shared: the new layer has the block's weights and no others.
        run_block: (block, hidden, padding mask) -> hidden, as `Backbone.run_block`.
        hidden_size: H.

    Returns:
        A layer from hidden float[B, T, H] and padding mask int32[B, T] to hidden float[B, T, H]. In inference, and
        when nothing of the block trains, it is the block itself.
    """
    import keras

    hidden = keras.Input((None, hidden_size), dtype=block.compute_dtype, name="hidden")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    # A model, for it tells the block whether it trains: the second run has no outer model to ask.
    inner = keras.Model([hidden, mask], run_block(block, hidden, mask), name=f"{block.name}_alone")

    class Recomputed(keras.layers.Layer):
        def __init__(self):
            # Without autocast, the weights are handed to the block as they are stored; its own layers cast them.
            super().__init__(name=f"{block.name}_recomputed", dtype="float32", autocast=False)
            self.inner = inner

        def call(self, hidden, mask, training=None):
            if training and inner.trainable_variables:
                return _run(inner, hidden, mask)
            return inner([hidden, mask], training=training)

    return Recomputed()


def _run(inner, hidden, mask):
    """`inner` in training, as a function of tensors alone: no variable is read or written while it runs."""
    import keras
    import tensorflow as tf

    trained = inner.trainable_variables
    named = {id(variable) for variable in inner.weights}
    # What is left beside the weights are the states of the random generators.
    seeds = [variable for variable in inner.variables if id(variable) not in named]
    frozen = [variable for variable in inner.weights if not variable.trainable]
    frozen_values = [tf.convert_to_tensor(variable.value) for variable in frozen]
    seeds_before = [tf.convert_to_tensor(variable.value) for variable in seeds]
    seeds_after: list[Any] = []

    def forward(hidden, values, seed_values):
        known = zip([*trained, *frozen, *seeds], [*values, *frozen_values, *seed_values], strict=True)
        with keras.StatelessScope(list(known), initialize_variables=False) as scope:
            outputs = inner([hidden, mask], training=True)
        return outputs, [scope.get_current_value(variable) for variable in seeds]

    @tf.custom_gradient
    def run(hidden, *values):
        outputs, after = forward(hidden, values, seeds_before)
        seeds_after.extend(after)

        def backward(upstream):
            # Nothing of the second run may begin before the gradient arrives, nor be taken for what the first run has
            # computed already: else both runs' activations live at once. TensorFlow heeds the control dependency, XLA
            # only the data's: a zero that neither can foresee.
            nothing = tf.minimum(tf.abs(tf.reshape(upstream, [-1])[:1]), 0)
            with tf.control_dependencies([upstream]), tf.GradientTape() as tape:
                inputs = [hidden + tf.cast(nothing, hidden.dtype), *(tf.identity(value) for value in values)]
                tape.watch(inputs)
                again = [seed + tf.cast(nothing, seed.dtype) for seed in seeds_before]
                outputs, _ = forward(inputs[0], inputs[1:], again)
            return tape.gradient(outputs, inputs, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        return outputs, backward

    outputs = run(hidden, *(tf.convert_to_tensor(variable.value) for variable in trained))
    for variable, value in zip(seeds, seeds_after, strict=True):
        variable.assign(value)
    return outputs
