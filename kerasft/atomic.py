"""Write beside, flush to the disk, rename: a reader sees the old state or the new one, never half of either."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Flushes a folder's own entries (names of files made or renamed in it) to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flushes every file and folder below `folder` to the disk."""
    for root, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(root))


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to; on success it is flushed and renamed to `path`.

    On any exception, `KeyboardInterrupt` included, the unfinished file is removed and `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=".", suffix=f".{path.name}", dir=path.parent)
    os.close(handle)
    beside = Path(beside)
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; what we publish has the permissions an ordinary open() would give.
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        os.replace(beside, path)
        sync_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def new_folder(parent: Path, name: str) -> Iterator[Path]:
    """Gives a hidden folder in `parent` to fill; it is removed on any exception.

    The caller renames it with `publish` once its content is proven. A name that starts with a dot is not a
    version number, so TF Serving, which watches `parent`, never looks at it.
    """
    parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
    try:
        yield beside
    finally:
        if beside.exists():
            shutil.rmtree(beside, ignore_errors=True)


def publish(beside: Path, final: Path) -> None:
    """Flushes the tree `beside` and renames it to `final`, which must not exist.

    Raises:
        FileExistsError: `final` is there already and not empty.
    """
    umask = os.umask(0)
    os.umask(umask)
    beside.chmod(0o777 & ~umask)
    sync_tree(beside)
    os.rename(beside, final)
    sync_folder(final.parent)
