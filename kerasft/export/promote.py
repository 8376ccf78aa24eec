"""Labels of versions in `<export dir>/models.config`, and which old versions may go.

The file is the text form of ModelServerConfig, of tensorflow_serving/config/model_server_config.proto.
"""

import shutil
from pathlib import Path

from google.protobuf import text_format

from kerasft.atomic import new_file
from kerasft.errors import KerasftError, did_you_mean
from kerasft.export.versions import model_folder

CONFIG = "models.config"


def _read(path: Path):
    from kerasft.serving.protos import model_server_config_pb2

    server = model_server_config_pb2.ModelServerConfig()
    if path.exists():
        try:
            text_format.Parse(path.read_text(), server)
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise KerasftError(f"{path} cannot be kept as it is: {error}. Mend it, or move it away.") from None
    return server


def _versions(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def labels(export_dir: Path, name: str) -> dict[str, int]:
    """Gives a model's labels in `models.config`: label -> version; empty when there is no such file or model.

    Raises:
        KerasftError: the file cannot be parsed.
    """
    configs = _read(Path(export_dir) / CONFIG).model_config_list.config
    return next((dict(config.version_labels) for config in configs if config.name == name), {})


def promote(export_dir: Path, name: str, version: int, label: str = "stable", base_path: str = "/models") -> Path:
    """Points a label at a version, in `models.config`, which is replaced in one step.

    The server then loads the labelled versions and the newest one of today; models beside it stay as they are. Comments
    in the file do not.

    Args:
        export_dir: where exports live.
        name: of the model.
        version: a published one.
        label: such as "stable" or "canary".
        base_path: `export_dir` as the server sees it; of a model that the file has already, its own path stays.

    Returns:
        The file.

    Raises:
        KerasftError: an unknown model or version, an empty label, or a file that cannot be parsed.
    """
    export_dir = Path(export_dir)
    versions = _versions(model_folder(export_dir, name))
    if not versions:
        names = [path.name for path in export_dir.iterdir() if _versions(path)] if export_dir.is_dir() else []
        hint = did_you_mean(name, names) if names else " It holds none: run `kerasft export` first."
        raise KerasftError(f"{export_dir} holds no model '{name}'.{hint}")
    if version not in versions:
        near = min(versions, key=lambda one: (abs(one - version), one))
        raise KerasftError(f"Model '{name}' has no version {version}; the nearest is {near}.")
    if not label:
        raise KerasftError("A label cannot be empty; expected a word such as stable or canary.")
    server = _read(export_dir / CONFIG)
    config = next((one for one in server.model_config_list.config if one.name == name), None)
    if config is None:
        config = server.model_config_list.config.add(name=name, base_path=f"{base_path.rstrip('/')}/{name}")
        config.model_platform = "tensorflow"
    config.version_labels[label] = version
    config.model_version_policy.Clear()
    config.model_version_policy.specific.versions.extend(sorted({*config.version_labels.values(), versions[-1]}))
    with new_file(export_dir / CONFIG) as beside:
        beside.write_text(text_format.MessageToString(server, as_utf8=True))
    return export_dir / CONFIG


def remove_old(export_dir: Path, name: str, keep: int) -> list[int]:
    """Removes all but the newest versions of a model, but never one that a label names.

    Args:
        export_dir: where exports live.
        name: of the model.
        keep: how many of the newest stay; at least 1.

    Returns:
        The versions removed.

    Raises:
        KerasftError: `keep` below 1, or a `models.config` that cannot be parsed; nothing is removed then.
    """
    if keep < 1:
        raise KerasftError(f"Expected at least 1 version to keep, found {keep}.")
    held = set(labels(export_dir, name).values())
    folder = model_folder(Path(export_dir), name)
    old = [version for version in _versions(folder)[:-keep] if version not in held]
    for version in old:
        # Renamed first: a server that looks meanwhile sees a whole version or none.
        going = folder / f".removed.{version}"
        (folder / str(version)).rename(going)
        shutil.rmtree(going)
    return old
