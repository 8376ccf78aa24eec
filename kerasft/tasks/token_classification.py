"""Token classification: entities, chunks or parts of speech in a text, as spans of its characters."""

from collections.abc import Mapping

import numpy as np

from kerasft.data.conll import NATIVE
from kerasft.data.rows import Rows
from kerasft.evaluation.spans import span_figures
from kerasft.heads import token_head
from kerasft.tasks import spans_in_text
from kerasft.tasks.task import Scheme, Task, Windowing

SPANS = spans_in_text.SpanColumn("spans", "span")


def respond(logits, scheme: Scheme, reading):
    """The spans in each text, and the tag of each word.

    Args:
        logits: float[W, T, C] of the windows' places.
        scheme: the label names.
        reading: the batch.

    Returns:
        Of the spans, K in the row that has most: `spans` string[B, K], the text of each; `labels` string[B, K];
        `scores` float32[B, K], the mean probability of its words' tags; `starts` and `ends` int32[B, K] in characters
        (code points) of the raw text, `byte_starts` and `byte_ends` in bytes; `count` int32[B]. Of the words, N in the
        row that has most: `words` and `tags` string[B, N]. Short rows are filled with "", 0 and -1 for places.
    """
    import tensorflow as tf

    from kerasft.text.labelled_spans import find_spans, word_texts
    from kerasft.text.tags import tag_names

    found = find_spans(logits, scheme.labels, reading)
    real = tf.sequence_mask(found.words.char_starts.row_lengths(), tf.shape(found.tags)[1])
    return {
        "spans": found.texts,
        **found.answer,
        "words": word_texts(reading.texts["text"], found.words),
        "tags": tf.where(real, tf.gather(tf.constant(tag_names(scheme.labels)), found.tags), ""),
    }


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.spans.span_figures`; a span is right when its characters and its label are."""
    return span_figures(SPANS.spans(rows), spans_in_text.found_spans(answers))


TASK = Task(
    name="token-classification",
    summary="a text -> the entities, chunks or words of a kind in it, with their places",
    text_columns=("text",),
    label_column="spans",
    learn=SPANS.learn,
    targets=SPANS.targets,
    outputs=spans_in_text.outputs,
    head=token_head,
    loss=spans_in_text.loss,
    respond=respond,
    measure=measure,
    headline="f1",
    describe=SPANS.describe,
    example={"text": "Ada moved to Turin.", "spans": [[0, 3, "person"], [13, 18, "place"]]},
    answer={
        "spans": ["Ada", "Turin"],
        "labels": ["person", "place"],
        "scores": [0.99, 0.97],
        "starts": [0, 13],
        "ends": [3, 18],
        "byte_starts": [0, 13],
        "byte_ends": [3, 18],
        "count": 2,
        "words": ["Ada", "moved", "to", "Turin", "."],
        "tags": ["B-person", "O", "O", "B-place", "O"],
        "truncated": False,
    },
    cells={"spans": SPANS.cell},
    native=NATIVE,
    windows=Windowing(overlap=32, check=SPANS.check),
    count=spans_in_text.count,
    starter="token-classification.jsonl",
)
