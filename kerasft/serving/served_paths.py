"""From the paths that a user names to the models that are served."""

import os
from collections.abc import Sequence
from pathlib import Path

from kerasft.errors import KerasftError, did_you_mean
from kerasft.serving.base_path import Policy
from kerasft.serving.model_config import ModelConfig


def configs_of(paths: Sequence[str | Path], model_name: str | None = None) -> list[ModelConfig]:
    """Finds out what each path is.

    Args:
        paths: each a model's base path (a folder of versions), one version's folder, or a folder of models such as
            `saved_models`.
        model_name: what requests call the model, if the paths hold just one; by default its folder's name.

    Returns:
        A config for each model, by their names.

    Raises:
        KerasftError: a path that is none of these, or two models of one name.
    """
    configs = [config for path in paths for config in _configs_of(Path(path))]
    if model_name is not None:
        if len(configs) != 1:
            found = ", ".join(config.name for config in configs)
            raise KerasftError(
                f"--model-name is for one model; {len(configs)} were found: {found}. Leave it out, or name one path."
            )
        [config] = configs
        configs = [ModelConfig(model_name, config.base_path, policy=config.policy)]
    seen: dict[str, ModelConfig] = {}
    for config in configs:
        if config.name in seen:
            raise KerasftError(
                f"Two models are named {config.name}: {seen[config.name].base_path} and {config.base_path}. "
                f"Serve one of them, or write a --model-config-file with a name for each."
            )
        seen[config.name] = config
    return [seen[name] for name in sorted(seen)]


def _configs_of(path: Path) -> list[ModelConfig]:
    # Not resolved: where `current` is a link to a release, it is the link that is to be watched.
    path = Path(os.path.abspath(path))
    if not path.is_dir():
        raise KerasftError(f"{path} is {_what_it_is(path)}, not a folder with a model.{_near(path)}")
    if _is_version(path):
        if path.name.isdecimal():
            return [
                ModelConfig(path.parent.name, str(path.parent), policy=Policy("specific", versions=(int(path.name),)))
            ]
        raise KerasftError(
            f"{path} is a SavedModel, but its folder's name is no version: a server wants NAME/NUMBER/. "
            f"Move it to {path / '1'}."
        )
    if _versions(path):
        return [ModelConfig(path.name, str(path))]
    models = sorted(child for child in _folders(path) if not child.name.startswith(".") and _versions(child))
    if not models:
        raise KerasftError(
            f"{path} holds no model: expected saved_model.pb, version folders (1, 2, …) with one, or a folder of such. "
            f"`kerasft fit` or `kerasft export` makes one."
        )
    return [ModelConfig(child.name, str(child)) for child in models]


def _is_version(folder: Path) -> bool:
    return (folder / "saved_model.pb").is_file() or (folder / "saved_model.pbtxt").is_file()


def _versions(folder: Path) -> list[Path]:
    return [child for child in _folders(folder) if child.name.isdecimal() and _is_version(child)]


def _folders(path: Path) -> list[Path]:
    try:
        return [child for child in path.iterdir() if child.is_dir()]
    except OSError:
        return []


def _what_it_is(path: Path) -> str:
    return "a file" if path.exists() else "not there"


def _near(path: Path) -> str:
    """Names a folder beside it that is spelt alike."""
    beside = [child.name for child in _folders(path.parent)] if path.parent.is_dir() else []
    words = did_you_mean(path.name, beside)
    return words if words.startswith(" Did you mean") else ""
