"""Keras' optimizers with a learning rate for each depth, decay that spares biases, and an average of the weights."""

import functools
from collections.abc import Mapping
from typing import Any

from kerasft.errors import KerasftError, did_you_mean
from kerasft.training.recipe import Learning, Phase
from kerasft.training.schedule import make_schedule
from kerasft.training.update_rules import fused_adam, lean_adafactor

# Keras' class and what differs from its defaults.
_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "adamw": ("Adam", {"epsilon": 1e-8}),
    "adam": ("Adam", {"epsilon": 1e-8}),
    "adafactor": ("Adafactor", {}),
    "lion": ("Lion", {}),
    "sgd": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adadelta": ("Adadelta", {}),
}

RATE_OVER_ADAMW = {"adamw": 1.0, "adam": 1.0, "adafactor": 1.0, "lion": 0.25, "sgd": 100.0, "adadelta": 2000.0}
"""What a learning rate tuned for AdamW is to be multiplied by, from range tests and short trainings of MiniLM's
top blocks. A start for a plan whose rates the user has not set; never applied here."""


def make_optimizer(learning: Learning, phase: Phase, steps: int, depths: Mapping[str, int]):
    """A fresh optimizer for one phase.

    The learning rate of a weight is `layer_decay ** depth` of the head's (Howard and Ruder 2018). Weight decay is
    decoupled (Loshchilov and Hutter 2019): each update first takes `rate * weight_decay` of a weight away from it. It
    spares biases and norms, as BERT's own training did; with `adam` there is none. With `ema` the optimizer also keeps
    a moving average of the weights (`averaged`); it never writes it into the weights.

    It neither adds up gradients over replicas nor clips them: what it is given are the totals of one global batch, the
    same on every replica.

    Args:
        learning: optimizer, schedule, warm-up, layer decay, weight decay, EMA.
        phase: its peak learning rate and, where it has one, its own layer decay.
        steps: updates in the phase.
        depths: weight path -> how far below the head it lies (`kerasft.network.depths`).

    Returns:
        A `keras.optimizers.Optimizer`; to be built in the strategy's scope.

    Raises:
        KerasftError: an unknown optimizer; when it is built, a weight that `depths` does not know.
    """
    if learning.optimizer not in _KINDS:
        raise KerasftError(f"Optimizer '{learning.optimizer}' is unknown.{did_you_mean(learning.optimizer, _KINDS)}")
    keras_name, settings = _KINDS[learning.optimizer]
    average = {"use_ema": True, "ema_momentum": learning.ema} if learning.ema else {}
    return _layerwise(keras_name)(
        depths,
        phase.layer_decay or learning.layer_decay,
        0.0 if learning.optimizer == "adam" else learning.weight_decay,
        learning_rate=make_schedule(learning.schedule, phase.learning_rate, steps, round(learning.warmup * steps)),
        name=learning.optimizer,
        **average,
        **settings,
    )


def averaged(optimizer) -> list | None:
    """The moving averages of the weights.

    Args:
        optimizer: built, from `make_optimizer`.

    Returns:
        `keras.Variable`s in the order of the trainable variables it was built on, or None when `ema` is off.
    """
    return list(optimizer._model_variables_moving_average) if optimizer.use_ema else None


def settable_rate(optimizer):
    """Puts a variable in place of the schedule, before the first update is traced; for the learning-rate range test.

    Args:
        optimizer: from `make_optimizer`.

    Returns:
        A float32 `keras.Variable`, made in the present strategy's scope: the head's rate from now on. `.assign(rate)`
        sets that of the next update.
    """
    import keras

    rate = keras.Variable(0.0, trainable=False, name="learning_rate", aggregation="only_first_replica")
    optimizer.learning_rate = lambda: keras.ops.convert_to_tensor(rate)
    return rate


def _decays(variable) -> bool:
    """Kernels and embeddings decay. The attention's biases are matrices ([heads, size]), so the name decides too."""
    return len(variable.shape) > 1 and not variable.path.endswith("bias")


def _depth(variable, depths: Mapping[str, int]) -> int:
    if variable.path not in depths:
        raise KerasftError(
            f"Weight '{variable.path}' has no depth, so no learning rate: expected a weight of the network that the "
            f"{len(depths)} depths were made from. Make them anew after adding or replacing weights (as LoRA does)."
        )
    return depths[variable.path]


@functools.cache
def _layerwise(keras_name: str):
    """The class: one of Keras' optimizers, its update step scaled by depth."""
    import keras
    import tensorflow as tf

    ours = {"Adam": fused_adam, "Adafactor": lean_adafactor}

    class Layerwise(ours[keras_name]() if keras_name in ours else getattr(keras.optimizers, keras_name)):
        def __init__(self, depths, layer_decay, weight_decay, **settings):
            super().__init__(**settings)
            self._scale_of = lambda variable: layer_decay ** _depth(variable, depths)
            # Not Keras' `weight_decay`: that one is taken at the same rate from every layer.
            self._decay_of = lambda variable: weight_decay if _decays(variable) else 0.0

        def build(self, variables):
            if self.built:
                return
            self._scales = [self._scale_of(variable) for variable in variables]
            self._decays = [self._decay_of(variable) for variable in variables]
            super().build(variables)
            if self.use_ema:
                with tf.init_scope():
                    for average, variable in zip(self._model_variables_moving_average, variables, strict=True):
                        average.assign(variable)

        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            # Keras would first add up the gradients of all replicas: these are totals already.
            variables = [variable.value for variable in trainable_variables]
            tf.__internal__.distribute.interim.maybe_merge_call(
                self._distributed_tf_update_step,
                self._distribution_strategy,
                list(zip(grads, variables, strict=True)),
                learning_rate,
            )

        def update_step(self, gradient, variable, learning_rate):
            index = self._get_variable_index(variable)
            rate = tf.cast(learning_rate, variable.dtype) * self._scales[index]
            if self._decays[index]:
                # One pass over the weight; taking away its share would be two.
                self.assign(variable, variable * (1 - rate * self._decays[index]))
            # An embedding's gradient may be sparse, with a row more than once.
            gradient = tf.cast(tf.convert_to_tensor(gradient), variable.dtype)
            super().update_step(gradient, variable, rate)
            if self.use_ema:
                self._move_average(self._model_variables_moving_average[index], variable)

        def _move_average(self, average, variable):
            # Momentum grows from 0.1: else the average of a short run would be mostly the weights it began with.
            step = tf.cast(self.iterations, "float32")
            momentum = tf.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step))
            self.assign_sub(average, (average - variable) * tf.cast(1.0 - momentum, variable.dtype))

        def _update_model_variables_moving_average(self, trainable_variables):
            # Done with each update step: here, in a replica, Keras may not assign to mirrored variables.
            pass

        def finalize_variable_values(self, var_list):
            # At the end of `fit` Keras would overwrite the weights with their averages: the caller swaps them.
            pass

    return Layerwise
