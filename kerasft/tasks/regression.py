"""Regression: one text, or two, -> a number in the data's own units."""

from collections.abc import Mapping

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.columns import Cell
from kerasft.data.plain import finite_number, shortened
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError
from kerasft.evaluation.regression import regression_figures
from kerasft.heads import pooled_head
from kerasft.tasks.task import Scheme, Task, refuse_settings

FEWEST_ROWS = 10


def fault(value: str, texts: Mapping[str, str]) -> str | None:
    """Why a value is not a score; None when it is one."""
    return f"the score {shortened(value)!r} is not a number" if finite_number(value) is None else None


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """Mean and standard deviation of the training scores: the network learns on that scale.

    Raises:
        KerasftError: too few rows, or only one score.
    """
    refuse_settings(recipe, task, ("labels", "label_smoothing"))
    scores = _scores(sets["train"])
    if len(scores) < FEWEST_ROWS or np.ptp(scores) == 0:
        found = (
            f"{len(scores)} rows" if len(scores) < FEWEST_ROWS else f"{len(scores):,} rows that all have {scores[0]:g}"
        )
        raise KerasftError(f"Expected {FEWEST_ROWS} training rows or more with different scores, found {found}.")
    warnings = audit_sets(sets, task.text_columns, None)
    if len(scores) < SMALL:
        warnings.append(f"Only {len(scores)} training rows: under {SMALL:,}, results vary with the seed.")
    return Scheme(numbers={"mean": float(scores.mean()), "deviation": float(scores.std())}), warnings


def targets(rows: Rows, scheme: Scheme) -> np.ndarray:
    """float32[N]: scores on the scale that is learnt, mean 0 and standard deviation 1 over the training rows."""
    return ((_scores(rows) - scheme.numbers["mean"]) / scheme.numbers["deviation"]).astype(np.float32)


def _scores(rows: Rows) -> np.ndarray:
    return np.array([float(value) for value in rows.column("score")], np.float64)


def loss(label_smoothing: float):
    """Squared error of scaled scores float32[B] and logits float[B, 1]."""
    import keras

    del label_smoothing  # means nothing here: `learn` has refused it

    def squared_error(scores, logits):
        return keras.ops.square(keras.ops.cast(logits, "float32")[:, 0] - scores)

    return squared_error


def respond(logits, scheme: Scheme):
    """The number, in the units of the training data.

    Args:
        logits: float[B, 1].
        scheme: with the scale.

    Returns:
        `value` float32[B].
    """
    import tensorflow as tf

    return {"value": tf.cast(logits, tf.float32)[:, 0] * scheme.numbers["deviation"] + scheme.numbers["mean"]}


def regress(logits, scheme: Scheme):
    """The number in TF Serving's Regress shape: `outputs` float32[B]."""
    return {"outputs": respond(logits, scheme)["value"]}


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.regression.regression_figures`."""
    return regression_figures(_scores(rows), np.asarray(answers["value"], np.float64))


def describe(rows: Rows) -> str:
    """`scores from 0 to 5, mean 2.71`."""
    scores = _scores(rows)
    return f"scores from {scores.min():g} to {scores.max():g}, mean {scores.mean():.3g}"


TASK = Task(
    name="regression",
    summary="one text, or two, -> a number in your data's own units",
    text_columns=("text", "text_pair"),
    label_column="score",
    learn=learn,
    targets=targets,
    outputs=lambda scheme: 1,
    head=pooled_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="pearson",
    describe=describe,
    example={"text": "Nobody can log in since this morning.", "score": 8.5},
    answer={"value": 8.1, "truncated": False},
    apis={"regress": regress},
    cells={"score": Cell(fault=fault, mend="Write a number, with a point for the decimals.")},
    optional_columns=("text_pair",),
    starter="regression.csv",
)
