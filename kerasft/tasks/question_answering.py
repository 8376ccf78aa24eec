"""Extractive question answering: a question and a text -> the part of the text that answers it, or none."""

from collections.abc import Mapping

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.columns import Cell
from kerasft.data.pipeline import Encoded
from kerasft.data.rows import Rows
from kerasft.data.squad import NATIVE, answers_of
from kerasft.errors import KerasftError
from kerasft.evaluation.question_answering import qa_figures
from kerasft.heads import span_head
from kerasft.tasks.task import Scheme, Task, Windowing, refuse_settings

LONGEST_ANSWER = 30  # tokens
ANSWERS = 5


def fault(value: str, texts: Mapping[str, str]) -> str | None:
    """Why a value is no answer in its context; None when it is one."""
    try:
        answers_of(value, texts["context"])
    except KerasftError as error:
        return str(error)
    return None


def _answers(rows: Rows) -> list[list[tuple[int, int]]]:
    pairs = zip(rows.column("answer"), rows.column("context"), strict=True)
    return [answers_of(value, context) for value, context in pairs]


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """Whether there are questions without an answer: only then may the model leave one unanswered.

    Raises:
        KerasftError: no training row has an answer.
    """
    refuse_settings(recipe, task, ("labels", "label_smoothing"))
    answers = _answers(sets["train"])
    if not any(answers):
        raise KerasftError(f"None of {len(answers):,} training questions has an answer.")
    warnings = audit_sets(sets, task.text_columns, None)
    if len(answers) < SMALL:
        warnings.append(f"Only {len(answers)} training rows: under {SMALL:,}, results vary with the seed.")
    return Scheme(numbers={"unanswerable": not all(answers), "threshold": 0.5}), warnings


def targets(rows: Rows, scheme: Scheme, encoded: Encoded) -> np.ndarray:
    """int32[W, 2]: 1 + the places of the answer's first and last token; 0 and 0 where a window has not all of it."""
    places = encoded.places
    found = np.zeros((len(places.row), 2), np.int32)
    bounds = np.searchsorted(places.row, np.arange(len(rows) + 1))
    for row, gold in enumerate(_answers(rows)):
        if not gold:
            continue
        start, end = gold[0]
        mine = slice(encoded.starts[bounds[row]], encoded.starts[bounds[row + 1]])
        starts, ends = places.char_starts[mine], places.char_ends[mine]
        touched = (starts >= 0) & (ends > start) & (starts < end)
        if not touched.any():
            continue
        # What the tokeniser drops (white space, accents of their own) is in no token.
        start, end = max(start, starts[touched].min()), min(end, ends[touched].max())
        for window in range(bounds[row], bounds[row + 1]):
            here = slice(encoded.starts[window], encoded.starts[window + 1])
            starts, ends = places.char_starts[here], places.char_ends[here]
            held = np.flatnonzero((starts >= 0) & (ends > start) & (starts < end))
            if len(held) and starts[held[0]] <= start and ends[held[-1]] >= end:
                found[window] = held[0] + 1, held[-1] + 1
    return found


def loss(label_smoothing: float):
    """Cross-entropy of the two places int32[B, 2] and logits float[B, 1 + T, 2], their mean (Devlin et al. 2019)."""
    import keras

    del label_smoothing  # means nothing here: `learn` has refused it

    def cross_entropy(places, logits):
        first, last = (
            keras.losses.sparse_categorical_crossentropy(places[:, side], logits[:, :, side], from_logits=True)
            for side in (0, 1)
        )
        return (first + last) / 2

    return cross_entropy


def respond(logits, scheme: Scheme, reading):
    """The best part of each context, and how sure it is.

    Every window's scores are taken relative to its own score for "no answer here"; a token in several windows has their
    mean. First and last token are chosen together, at most `LONGEST_ANSWER` tokens apart.

    Args:
        logits: float[W, 1 + T, 2], in front the score of no answer.
        scheme: whether an answer may be "", and from which probability.
        reading: the batch.

    Returns:
        `answer` string[B], "" for none; `score` float32[B], the probability that the best part is an answer; `start`,
        `end` int32[B] in characters (code points) of the raw context and `byte_start`, `byte_end` in bytes, -1 without
        an answer; `no_answer_probability` float32[B]; `answers` string[B, 5] and `answer_scores` float32[B, 5], the
        best parts with their shares of each other's probability, filled with "" and 0.
    """
    import tensorflow as tf

    from kerasft.text.raw import cut
    from kerasft.text.reading import by_token

    logits = tf.cast(logits, tf.float32)
    relative = (logits[:, 1:] - logits[:, :1])[:, : tf.shape(reading.token)[1]]
    found = by_token(reading, tf.concat([relative, tf.ones_like(relative[..., :1])], axis=-1))
    tokens = reading.tokens
    row, count = tokens.ids.value_rowids(), tf.size(tokens.ids.values)
    # Two tokens of one character: an answer neither begins nor ends between them.
    shared = (tokens.char_ends.values[:-1] > tokens.char_starts.values[1:]) & tf.equal(row[:-1], row[1:])
    begun = tf.concat([[False], shared], axis=0)[:count]
    unfinished = tf.concat([shared, [False]], axis=0)[:count]
    in_window = found.values[:, 2] > 0
    may = tf.stack([in_window & ~begun, in_window & ~unfinished], axis=1)
    sides = found.with_values(tf.where(may, found.values[:, :2], -1e9))
    rows = tf.shape(reading.truncated)[0]
    most = tf.reduce_max(tf.concat([tf.reshape(reading.token, [-1]), [-1]], axis=0)) + 1
    scores = sides.to_tensor(-1e9, shape=[None, None, 2])[:, :most]
    # One token more, so that there is one in an empty context too.
    scores = tf.pad(scores, [[0, 0], [0, 1], [0, 0]], constant_values=-1e9)
    width = tf.shape(scores)[1]
    ends = tf.pad(scores[:, :, 1], [[0, 0], [0, LONGEST_ANSWER - 1]], constant_values=-1e9)
    last = tf.range(width)[:, tf.newaxis] + tf.range(LONGEST_ANSWER)[tf.newaxis]
    spans = scores[:, :, :1] + tf.gather(ends, last, axis=1)
    flat = tf.reshape(spans, [rows, width * LONGEST_ANSWER])
    # Windows of a text that repeats itself differ by rounding alone: the first one wins.
    _, place = tf.math.top_k(tf.round(flat * 1024.0) / 1024.0, k=ANSWERS)
    best = tf.gather(flat, place, batch_dims=1)
    first = place // LONGEST_ANSWER
    behind = first + place % LONGEST_ANSWER
    real = best > -1e8
    best = tf.where(real, best, -1e9)

    def at(of, token):
        values = tf.concat([of.values, [0]], axis=0)
        number = tf.cast(of.row_starts(), tf.int32)[:, tf.newaxis] + token
        return tf.gather(values, tf.where(real, number, tf.size(of.values)))

    starts, ends = at(tokens.byte_starts, first), at(tokens.byte_ends, behind)
    context = reading.texts["context"]
    # A token of GPT-2 may begin with the blank before its word.
    first_byte = tf.strings.substr(
        tf.repeat(context, ANSWERS), tf.reshape(starts, [-1]), tf.ones([rows * ANSWERS], tf.int32)
    )
    blank = tf.equal(tf.reshape(first_byte, [rows, ANSWERS]), " ") & (ends - starts > 1)
    lead = tf.cast(blank, tf.int32)
    starts += lead
    parts = cut(tf.repeat(context, ANSWERS), tf.reshape(starts, [-1]), tf.reshape(ends, [-1]))
    answers = tf.where(real, tf.reshape(parts, [rows, ANSWERS]), "")
    answered = tf.sigmoid(best[:, 0])
    given = real[:, 0]
    if scheme.numbers["unanswerable"]:
        given &= 1.0 - answered <= scheme.numbers["threshold"]

    def of_best(values):
        return tf.where(given, values[:, 0], -1)

    return {
        "answer": tf.where(given, answers[:, 0], ""),
        "score": answered,
        "start": of_best(at(tokens.char_starts, first) + lead),
        "end": of_best(at(tokens.char_ends, behind)),
        "byte_start": of_best(starts),
        "byte_end": of_best(ends),
        "no_answer_probability": 1.0 - answered,
        "answers": answers,
        "answer_scores": tf.where(real, tf.nn.softmax(best), 0.0),
    }


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.question_answering.qa_figures`."""
    contexts = rows.column("context")
    truth = [[context[a:b] for a, b in gold] for gold, context in zip(_answers(rows), contexts, strict=True)]
    given = [answer.decode() for answer in answers["answer"]]
    return qa_figures(truth, given, answers["no_answer_probability"])


def describe(rows: Rows) -> str:
    """`160 questions, 31 without an answer`."""
    without = sum(not answers for answers in _answers(rows))
    return f"{len(rows):,} questions" + (f", {without:,} without an answer" if without else "")


TASK = Task(
    name="question-answering",
    summary="a question and a text -> the part of the text that answers it",
    text_columns=("question", "context"),
    label_column="answer",
    learn=learn,
    targets=targets,
    outputs=lambda scheme: 2,
    head=span_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="f1",
    describe=describe,
    example={"question": "Where does Ada live?", "context": "Ada moved to Turin in May.", "answer": "Turin"},
    answer={
        "answer": "Turin",
        "score": 0.94,
        "start": 13,
        "end": 18,
        "byte_start": 13,
        "byte_end": 18,
        "no_answer_probability": 0.06,
        "answers": ["Turin", "Turin in May", "to Turin", "Turin in", "moved to Turin"],
        "answer_scores": [0.9, 0.05, 0.03, 0.01, 0.01],
        "truncated": False,
    },
    cells={
        "answer": Cell(
            blank=True, lists=True, fault=fault, mend="Write a part of the context, letter by letter, or nothing."
        )
    },
    native=NATIVE,
    windows=Windowing(overlap=128),
    # The questions of one paragraph stay on one side.
    split_columns=("context",),
    # A paragraph is longer than a sentence; SQuAD's are read so (Devlin et al. 2019).
    defaults={"max_length": 384},
    starter="question-answering.json",
)
