"""Logits of many rows, over all devices of this process."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from kerasft.data.pipeline import evened, sorted_batches
from kerasft.training.devices import device_count

BatchOf = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def predict_logits(model, batch_of: BatchOf, lengths: np.ndarray, batch_size: int) -> np.ndarray:
    """Logits of rows, in the order of the rows.

    Args:
        model: a Keras model from batches to logits, one vector a row.
        batch_of: row numbers -> the model's inputs.
        lengths: int[N], for batches of like length.
        batch_size: rows a batch.

    Returns:
        float32[N, C]. Every worker of a cluster computes them all: the same weights give the same logits.
    """
    found = list(_batches(model, batch_of, lengths, batch_size))
    order = np.concatenate([rows for rows, _, _ in found])
    logits = np.concatenate([values for _, values, _ in found])
    result = np.empty_like(logits)
    result[order] = logits
    return result


def predict_places(model, batch_of: BatchOf, lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Logits of windows that have some for each place: for each window float32[T, …], without its filling.

    A head may put more values in front of the places: they stay.
    """
    result: list[np.ndarray] = [np.zeros(0)] * len(lengths)
    for rows, values, width in _batches(model, batch_of, lengths, batch_size):
        for row, value in zip(rows, values, strict=True):
            result[row] = value[: len(value) - (width - lengths[row])]
    return result


def _batches(
    model, batch_of: BatchOf, lengths: np.ndarray, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Row numbers, their logits, and how many places the rows of the batch had."""
    strategy = model.distribute_strategy
    run = _forward(model, strategy)
    most = int(lengths.max(initial=0))

    def inputs_of(rows):
        return evened(batch_of(rows), most)

    devices = device_count(strategy)
    for rows in sorted_batches(lengths, batch_size * devices):
        if devices == 1:
            inputs = inputs_of(rows)
            yield rows, run(inputs).numpy(), inputs["padding_mask"].shape[1]
            continue
        parts = [rows[number::devices] for number in range(devices)]
        # A device without a row gets one that is then thrown away.
        inputs = [inputs_of(part if len(part) else rows[:1]) for part in parts]
        batches = iter(inputs)
        logits = run(strategy.experimental_distribute_values_from_function(lambda _, batches=batches: next(batches)))
        for part, one, its in zip(parts, strategy.experimental_local_results(logits), inputs, strict=True):
            yield part, one.numpy()[: len(part)], its["padding_mask"].shape[1]


def _forward(model, strategy):
    """The model in inference, traced once for every shape of batch; kept on the model, which is asked each epoch."""
    import tensorflow as tf

    if getattr(model, "forward_function", None) is None:

        @tf.function(reduce_retracing=True)
        def forward(batch):
            return strategy.run(lambda one: model(one, training=False), args=(batch,))

        model.forward_function = forward
    return model.forward_function
