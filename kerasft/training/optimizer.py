"""AdamW with a learning rate for each depth, warm-up and linear decay."""

from collections.abc import Mapping

from kerasft.training.recipe import Phase, Recipe


def make_optimizer(recipe: Recipe, phase: Phase, steps: int, depths: Mapping[str, int]):
    """A fresh optimizer for one phase.

    Decoupled weight decay (Loshchilov and Hutter 2019) spares biases and norms, as BERT's own training did; the
    learning
    rate of a layer is `layer_decay ** depth` of the head's (Howard and Ruder 2018); gradients are clipped by global
    norm.

    Args:
        recipe: weight decay, layer decay, warm-up, clipping.
        phase: its peak learning rate.
        steps: updates in the phase.
        depths: weight path -> how far below the head it lies.

    Returns:
        A `keras.optimizers.Optimizer`.
    """
    import keras
    import tensorflow as tf

    class LayerwiseAdamW(keras.optimizers.Adam):
        def build(self, variables):
            super().build(variables)
            self._scales = [recipe.layer_decay ** depths[variable.path] for variable in variables]
            self._decays = [recipe.weight_decay if _decays(variable) else 0.0 for variable in variables]

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            rate = tf.cast(learning_rate, variable.dtype) * self._scales[index]
            if self._decays[index]:
                self.assign_sub(variable, variable * (rate * self._decays[index]))
            step = tf.cast(self.iterations + 1, variable.dtype)
            # One fused op a weight: Keras' own update is some fifteen, each a pass over the memory and a node to trace.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                beta1_power=self.beta_1**step,
                beta2_power=self.beta_2**step,
                lr=rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=tf.convert_to_tensor(gradient),
            )

    return LayerwiseAdamW(
        learning_rate=_schedule(phase.learning_rate, steps, round(recipe.warmup * steps)),
        global_clipnorm=recipe.clip_norm,
        epsilon=1e-8,
    )


def _decays(variable) -> bool:
    """Kernels and embeddings decay. The attention's biases are matrices ([heads, size]), so the name decides too."""
    return len(variable.shape) > 1 and not variable.path.endswith("bias")


def _schedule(peak: float, steps: int, warmup: int):
    """From 0 up to `peak` in `warmup` steps, then linearly to 0 at `steps`."""
    import keras

    class WarmupThenLinear(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            # The first update (step 0) already learns, the last (step `steps` - 1) still does.
            now = keras.ops.cast(step, "float32") + 1.0
            rise = now / max(warmup, 1)
            fall = (steps + 1 - now) / max(steps + 1 - warmup, 1)
            return peak * keras.ops.maximum(keras.ops.minimum(rise, fall), 0.0)

        def get_config(self):
            return {"peak": peak, "steps": steps, "warmup": warmup}

    return WarmupThenLinear()
