"""Two update rules that Keras has too, but slower or larger: Adam in one op, Adafactor without a full second moment."""

import functools


def fused_adam():
    """Adam (Kingma and Ba 2015) as `keras.optimizers.Adam`, one op a weight.

    Keras' own update is some fifteen ops, each a pass over the memory and a node to trace.

    Returns:
        The class.
    """
    import keras
    import tensorflow as tf

    class FusedAdam(keras.optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            step = tf.cast(self.iterations + 1, "float32")
            cast = functools.partial(tf.cast, dtype=variable.dtype)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                beta1_power=cast(self.beta_1**step),
                beta2_power=cast(self.beta_2**step),
                lr=learning_rate,
                beta1=cast(self.beta_1),
                beta2=cast(self.beta_2),
                epsilon=cast(self.epsilon),
                grad=gradient,
            )

    return FusedAdam


def lean_adafactor():
    """Adafactor (Shazeer and Stern 2018) with rates that mean what they mean to Adam.

    The second moment of a matrix is kept as the averages of its rows and columns (of the last two axes); Keras keeps
    it in full beside them, so that nothing is saved. Updates are clipped to a root mean square of 1. The rate is the
    schedule's alone: neither multiplied by the size of the weight, which would all but freeze biases and needs rates
    some hundred times as high, nor capped at 1 / sqrt(step).

    Returns:
        The class.
    """
    import keras
    import tensorflow as tf

    class LeanAdafactor(keras.optimizers.Adafactor):
        def build(self, variables):
            if self.built:
                return
            keras.optimizers.Optimizer.build(self, variables)
            self._moments = []
            for variable in variables:
                shape, name = tuple(variable.shape), variable.path.replace("/", "_")
                kept = {"square": shape}
                if len(shape) > 1:
                    kept = {"rows": shape[:-1], "columns": shape[:-2] + shape[-1:]}
                self._moments.append(
                    [self.add_variable(of, dtype=variable.dtype, name=f"{name}_{kind}") for kind, of in kept.items()]
                )

        def update_step(self, gradient, variable, learning_rate):
            moments = self._moments[self._get_variable_index(variable)]
            step = tf.cast(self.iterations + 1, "float32")
            forgotten = tf.cast(step**self.beta_2_decay, variable.dtype)
            square = tf.square(gradient) + self.epsilon_1
            # One moment is the square itself, two are its averages over columns and over rows.
            seen = [square] if len(moments) == 1 else [tf.reduce_mean(square, axis=axis) for axis in (-1, -2)]
            now = []
            for moment, value in zip(moments, seen, strict=True):
                now.append(moment * (1 - forgotten) + value * forgotten)
                self.assign(moment, now[-1])
            if len(moments) == 1:
                update = gradient * tf.math.rsqrt(now[0])
            else:
                rows, columns = now
                rows = rows / tf.reduce_mean(rows, axis=-1, keepdims=True)
                update = gradient * tf.math.rsqrt(rows)[..., None] * tf.math.rsqrt(columns)[..., None, :]
            size = tf.sqrt(tf.reduce_mean(tf.square(update)))
            self.assign_sub(variable, update * (learning_rate / tf.maximum(size / self.clip_threshold, 1.0)))

    return LeanAdafactor
