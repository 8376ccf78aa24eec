"""What a model's base path holds, and which of its versions the policy wants.

As sources/storage_path/file_system_storage_path_source.cc: every child whose name is a number is a version, half
copied or not; the loader judges it.
"""

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Policy:
    """Which versions are served: the latest `count`, all, or just `versions`."""

    kind: Literal["latest", "all", "specific"] = "latest"
    count: int = 1
    versions: tuple[int, ...] = ()


def aspired_versions(base_path: str | Path, policy: Policy) -> dict[int, Path]:
    """Gives the versions to serve, by number, with their folders.

    Raises:
        OSError: the base path is not there or cannot be read. That says nothing about its versions, so whoever asks
            leaves as it is what is served.
    """
    found: dict[int, Path] = {}
    for child in sorted(Path(base_path).iterdir()):
        if _NUMBER.fullmatch(child.name) and int(child.name) <= _LARGEST:
            found[int(child.name)] = child  # of "7" and "007" one is served, as there
    if policy.kind == "all":
        wanted = found
    elif policy.kind == "specific":
        wanted = set(policy.versions)
    else:
        wanted = sorted(found)[-max(policy.count, 1) :]
    return {version: folder for version, folder in found.items() if version in wanted}


def fingerprint(folder: Path) -> tuple:
    """Gives a value that changes when a file of the folder appears, grows or is written again."""
    marks = []
    for parent, _, names in os.walk(folder):  # which, other than rglob, bears a folder that goes away meanwhile
        for name in names:
            path = os.path.join(parent, name)
            with contextlib.suppress(OSError):
                found = os.stat(path)
                marks.append((path, found.st_size, found.st_mtime_ns))
    return tuple(sorted(marks))
