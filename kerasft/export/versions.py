"""Where exports lie: `<export dir>/<name>/<version>/`, a number a version, as TensorFlow Serving watches them."""

from pathlib import Path

from kerasft.atomic import publish
from kerasft.errors import KerasftError

PROOF = Path("assets.extra") / "kerasft" / "proof.json"


def version_folder(path: Path) -> Path:
    """Gives the folder with `saved_model.pb`: `path` itself or, as a server does, its highest version.

    Raises:
        KerasftError: there is neither.
    """
    path = Path(path)
    if not path.is_dir():
        raise KerasftError(
            f"{path} is not a folder. Pass an export, such as saved_models/sentiment or a version in it."
        )
    if (path / "saved_model.pb").is_file():
        return path
    versions = [entry for entry in path.iterdir() if entry.name.isdecimal() and (entry / "saved_model.pb").is_file()]
    if not versions:
        raise KerasftError(
            f"{path} holds no saved_model.pb and no version folder (1, 2, …) with one: not a SavedModel."
        )
    return max(versions, key=lambda entry: int(entry.name))


def model_folder(export_dir: Path, name: str) -> Path:
    """The folder of a model's versions.

    Raises:
        KerasftError: a name that is no plain folder name.
    """
    if not name or name.startswith(".") or Path(name).name != name:
        raise KerasftError(
            f"'{name}' cannot name a model: expected a folder name without '/' and without a leading dot."
        )
    return export_dir / name


def place(beside: Path, parent: Path) -> Path:
    """Renames a finished folder to the next free version; if another process takes that first, to the one after.

    Returns:
        The version folder.
    """
    while True:
        taken = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
        final = parent / str(max(taken, default=0) + 1)
        try:
            publish(beside, final)
            return final
        except FileExistsError:
            continue
