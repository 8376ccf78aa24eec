"""Dialogue: what was said so far -> the reply. The loss is on all replies of a dialogue, in one pass over it."""

from collections.abc import Mapping

import numpy as np

from kerasft.data.answer_rows import turn_rows
from kerasft.data.chats import LINES, NATIVE, fault, lines_of, turns_of
from kerasft.data.columns import Cell
from kerasft.data.dialogue import REPLY, TURN, rendered_turns
from kerasft.data.ragged import token_ids
from kerasft.data.rows import Rows
from kerasft.evaluation.generated import exact_match_figures, rouge_figures
from kerasft.tasks.by_template import ANSWER
from kerasft.tasks.foretelling import judge
from kerasft.tasks.task import Drawing, Draws, Scheme, Task, Writes
from kerasft.tasks.writing import (
    answer_ids,
    drawn_answers,
    foretelling_figures,
    learn_to_write,
    texts_of,
    writing_task,
)
from kerasft.text.template import Template, answer_in_graph, parse_template

TEMPLATE = "User: {turn}\nBot: {reply}\n"
_USERS_TURN = "turns: expected the user's turn last, in an odd number of lines."


def _parsed(scheme: Scheme) -> Template:
    return parse_template(scheme.numbers["template"], (TURN,), REPLY)


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """See `kerasft.tasks.writing.learn_to_write`."""
    template = recipe.writing.template or TEMPLATE
    parse_template(template, (TURN,), REPLY)
    return learn_to_write(sets, recipe, task, template)


def draw(rows: Rows, text, scheme: Scheme, drawing: Drawing):
    """Each dialogue as one sequence, its replies learnt."""
    turns = rendered_turns([turns_of(value) for value in rows.column("turns")], _parsed(scheme))
    ids = token_ids(text, turns.texts)
    made = turn_rows(ids, turns.first, turns.learnt, text.spelling.end, drawing.max_length)
    return drawn_answers(made, text)


def prompts(text, scheme: Scheme, inputs: Mapping):
    """Turns, a line each, as the tokens in front of the next reply: as `draw` lays them out, to the last token."""
    import tensorflow as tf

    template = _parsed(scheme)
    lines = tf.strings.split(inputs["turns"], "\n")
    # What was learnt has blanks for other white space.
    turns = tf.ragged.map_flat_values(lambda some: tf.strings.strip(tf.strings.regex_replace(some, r"\s+", " ")), lines)
    turns = tf.ragged.boolean_mask(turns, tf.not_equal(turns, ""))
    counts = tf.cast(turns.row_lengths(), tf.int32)
    number = tf.ragged.range(counts).flat_values
    is_reply = tf.equal(number % 2, 1)
    before, behind = template.prompt[0], template.prompt[-1]
    spoken = tf.where(
        is_reply,
        tf.strings.join([template.before, turns.flat_values, template.behind]),
        tf.strings.join([before, turns.flat_values, behind]),
    )
    ids = text.tokenize(spoken).ids
    ends = tf.RaggedTensor.from_row_lengths(
        tf.fill([tf.reduce_sum(tf.cast(is_reply, tf.int32))], tf.constant(text.spelling.end, ids.dtype)),
        tf.cast(is_reply, ids.row_splits.dtype),
    )
    ids = tf.concat([ids, ends], axis=1)
    of_dialogues = tf.RaggedTensor.from_row_lengths(ids, tf.cast(counts, ids.row_splits.dtype)).merge_dims(1, 2)
    return of_dialogues, tf.where(tf.equal(counts % 2, 1), "", _USERS_TURN)


def requests(rows: Rows) -> dict[str, list[str]]:
    """Each dialogue up to its last reply."""
    return {"turns": ["\n".join(turns[:-1]) for turns in _exchanges(rows)]}


def _exchanges(rows: Rows) -> list[list[str]]:
    dialogues = [turns_of(value) for value in rows.column("turns")]
    return [turns[: len(turns) // 2 * 2] for turns in dialogues]


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """How all replies are foretold, and how the last one of each dialogue is written."""
    found = foretelling_figures(answers, len(rows))
    if "text" in answers:
        texts = texts_of(answers)
        last = [turns[-1] for turns in _exchanges(rows)[: len(texts)]]
        found |= {**exact_match_figures(last, texts), "rougeL": rouge_figures(last, texts)["rougeL"]}
        found |= {"written": len(texts)}
    return {**found, "rows": len(rows)}


def describe(rows: Rows) -> str:
    """`417 replies`."""
    return f"{sum(len(turns) // 2 for turns in _exchanges(rows)):,} replies"


TASK = writing_task(
    name="dialogue",
    summary="what was said so far -> the reply",
    text_columns=("turns",),
    label_column=None,
    learn=learn,
    measure=measure,
    describe=describe,
    example={
        "turns": "Hello, are you open today?\nYes, we are open until six.\nAnd tomorrow?\nTomorrow we are closed."
    },
    answer={"text": "Tomorrow we are closed.", **ANSWER},
    cells={"turns": Cell(lists=True, fault=fault, mend=LINES, becomes=lines_of)},
    native=NATIVE,
    starter="dialogue.jsonl",
    draws=Draws(draw=draw, judge=judge),
    writes=Writes(
        prompts=prompts,
        answers=lambda text, scheme, given: answer_ids(text, _parsed(scheme), given),
        spoken=lambda scheme, generated: answer_in_graph(_parsed(scheme), generated),
        requests=requests,
        template=TEMPLATE,
    ),
)
