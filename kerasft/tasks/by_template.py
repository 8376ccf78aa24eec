"""What tasks share whose rows are fields and the text to write from them, put together by a template of the recipe."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from kerasft.data.answer_rows import answer_rows
from kerasft.data.columns import Cell
from kerasft.data.ragged import token_ids
from kerasft.data.rows import Rows
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
from kerasft.text.template import (
    Template,
    answer_in_graph,
    parse_template,
    prompt_in_graph,
    render_answer,
    render_prompt,
)

ANSWER = {"finish_reason": "stop", "tokens": [464, 13], "logprob": [-0.31, -0.02], "truncated": False, "error": ""}
"""What is served beside the text."""


def template_task(
    name: str,
    summary: str,
    field: str,
    answer: str,
    template: str,
    figures: Callable[[Rows, list[str], Scheme], dict],
    example: Mapping[str, str],
    written: str,
    starter: str,
    describe: Callable[[Rows], str],
    **others,
) -> Task:
    """A task that writes one text from another.

    Args:
        name: of the task.
        summary: of the task.
        field: the column with the text that is read.
        answer: the column with the text to write.
        template: used where the recipe names none.
        figures: (rows, the text written for each, scheme) -> figures of the texts.
        example: one row.
        written: what could be served for it.
        starter: the starter data.
        describe: (rows) -> what is in them, a few words.
        **others: more of a `Task`.
    """

    def parsed(scheme: Scheme) -> Template:
        return parse_template(scheme.numbers["template"], (field,), answer)

    def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
        found = foretelling_figures(answers, len(rows))
        if "text" in answers:
            texts = texts_of(answers)
            found |= {**figures(rows.take(range(len(texts))), texts, scheme), "written": len(texts)}
        return {**found, "rows": len(rows)}

    return writing_task(
        name=name,
        summary=summary,
        text_columns=(field,),
        label_column=answer,
        learn=partial(_learn, template, (field,), answer),
        measure=measure,
        describe=describe,
        example=example,
        answer={"text": written, **ANSWER},
        cells={answer: Cell(verbatim=True)},
        starter=starter,
        draws=Draws(draw=partial(_draw, parsed, field, answer), judge=judge),
        writes=Writes(
            prompts=partial(_prompts, parsed),
            answers=lambda text, scheme, given: answer_ids(text, parsed(scheme), given),
            spoken=lambda scheme, generated: answer_in_graph(parsed(scheme), generated),
            requests=lambda rows: {field: rows.column(field)},
            template=template,
        ),
        **others,
    )


def _learn(template: str, fields: tuple[str, ...], answer: str, sets, recipe, task: Task):
    chosen = recipe.writing.template or template
    parse_template(chosen, fields, answer)
    return learn_to_write(sets, recipe, task, chosen)


def _draw(parsed: Callable, field: str, answer: str, rows: Rows, text, scheme: Scheme, drawing: Drawing):
    template = parsed(scheme)
    prompts = [render_prompt(template, {field: value}) for value in rows.column(field)]
    answers = [render_answer(template, value) for value in rows.column(answer)]
    made = answer_rows(token_ids(text, prompts), token_ids(text, answers), text.spelling.end, drawing.max_length)
    return drawn_answers(made, text)


def _prompts(parsed: Callable, text, scheme: Scheme, inputs: Mapping):
    import tensorflow as tf

    rendered = prompt_in_graph(parsed(scheme), inputs)
    return text.tokenize(rendered).ids, tf.zeros_like(rendered)
