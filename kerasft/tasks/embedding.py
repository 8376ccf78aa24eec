"""Embedding: a text -> a vector that is near those of texts that mean the same.

Learnt from pairs of texts that belong together: a question and its answer, two ways to say one thing. A row may add a
text that seems to belong to them and does not (`negative`). Of texts without a pair each is its own: dropout makes two
vectors of it (Gao et al. 2021).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.columns import Cell
from kerasft.data.rows import Rows, end_to_end
from kerasft.errors import KerasftError
from kerasft.evaluation.regression import regression_figures
from kerasft.evaluation.retrieval import retrieval_figures
from kerasft.heads import vector_head
from kerasft.tasks.regression import fault
from kerasft.tasks.task import Contrast, Scheme, Task, refuse_settings

TEMPERATURE = 0.05
BELONGING = 0.8
"""A pair whose score is at least this share of the highest counts as one that belongs together: 4 of 5."""


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """The highest score, where rows have scores: what it takes for a pair to belong together is a share of it.

    Raises:
        KerasftError: there is nothing to tell apart, or nothing to find.
    """
    refuse_settings(recipe, task, ("labels", "label_smoothing"))
    train = sets["train"]
    scored = [scores for rows in (train, *sets.values()) if (scores := _scores(rows)) is not None]
    scheme = Scheme(numbers={"highest": float(scored[0].max())} if scored else {})
    seconds = targets(train, scheme)[:, 1]
    if len(np.unique(seconds[seconds >= 0])) < 2:
        column = "text_pair" if "text_pair" in train.table.column_names else "text"
        found = "only one" if len(train) == 1 else f"{len(train):,} with the same {column}"
        raise KerasftError(f"Expected training rows whose texts can be told apart, found {found}. Add others.")
    for name, rows in sets.items():
        if name != "train" and not len(_search(rows, scheme)[0]):
            scores = _scores(rows)
            wanted = "" if scores is None else f" with scores of {_least(scores, scheme):g} or more"
            raise KerasftError(
                f"{rows.place(0)} and all others have nothing to find: expected pairs of different texts{wanted}."
            )
    warnings = audit_sets(sets, task.text_columns, None)
    if len(train) < SMALL:
        warnings.append(f"Only {len(train)} training rows: under {SMALL:,}, results vary with the seed.")
    return scheme, warnings


def views(rows: Rows, learnt: bool) -> list[Sequence[str]]:
    """The texts of each row: its own, one that belongs to it, and perhaps one that does not.

    Without `text_pair` a text that is learnt from belongs to itself. One that is watched is cut in the middle: its
    first half has to find its second, for to find oneself is no feat.
    """
    there = rows.table.column_names
    own = rows.table.column("text")
    negatives = [rows.table.column("negative")] if "negative" in there else []
    if "text_pair" in there:
        return [own, rows.table.column("text_pair"), *negatives]
    if learnt:
        return [own, own, *negatives]
    firsts, seconds = zip(*map(halves, rows.column("text")), strict=True)
    return [firsts, seconds, *negatives]


def halves(text: str) -> tuple[str, str]:
    """The first half of a text's words and the second; of its characters, where it has no two words."""
    words = text.split()
    middle = (len(words) + 1) // 2
    if len(words) > 1:
        return " ".join(words[:middle]), " ".join(words[middle:])
    middle = (len(text) + 1) // 2
    return text[:middle], text[middle:]


def _ids(columns: Sequence[Sequence[str]]) -> np.ndarray:
    """int32[N, g]: numbers that are equal where texts are."""
    return np.array(end_to_end(columns).dictionary_encode().indices, np.int32).reshape(-1, len(columns))


def _scores(rows: Rows) -> np.ndarray | None:
    if "score" not in rows.table.column_names:
        return None
    if "text_pair" not in rows.table.column_names:
        raise KerasftError(
            f"{rows.origins[0].name} has a column 'score' and no 'text_pair': a score says how much two texts belong "
            "together. Add the second texts, or leave the scores out."
        )
    return np.array([float(value) for value in rows.column("score")], np.float64)


def _belonging(rows: Rows, scheme: Scheme) -> np.ndarray:
    """bool[N]: whether a row's pair belongs together; all do where there are no scores."""
    scores = _scores(rows)
    return np.ones(len(rows), bool) if scores is None else scores >= _least(scores, scheme)


def _least(scores: np.ndarray, scheme: Scheme) -> float:
    """The least score of a pair that belongs together."""
    highest = scheme.numbers.get("highest", scores.max())
    return min(BELONGING * highest, highest)


def targets(rows: Rows, scheme: Scheme) -> np.ndarray:
    """int32[N, g], a number for each text of a row, equal where texts are; -1 - it for a pair that does not belong.

    Raises:
        KerasftError: scores without pairs.
    """
    found = _ids(views(rows, True))
    found[:, 1] = np.where(_belonging(rows, scheme), found[:, 1], -1 - found[:, 1])
    return found


def count(targets: np.ndarray) -> np.ndarray:
    """float32[N]: rows whose pair does not belong together are only there for others to be told from."""
    return (targets[:, 1] >= 0).astype(np.float32)


def loss(label_smoothing: float, temperature: float = TEMPERATURE):
    """Cross-entropy of each row's text finding its pair among the batch's (Henderson et al. 2017, van den Oord 2018).

    The candidates are the second texts of all rows and their negatives, each different text once; logits are cosines
    over a temperature. What is known to belong to a row is never held against it: its own text, and all that is paired
    with a text like its own.

    Args:
        label_smoothing: means nothing here: `learn` has refused it.
        temperature: the smaller, the more the nearest wrong candidates count.

    Returns:
        (targets int32[B, g] as `targets` makes them, vectors float[g * B, D]) -> float32[B].
    """
    import tensorflow as tf

    del label_smoothing

    def in_batch_softmax(targets, vectors):
        targets = tf.convert_to_tensor(targets)
        rows, group = tf.shape(targets)[0], tf.shape(targets)[1]
        ids = tf.where(targets < 0, -1 - targets, targets)
        size = tf.shape(vectors)[1]
        vectors = tf.reshape(_unit(vectors), [rows, group, size])
        # Second texts of all rows, then their negatives.
        candidates = tf.reshape(tf.transpose(vectors[:, 1:], [1, 0, 2]), [-1, size])
        names = tf.reshape(tf.transpose(ids[:, 1:]), [-1])
        place = tf.range(tf.size(names))
        scores = tf.matmul(vectors[:, 0], candidates, transpose_b=True) / temperature

        own = tf.equal(tf.range(rows)[:, tf.newaxis], place)
        alike = tf.equal(ids[:, :1], ids[:, 0])
        paired = tf.equal(targets[:, 1:2], names)
        belong = tf.equal(ids[:, :1], names) | (tf.matmul(_number(alike), _number(paired)) > 0.0)
        same = tf.linalg.band_part(_number(tf.equal(names[:, tf.newaxis], names)), -1, 0)
        once = tf.reduce_sum(same, axis=1) < 2.0
        counted = own | (once & ~belong)
        found = tf.reduce_sum(tf.where(own, scores, 0.0), axis=1)
        return tf.reduce_logsumexp(tf.where(counted, scores, -1e9), axis=1) - found

    return in_batch_softmax


def _number(truth):
    import tensorflow as tf

    return tf.cast(truth, tf.float32)


def _unit(vectors):
    import tensorflow as tf

    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1)


def respond(logits, scheme: Scheme):
    """The vector, of length 1: `embedding` float32[B, D]. The product of two is their cosine.

    Args:
        logits: float[B, D].
        scheme: not used.
    """
    return {"embedding": _unit(logits)}


def _search(rows: Rows, scheme: Scheme) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What is to be found by what.

    Returns:
        int[Q], the rows that look, perhaps none; int[M], for each different text to look among, where it first is
        among all rows' texts but their first ones; int[Q], which of these each has to find; int[P, 2], pairs of Q and M
        that are passed over.
    """
    ids = _ids(views(rows, False))
    belonging = _belonging(rows, scheme)
    looking = np.flatnonzero(belonging & (ids[:, 0] != ids[:, 1]))
    names, places = np.unique(ids[:, 1:], return_index=True)
    document = {int(name): number for number, name in enumerate(names)}
    known = defaultdict(set)
    for text, other in ids[belonging, :2].tolist():
        known[text].add(other)
    passed_over = [
        (query, document[other])
        for query, (text, pair) in enumerate(ids[looking, :2].tolist())
        for other in {text, *known[text]} - {pair}
        if other in document
    ]
    right = np.searchsorted(names, ids[looking, 1])
    return looking, places, right, np.array(passed_over, np.int64).reshape(-1, 2)


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """How well texts find what belongs to them, and how well cosines follow scores.

    Each text looks for its pair among all different second texts and negatives of the rows; its own text, and what else
    belongs to it, are passed over. Where rows have scores, only pairs that belong together look.

    Args:
        rows: N of them.
        answers: `embedding` float32[N, g, D], of the texts as `views` gives them.
        scheme: with the highest score.

    Returns:
        `recall_at_k` and `mrr` as `kerasft.evaluation.retrieval.retrieval_figures`, if any
        row looks; `spearman`, where rows have scores, of these and the cosines of the pairs; `finds`, `text_pair` or
        `second half`; `rows`; `queries`, those that look; `documents`.
    """
    vectors = np.asarray(answers["embedding"], np.float32)
    looking, places, right, passed_over = _search(rows, scheme)
    documents = vectors[:, 1:].reshape(-1, vectors.shape[-1])[places]
    figures = {}
    if len(looking):
        found = retrieval_figures(vectors[looking, 0], documents, right, passed_over=passed_over)
        figures |= {"recall_at_k": found["recall_at_k"], "mrr": found["mrr"]}
    scores = _scores(rows)
    if scores is not None:
        cosines = np.einsum("nd,nd->n", vectors[:, 0], vectors[:, 1])
        figures["spearman"] = regression_figures(scores, cosines)["spearman"]
    return {
        **figures,
        "finds": "text_pair" if "text_pair" in rows.table.column_names else "second half",
        "rows": len(rows),
        "queries": len(looking),
        "documents": len(documents),
    }


def describe(rows: Rows) -> str:
    """What follows their number: `pairs, with negatives`."""
    there = rows.table.column_names
    if "text_pair" not in there:
        what = "texts, each paired with itself"
    elif "score" in there:
        what = f"pairs, {np.count_nonzero(_belonging(rows, Scheme())):,} of which belong together by their score"
    else:
        what = "pairs"
    return what + (", with negatives" if "negative" in there else "")


TASK = Task(
    name="embedding",
    summary="a text -> a vector; texts that belong together are near each other",
    text_columns=("text",),
    label_column="score",
    learn=learn,
    targets=targets,
    outputs=lambda scheme: 0,
    head=vector_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="mrr",
    describe=describe,
    example={"text": "My parcel never came.", "text_pair": "If tracking shows a delivery, ask your neighbours first."},
    answer={"embedding": [0.081, -0.024, 0.052, 0.117], "truncated": False},
    cells={"score": Cell(fault=fault, mend="Write a number, with a point for the decimals.")},
    optional_columns=("text_pair", "negative", "score"),
    count=count,
    starter="embedding.csv",
    contrast=Contrast(views, linked=("text", "text_pair")),
    beside=("text_pair", "negative"),
)
