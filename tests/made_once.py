"""What the workers of one test run share: the first that needs it makes it, the others wait and take it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from kerasft.backbones.lock import only_one


def made_once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is the same for all workers of pytest-xdist. Nobody may change what is in it.

    Args:
        tmp_path_factory: pytest's.
        name: of the folder.
        make: fills it; is given its path, and it is there.
    """
    parent = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Each worker's own folder lies in that of the test run.
        parent = parent.parent
    folder, whole = parent / "made-once" / name, parent / "made-once" / f"{name}.whole"
    folder.parent.mkdir(exist_ok=True)
    with only_one(folder.with_name(f"{name}.lock"), waiting=lambda: None):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
