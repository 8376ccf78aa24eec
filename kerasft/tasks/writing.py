"""What tasks share that write a text: settings, rows to learn answers from, and figures of how they are foretold."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from kerasft.data.answer_rows import AnswerRows
from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.foretold import foretold
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError
from kerasft.evaluation.language import language_figures
from kerasft.heads import language_head
from kerasft.tasks.foretelling import count, loss
from kerasft.tasks.task import Scheme, Task, refuse_settings
from kerasft.text.template import Template

DEFAULTS = {"backbone": "gpt2_base_en", "plan": "full", "max_length": 256}
_MEANINGLESS = ("labels", "pooling", "dropout", "label_smoothing")


def fits(text) -> None:
    """Raises `KerasftError` for a backbone that cannot write."""
    if text.spelling is None:
        raise KerasftError(
            f"A {text.family} backbone reads a text from both sides and cannot write one: pass --backbone with one of "
            "the GPT-2 family, such as gpt2_base_en, or new:gpt2?layers=4&hidden=256&heads=4 to begin from scratch."
        )


def writing_task(**fields) -> Task:
    """A task that foretells tokens with the backbone's own embeddings, and is watched by their perplexity.

    Args:
        **fields: of the `Task`, but for those that all such tasks have alike; `defaults` join theirs.
    """
    return Task(
        targets=None,
        outputs=lambda scheme: 0,
        head=language_head,
        loss=loss,
        respond=None,
        headline="perplexity",
        falls=True,
        count=count,
        fits=fits,
        tied=True,
        **{**fields, "defaults": {**DEFAULTS, **fields.get("defaults", {})}},
    )


def learn_to_write(
    sets: Mapping[str, Rows], recipe, task: Task, template: str | None, unused: Sequence[str] = ()
) -> tuple[Scheme, list[str]]:
    """The scheme of a writing task, and what is to be said of its rows.

    Args:
        sets: the rows.
        recipe: whose `Writing` the scheme keeps.
        task: the task.
        template: the recipe's or the task's own, which the caller has checked.
        unused: more keys that mean nothing to the task.
    """
    refuse_settings(recipe, task, (*_MEANINGLESS, *unused))
    warnings = audit_sets(sets, task.text_columns, None)
    count = len(sets["train"])
    if count < SMALL:
        warnings.append(f"Only {count} training rows: under {SMALL:,}, a backbone learns a form rather than a skill.")
    return Scheme(numbers={**recipe.writing.model_dump(mode="json"), "template": template}), warnings


def drawn_answers(made: AnswerRows, text) -> Callable[[int], tuple]:
    """Rows of prompts and answers as `Draws.draw` gives them: the same in each epoch."""
    uncut = np.diff(made.starts) + made.prompt_cut + made.answer_cut
    found = foretold(made.ids, made.targets, made.starts, text, uncut.astype(np.int32), _cut(made, uncut))
    return lambda epoch: found


def _cut(made: AnswerRows, uncut: np.ndarray) -> list[str]:
    """Says what the limit cuts."""
    notes, count = [], len(made)
    prompts, answers = int(np.sum(made.prompt_cut > 0)), int(np.sum(made.answer_cut > 0))
    if prompts:
        notes.append(
            f"{prompts:,} of {count:,} rows are too long and lose the beginning of their prompt "
            f"({int(made.prompt_cut.sum()):,} tokens; the longest row has {int(uncut.max()):,})."
        )
    if answers:
        notes.append(
            f"{answers:,} of {count:,} rows have an answer that is too long by itself and loses its end "
            f"({int(made.answer_cut.sum()):,} tokens): a model cannot learn from them when to stop. Raise max_length."
        )
    return notes


def answer_ids(text, template: Template, given):
    """Given answers as they were learnt: ragged int32[B, (T)], with the token that ends each; graph ops only."""
    import tensorflow as tf

    ids = text.tokenize(tf.strings.join([template.before, given, template.behind])).ids
    ends = tf.fill([ids.nrows(), 1], tf.constant(text.spelling.end, ids.dtype))
    return tf.concat([ids, ends], axis=1)


def foretelling_figures(answers: Mapping[str, np.ndarray], rows: int) -> dict:
    """See `kerasft.evaluation.language.language_figures`; nothing where it was not asked."""
    if "judged" not in answers:
        return {}
    judged = answers["judged"]
    return language_figures(judged[:, 0], judged[:, 2], int(answers["sizes"].sum()), rows)


def texts_of(answers: Mapping[str, np.ndarray]) -> list[str]:
    """The texts that were written, as str."""
    return [text.decode("utf-8", errors="replace") for text in answers["text"].tolist()]
