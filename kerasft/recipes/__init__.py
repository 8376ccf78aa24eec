"""Recipes that come with the package: the settings of runs whose scores were measured, which their heads state.

`kerasft fit --recipe NAME` takes one by name, `kerasft recipes NAME` prints it to start one's own from.
"""

from pathlib import Path

from kerasft.errors import KerasftError, did_you_mean

_HERE = Path(__file__).parent


def recipe_names() -> list[str]:
    """The names of the recipes, sorted."""
    return sorted(path.stem for path in _HERE.glob("*.yaml"))


def recipe_path(wanted: str | Path) -> Path:
    """The file of a recipe.

    Args:
        wanted: a file, or the name of a recipe of the package; a file wins.

    Raises:
        KerasftError: a plain name, and neither a file nor one of ours; the message has the nearest.
    """
    path = Path(wanted)
    # What has a folder or an ending is meant as a file: whoever reads it says what is wrong with it.
    if path.is_file() or path.suffix or len(path.parts) != 1:
        return path
    names = recipe_names()
    if path.name not in names:
        raise KerasftError(
            f"Recipe '{wanted}' is neither a file nor one of kerasft's own.{did_you_mean(path.name, names)}"
        )
    return _HERE / f"{path.name}.yaml"


def recipe_head(name: str) -> list[str]:
    """The comment at the head of a recipe of the package: what it is for, the command, the score. Lines without '#'."""
    head = []
    for line in recipe_path(name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        head.append(line.lstrip("#").strip())
    return head
