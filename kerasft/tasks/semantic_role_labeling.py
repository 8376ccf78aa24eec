"""Semantic role labelling: a text and one of its words, the predicate -> who does what to whom, as spans of characters.

The roles are the data's own: those of PropBank (Palmer, Gildea and Kingsbury 2005) or any others. Where the data are
CoNLL-U Plus, an argument is its head word alone, as it is there.
"""

import re
from collections.abc import Mapping

import numpy as np

from kerasft.data.columns import Cell
from kerasft.data.plain import whole_number
from kerasft.data.propbank import NATIVE
from kerasft.data.rows import Rows
from kerasft.evaluation.spans import span_figures
from kerasft.heads import token_head
from kerasft.tasks import spans_in_text
from kerasft.tasks.task import Scheme, Task, Windowing

ROLES = spans_in_text.SpanColumn("roles", "role")
_CORE = re.compile(r"(?:ARG|A)?\d", re.IGNORECASE)


def predicate_fault(value: str, texts: Mapping[str, str]) -> str | None:
    """Why a whole number is no place in a word of its text; None when it is one."""
    from kerasft.text.word_kinds import in_word

    text, place = texts["text"], whole_number(value)
    if not 0 <= place < len(text):
        return f"the predicate {place} is outside its text of {len(text)} characters"
    return None if in_word(text, place) else f"the predicate {place} is on {text[place]!r}, between words"


def respond(logits, scheme: Scheme, reading):
    """The roles of each text's predicate, looked for as far as the windows that hold it reach.

    Args:
        logits: float[W, T, C] of the windows' places.
        scheme: the names of the roles.
        reading: the batch, with the predicates as its marked words.

    Returns:
        K in the row that has most roles: `roles` string[B, K], the text of each; `labels` string[B, K]; `scores`
        float32[B, K], the mean probability of its words' tags; `starts` and `ends` int32[B, K] in characters (code
        points) of the raw text, `byte_starts` and `byte_ends` in bytes; short rows filled with "", 0 and -1 for places.
        `count` int32[B]. `predicate_word` string[B], the word that was meant. It is "", and there are no roles, where
        the place is on white space or outside the text; nor are there any where the word is made of nothing that the
        network can read.
    """
    import tensorflow as tf

    from kerasft.text.labelled_spans import find_spans
    from kerasft.text.raw import cut

    word, rows = reading.word, tf.size(reading.truncated)
    held = tf.cast(tf.reduce_any(reading.marked, axis=1), tf.int32)
    told = tf.math.unsorted_segment_max(held, reading.row, rows) > 0
    found = find_spans(logits, scheme.labels, reading, asked=told)
    # -1 to -1: nothing is cut out.
    part = cut(reading.texts["text"], tf.maximum(word.byte_start, 0), tf.maximum(word.byte_end, 0))
    return {"roles": found.texts, **found.answer, "predicate_word": part}


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """Argument figures: a role is right when its characters and its label are.

    Returns:
        Those of `kerasft.evaluation.spans.span_figures`, with the true spans as `roles`; and `core_f1`, F1 of the
        numbered roles (A0 to A5, ARG0 to ARG5) alone.
    """
    truth, found = ROLES.spans(rows), spans_in_text.found_spans(answers)
    figures = span_figures(truth, found)
    core = span_figures(*([[span for span in spans if is_core(span[2])] for spans in side] for side in (truth, found)))
    named = {"roles" if name == "spans" else name: value for name, value in figures.items()}
    return {**named, "core_f1": core["f1"]}


def is_core(label: str) -> bool:
    """Whether a role is one of a predicate's numbered ones: A0, ARG1 or 2, but not ARGM-TMP or R-A0."""
    return _CORE.fullmatch(label) is not None


TASK = Task(
    name="semantic-role-labeling",
    summary="a text and a verb of it -> who does what to whom: the verb's arguments, with their places",
    text_columns=("text",),
    number_columns=("predicate",),
    label_column="roles",
    learn=ROLES.learn,
    targets=ROLES.targets,
    outputs=spans_in_text.outputs,
    head=token_head,
    loss=spans_in_text.loss,
    respond=respond,
    measure=measure,
    headline="f1",
    describe=ROLES.describe,
    example={
        "text": "Ada sold the lamp on Friday.",
        "predicate": 4,
        "roles": [[0, 3, "A0"], [9, 17, "A1"], [18, 27, "AM-TMP"]],
    },
    answer={
        "roles": ["Ada", "the lamp", "on Friday"],
        "labels": ["A0", "A1", "AM-TMP"],
        "scores": [0.99, 0.97, 0.91],
        "starts": [0, 9, 18],
        "ends": [3, 17, 27],
        "byte_starts": [0, 9, 18],
        "byte_ends": [3, 17, 27],
        "count": 3,
        "predicate_word": "sold",
        "truncated": False,
    },
    cells={
        "predicate": Cell(fault=predicate_fault, mend="Count characters from 0, and name one of the predicate's word."),
        "roles": ROLES.cell,
    },
    native=NATIVE,
    windows=Windowing(overlap=32, check=ROLES.check, marked="predicate"),
    count=spans_in_text.count,
    # BERT is told of the predicate by its segment embeddings, which the usual plan leaves as they are.
    defaults={"plan": "adapt"},
    starter="semantic-role-labeling.jsonl",
)
