"""Ranking: a query and a document -> how relevant the document is; sorting by it is the caller's."""

from collections.abc import Mapping

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.columns import Cell
from kerasft.data.plain import finite_number, shortened
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError
from kerasft.evaluation.ranking import ranking_figures
from kerasft.heads import pooled_head
from kerasft.tasks.task import Scheme, Task, refuse_settings


def fault(value: str, texts: Mapping[str, str]) -> str | None:
    """Why a value is no relevance; None when it is one."""
    found = finite_number(value)
    return f"the relevance {shortened(value)!r} is not a number of 0 or more" if found is None or found < 0 else None


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """The highest relevance: the network learns relevance as a share of it.

    Raises:
        KerasftError: all documents are equally relevant.
    """
    refuse_settings(recipe, task, ("labels", "label_smoothing"))
    relevance = _relevance(sets["train"])
    if np.ptp(relevance) == 0:
        raise KerasftError(
            f"All {len(relevance):,} training rows have relevance {relevance[0]:g}: expected others too."
        )
    warnings = audit_sets(sets, task.text_columns, None)
    queries = len(set(sets["train"].column("query")))
    if len(relevance) < SMALL:
        warnings.append(f"Only {len(relevance)} rows of {queries} queries to train on: results vary with the seed.")
    return Scheme(numbers={"highest": float(relevance.max())}), warnings


def targets(rows: Rows, scheme: Scheme) -> np.ndarray:
    """float32[N], each row's relevance as a share of the highest; more than that counts as the highest."""
    return np.minimum(_relevance(rows) / scheme.numbers["highest"], 1.0).astype(np.float32)


def _relevance(rows: Rows) -> np.ndarray:
    return np.array([float(value) for value in rows.column("relevance")], np.float64)


def loss(label_smoothing: float):
    """Cross-entropy of shares float32[B] and logits float[B, 1], a document at a time (Nogueira and Cho 2019)."""
    import keras

    del label_smoothing  # means nothing here: `learn` has refused it

    def cross_entropy(shares, logits):
        logits = keras.ops.cast(logits, "float32")[:, 0]
        return keras.ops.softplus(logits) - shares * logits

    return cross_entropy


def respond(logits, scheme: Scheme):
    """How relevant the document is: `score` float32[B], from 0 to 1.

    Args:
        logits: float[B, 1].
        scheme: not used.
    """
    import tensorflow as tf

    return {"score": tf.sigmoid(tf.cast(logits, tf.float32)[:, 0])}


def regress(logits, scheme: Scheme):
    """The same in TF Serving's Regress shape: `outputs` float32[B]."""
    return {"outputs": respond(logits, scheme)["score"]}


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.ranking.ranking_figures`."""
    return ranking_figures(rows.column("query"), _relevance(rows), np.asarray(answers["score"], np.float64))


def describe(rows: Rows) -> str:
    """`60 queries, 4.5 documents each`."""
    queries = len(set(rows.column("query")))
    return f"{queries:,} queries, {len(rows) / queries:.1f} documents each"


TASK = Task(
    name="ranking",
    summary="a query and a document -> a score to sort the documents by",
    text_columns=("query", "document"),
    label_column="relevance",
    learn=learn,
    targets=targets,
    outputs=lambda scheme: 1,
    head=pooled_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="ndcg_at_10",
    describe=describe,
    example={"query": "soften old garlic", "document": "Garlic turns mild when baked whole.", "relevance": 1},
    answer={"score": 0.71, "truncated": False},
    apis={"regress": regress},
    cells={
        "relevance": Cell(
            fault=fault, mend="Write 0 for a document that does not answer the query, 1 or more for one that does."
        )
    },
    split_columns=("query",),
    starter="ranking.csv",
)
