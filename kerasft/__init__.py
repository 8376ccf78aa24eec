"""kerasft: fine-tune keras-nlp backbones on labelled text, leave one SavedModel from raw text to answers.

Nothing heavy is imported before it is used: `import kerasft` takes milliseconds.
"""

import importlib

from kerasft.errors import KerasftError
from kerasft.version import __version__

_HOMES = {
    "fit": "kerasft.training.fit",
    "evaluate": "kerasft.answering",
    "predict": "kerasft.answering",
    "export": "kerasft.export.publish",
    "load_run": "kerasft.run",
    "Run": "kerasft.run",
    "Recipe": "kerasft.training.recipe",
    "Phase": "kerasft.training.recipe",
    "TASKS": "kerasft.tasks",
}

__all__ = [
    "TASKS",
    "KerasftError",
    "Phase",
    "Recipe",
    "Run",
    "__version__",
    "evaluate",
    "export",
    "fit",
    "load_run",
    "predict",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'kerasft' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted(__all__)
