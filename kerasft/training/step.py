"""One update of the weights: the same mathematics on one device, on many, and in micro-batches.

Keras' own train step averages by replica (wrong for uneven shares), clips before the gradients are summed, and
cannot accumulate under a strategy. Here each row has a weight, the weights of a global batch sum to 1, and losses and
gradients are sums: over rows, micro-batches, replicas and workers alike.
"""

from collections.abc import Callable

FIRST_SCALE = 2.0**15
_GROW_AFTER = 1000


def make_trainable(
    model,
    row_loss: Callable,
    clip_norm: float,
    xla: bool = False,
    scaled: bool = False,
    together: bool = False,
):
    """Wraps a functional model for `fit`.

    Args:
        model: a functional `keras.Model` to logits; its layers are shared, not copied.
        row_loss: (labels [B, …], logits float32[B, …]) -> float32[B], the loss of each row.
        clip_norm: the most that the global norm of the summed gradients may be.
        xla: compile forward and backward pass with XLA.
        scaled: scale the loss for float16 (Micikevicius et al. 2018); gradients that overflow count as zeros.
        together: the loss compares rows with each other: it is given those of all replicas, which is not to be compiled
            with XLA where there are several. Batches have one micro-batch. The model may give several logits a row, one
            after the other.

    Returns:
        A `keras.Model` whose batches are (inputs, labels, weights float32[M, B]), each with M micro-batches in front.
        Its logs are `loss`, the weighted sum over the global batch; `gradient_norm`, before clipping; and `stop`, over
        0 for all workers at the same update once one of them has assigned 1 to the model's variable `stop`. Compile it
        with an optimizer that neither reduces nor clips.
    """
    import keras
    import tensorflow as tf

    class Trainable(keras.Model):
        # Keras would average the loss once more, by four collective operations an epoch.
        metrics = ()

        def compile(self, optimizer):
            # Under a float16 policy Keras would scale the loss a second time.
            super().compile(optimizer=optimizer, jit_compile=False, auto_scale_loss=False)

        def _maybe_symbolic_build(self, iterator=None, data_batch=None):
            """All is built already; Keras' own try at it breaks under several workers (Keras issue 20585)."""

        def make_train_function(self, force=False):
            # Keras' own reduction of the logs breaks under several workers (Keras issue 20329).
            if self.train_function is None or force:
                strategy = self.distribute_strategy

                @tf.function(reduce_retracing=True)
                def update(iterator):
                    logs = strategy.run(self.train_step, args=(next(iterator),))
                    return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

                self.train_function = update

        def train_step(self, batch):
            scale = self.loss_scale.read() if scaled else tf.constant(1.0)
            loss, gradients = _accumulated(*batch, scale)
            # One reduction for all: the figures of the global batch, on every replica.
            sums = [self.stop.read_value(), loss, *gradients]
            stop, loss, *gradients = tf.distribute.get_replica_context().all_reduce("SUM", sums)
            if scaled:
                gradients = [gradient / scale for gradient in gradients]
            norm = tf.linalg.global_norm(gradients)
            factor = clip_norm / tf.maximum(norm, clip_norm)
            if scaled:
                finite = tf.math.is_finite(norm)
                gradients = [tf.where(finite, gradient, 0.0) for gradient in gradients]
                factor = tf.where(finite, factor, 0.0)
                self.loss_scale.adjust(finite)
            self.optimizer.apply([gradient * factor for gradient in gradients], self.trainable_variables)
            return {"loss": loss, "gradient_norm": norm, "stop": stop}

    trainable = Trainable(model.input, model.output, name=model.name)
    trainable.stop = tf.Variable(0.0, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    if scaled:
        trainable.loss_scale = _LossScale()

    # A graph of its own, to be compiled as one; but within one replicas cannot exchange anything.
    @(tf.function(jit_compile=xla or None) if xla or not together else lambda function: function)
    def _one(inputs, labels, weights, scale):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(_row_losses(labels, trainable(inputs, training=True)) * weights)
            scaled_loss = loss * scale
        variables = [variable.value for variable in trainable.trainable_variables]
        gradients = tape.gradient(scaled_loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # A sparse gradient repeats its rows: its norm would not be the gradient's.
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _row_losses(labels, logits):
        context = tf.distribute.get_replica_context() if together else None
        if context is None or context.num_replicas_in_sync == 1:
            return row_loss(labels, logits)
        # Each replica counts its own rows' losses alone. What these say of another's rows goes back to it through the
        # exchange, whose gradient is a sum over replicas: all of them together have the gradient of the global batch.
        losses = row_loss(_of_all(labels), _of_all(logits))
        own = tf.shape(labels)[0]
        return losses[context.replica_id_in_sync_group * own :][:own]

    def _accumulated(inputs, labels, weights, scale):
        def micro(number):
            return tf.nest.map_structure(lambda array: array[number], (inputs, labels, weights))

        if together:
            # Outside of a loop: replicas cannot exchange anything within one.
            return _one(*micro(0), scale)

        def add(number, loss, sums):
            more, gradients = _one(*micro(number), scale)
            # Most batches have one micro-batch, which needs no sums.
            pairs = list(zip(sums, gradients, strict=True))
            sums = tf.cond(number > 0, lambda: [total + one for total, one in pairs], lambda: gradients)
            return number + 1, loss + more, sums

        shapes = [variable.shape for variable in trainable.trainable_variables]
        start = (tf.constant(0), tf.constant(0.0), [tf.zeros([0] * len(shape)) for shape in shapes])
        free = (tf.TensorShape([]), tf.TensorShape([]), [tf.TensorShape([None] * len(shape)) for shape in shapes])
        count = tf.shape(weights)[0]
        _, loss, sums = tf.while_loop(
            lambda number, *_: number < count, add, start, shape_invariants=free, parallel_iterations=1
        )
        return loss, [tf.ensure_shape(total, shape) for total, shape in zip(sums, shapes, strict=True)]

    return trainable


def _of_all(values):
    """The rows of all replicas, [R * B, …], on each of them; every replica has B.

    A sum of blocks that have zeros in others' places, not `all_gather`: that goes by way of a single device under NCCL,
    and the sum is what the gradients travel by in any case. Whole numbers go as float64, which holds them exactly and
    which all devices can add.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    sent = tf.cast(values, tf.float64) if values.dtype.is_integer else values
    own, before = tf.shape(values)[0], context.replica_id_in_sync_group
    ends = [before * own, (context.num_replicas_in_sync - 1 - before) * own]
    block = tf.pad(sent, [ends, *([[0, 0]] * (len(values.shape) - 1))])
    return tf.cast(context.all_reduce("SUM", block), values.dtype)


class _LossScale:
    """The factor of a float16 loss: halved when gradients overflow, doubled after a thousand good updates."""

    def __init__(self):
        import tensorflow as tf

        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.scale = tf.Variable(FIRST_SCALE, trainable=False, aggregation=first)
        self.good = tf.Variable(0, trainable=False, aggregation=first)

    def read(self):
        return self.scale.read_value()

    def adjust(self, finite) -> None:
        import tensorflow as tf

        good = tf.where(finite, self.good + 1, 0)
        grow = good >= _GROW_AFTER
        self.scale.assign(tf.where(finite, tf.where(grow, self.scale * 2, self.scale), tf.maximum(self.scale / 2, 1.0)))
        self.good.assign(tf.where(grow, 0, good))
