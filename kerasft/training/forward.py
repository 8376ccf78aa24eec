"""Logits and answers of many rows, over all devices of this process."""

from collections.abc import Callable, Mapping

import numpy as np

from kerasft.data.pipeline import encode, evened, sorted_batches, token_batch
from kerasft.data.rows import Rows
from kerasft.run import Run
from kerasft.tasks.task import Scheme, Task
from kerasft.training.devices import device_count

_ROWS = 32


def predict_logits(
    model, batch_of: Callable[[np.ndarray], Mapping[str, np.ndarray]], lengths: np.ndarray, batch_size: int
) -> np.ndarray:
    """Logits of rows, in the order of the rows.

    Args:
        model: a Keras model from batches to logits.
        batch_of: row numbers -> the model's inputs.
        lengths: int[N], for batches of like length.
        batch_size: rows a batch.

    Returns:
        float32[N, …]. Every worker of a cluster computes them all: the same weights give the same logits.
    """
    strategy = model.distribute_strategy
    run = _forward(model, strategy)
    most = int(lengths.max(initial=0))

    def inputs_of(rows):
        return evened(batch_of(rows), most)

    devices = device_count(strategy)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for rows in sorted_batches(lengths, batch_size * devices):
        if devices == 1:
            found.append((rows, run(inputs_of(rows)).numpy()))
            continue
        parts = [rows[number::devices] for number in range(devices)]
        # A device without a row gets one that is then thrown away.
        batches = iter([inputs_of(part if len(part) else rows[:1]) for part in parts])
        logits = run(strategy.experimental_distribute_values_from_function(lambda _, batches=batches: next(batches)))
        for part, one in zip(parts, strategy.experimental_local_results(logits), strict=True):
            found.append((part, one.numpy()[: len(part)]))
    order = np.concatenate([rows for rows, _ in found])
    logits = np.concatenate([values for _, values in found])
    result = np.empty_like(logits)
    result[order] = logits
    return result


def _forward(model, strategy):
    """The model in inference, traced once for every shape of batch; kept on the model, which is asked each epoch."""
    import tensorflow as tf

    if getattr(model, "forward_function", None) is None:

        @tf.function(reduce_retracing=True)
        def forward(batch):
            return strategy.run(lambda one: model(one, training=False), args=(batch,))

        model.forward_function = forward
    return model.forward_function


def answers(task: Task, logits: np.ndarray, scheme: Scheme) -> dict[str, np.ndarray]:
    """What the export would serve for these logits: `task.respond`'s outputs as arrays."""
    return {name: np.asarray(value) for name, value in task.respond(logits, scheme).items()}


def logits_of(run: Run, model, rows: Rows) -> np.ndarray:
    """Logits of rows, by a model of the run."""
    task = run.task
    encoded = encode(run.text, [rows.table.column(name) for name in task.text_columns], run.recipe.max_length)
    return predict_logits(model, lambda chosen: token_batch(encoded, chosen), encoded.lengths, _ROWS)
