"""The table of tasks. A new task is one file and one line here."""

from kerasft.errors import KerasftError, did_you_mean
from kerasft.tasks import sentiment, text_classification
from kerasft.tasks.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (sentiment.TASK, text_classification.TASK)}


def find_task(name: str) -> Task:
    """Looks a task up by name.

    Raises:
        KerasftError: there is none of that name; the message has the nearest.
    """
    if name not in TASKS:
        raise KerasftError(f"Task '{name}' is unknown.{did_you_mean(name, TASKS)}")
    return TASKS[name]
