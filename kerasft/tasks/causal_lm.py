"""Causal language modelling (Radford et al. 2019): plain texts adapt a backbone, or begin one; served, it goes on."""

from collections.abc import Mapping

import numpy as np

from kerasft.data.blocks import pack_blocks
from kerasft.data.documents import NATIVE
from kerasft.data.foretold import foretold
from kerasft.data.ragged import token_ids
from kerasft.data.rows import Rows
from kerasft.tasks.by_template import ANSWER
from kerasft.tasks.foretelling import judge
from kerasft.tasks.task import Drawing, Draws, Scheme, Task, Writes
from kerasft.tasks.writing import foretelling_figures, learn_to_write, writing_task


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """See `kerasft.tasks.writing.learn_to_write`; there is no template, for a text is its own prompt."""
    return learn_to_write(sets, recipe, task, None, unused=("template",))


def draw(rows: Rows, text, scheme: Scheme, drawing: Drawing):
    """All texts packed into blocks, see `kerasft.data.blocks`; in another order of texts in each epoch."""
    ids = token_ids(text, rows.column("text"))

    def of_epoch(epoch: int):
        order = None
        if drawing.seed is not None:
            order = np.random.default_rng([drawing.seed, epoch]).permutation(len(ids))
        blocks = pack_blocks(ids, text.spelling.end, drawing.max_length, order)
        note = (
            f"{len(ids):,} texts of {len(blocks.ids):,} tokens are read in {len(blocks):,} blocks of "
            f"{drawing.max_length}; no text sees another."
        )
        packed = {"padding_mask": blocks.segments + 1}
        return foretold(blocks.ids, blocks.targets, blocks.starts, text, notes=[note], **packed)

    return of_epoch


def prompts(text, scheme: Scheme, inputs: Mapping):
    """The text itself; what is learnt of one begins behind the token that ends all."""
    import tensorflow as tf

    ids = text.tokenize(inputs["text"]).ids
    begins = tf.fill([ids.nrows(), 1], tf.constant(text.spelling.end, ids.dtype))
    return tf.concat([begins, ids], axis=1), tf.zeros_like(inputs["text"])


def answers(text, scheme: Scheme, given):
    """The tokens of given continuations, which do not end the text."""
    return text.tokenize(given).ids


def requests(rows: Rows) -> dict[str, list[str]]:
    """The first half of each text."""
    return {"text": [text[: (len(text) + 1) // 2] for text in rows.column("text")]}


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """How the texts are foretold. What is written behind them has no right answer."""
    return foretelling_figures(answers, len(rows))


def describe(rows: Rows) -> str:
    """`1,112,304 characters`."""
    return f"{sum(map(len, rows.column('text'))):,} characters"


TASK = writing_task(
    name="causal-lm",
    summary="texts alone -> a backbone adapted to them, or a new one; and how a text goes on",
    text_columns=("text",),
    label_column=None,
    learn=learn,
    measure=measure,
    describe=describe,
    example={"text": "Rest on the lead for five days."},
    answer={"text": " Then short walks.", **ANSWER},
    native=NATIVE,
    defaults={"eval_texts": 0},
    starter="causal-lm.txt",
    draws=Draws(draw=draw, judge=judge),
    adapts=True,
    packs=True,
    writes=Writes(
        prompts=prompts,
        answers=answers,
        spoken=lambda scheme, generated: generated,
        requests=requests,
    ),
)
