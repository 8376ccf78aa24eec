"""The table of tasks. A new task is one file and one line here."""

import importlib
import sys

from kerasft.errors import KerasftError, did_you_mean
from kerasft.tasks import (
    causal_lm,
    code_generation,
    dialogue,
    embedding,
    masked_lm,
    multi_label,
    question_answering,
    ranking,
    regression,
    semantic_role_labeling,
    sentiment,
    spam,
    summarization,
    text_classification,
    text_generation,
    text_pair,
    token_classification,
    topic,
    translation,
)
from kerasft.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        sentiment.TASK,
        spam.TASK,
        topic.TASK,
        text_classification.TASK,
        multi_label.TASK,
        text_pair.TASK,
        token_classification.TASK,
        semantic_role_labeling.TASK,
        question_answering.TASK,
        regression.TASK,
        ranking.TASK,
        embedding.TASK,
        masked_lm.TASK,
        causal_lm.TASK,
        text_generation.TASK,
        summarization.TASK,
        translation.TASK,
        dialogue.TASK,
        code_generation.TASK,
    )
}


def find_task(name: str) -> Task:
    """Looks a task up by name, or imports one of the user's own.

    Args:
        name: a key of `TASKS`, or `package.module:NAME` of a `Task` that can be imported.

    Raises:
        KerasftError: there is none of that name; the message has the nearest.
    """
    if ":" in name:
        return _imported(name)
    if name not in TASKS:
        raise KerasftError(f"Task '{name}' is unknown.{did_you_mean(name, TASKS)}")
    return TASKS[name]


def _imported(path: str) -> Task:
    module, _, attribute = path.partition(":")
    if "" not in sys.path:
        # The working folder, which a console script lacks.
        sys.path.append("")
    try:
        imported = importlib.import_module(module)
    except (ImportError, ValueError, TypeError) as error:
        raise KerasftError(f"Task '{path}': module '{module}' cannot be imported ({error}).") from None
    try:
        found = getattr(imported, attribute)
    except AttributeError:
        raise KerasftError(f"Task '{path}': module {module} has no {attribute or 'name after the colon'}.") from None
    if not isinstance(found, Task):
        raise KerasftError(f"Task '{path}' is a {type(found).__name__}: expected a kerasft.tasks.task.Task.")
    return found
