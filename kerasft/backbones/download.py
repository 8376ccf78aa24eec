"""Model folders from the hubs, through the hubs' own clients and into their own caches.

keras-nlp's `from_preset` uses the same clients, so what it has downloaded already is found, and the other way round.
"""

import os
from collections.abc import Callable
from pathlib import Path

from kerasft.backbones import hub, layout
from kerasft.backbones.fetch import Report, ways_out
from kerasft.errors import KerasftError

KAGGLE = "kaggle://"


def from_hugging_face(address: str, name: str, report: Report | None, weights: bool) -> Path:
    """The folder of an `hf://org/model` in huggingface_hub's cache, filled as far as needed.

    Raises:
        KerasftError: no such model, not allowed to read it, files missing, or no network and not cached.
    """
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise KerasftError(
            f"'{name}' needs the package huggingface_hub, which is not installed. Run pip install huggingface_hub."
        ) from error
    # Asked first, with a deadline: the client itself retries for 20 seconds and more when nothing answers.
    offline = hub.silence()

    def get(file: str) -> Path | None:
        try:
            return Path(hf_hub_download(address.removeprefix(hub.PREFIX), file, local_files_only=offline is not None))
        except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
            raise KerasftError(
                f"Hugging Face has no model '{address}' that you may read (a private or gated one needs HF_TOKEN)."
            ) from error
        except errors.EntryNotFoundError:
            return None
        except (OSError, ValueError, RuntimeError) as error:
            raise KerasftError(f"'{name}' did not arrive from Hugging Face ({_reason(error)}).") from error

    if report and offline is None:
        report(f"{name}: looking on Hugging Face (what is not cached yet is downloaded)")
    return _collect(get, name, weights, f"Hugging Face does not answer ({offline})" if offline else None)


def from_kaggle(address: str, name: str, report: Report | None, weights: bool) -> Path:
    """The folder of a `kaggle://org/model/keras/variant[/version]` in kagglehub's cache, filled as far as needed.

    Raises:
        KerasftError: as `from_hugging_face`.
    """
    try:
        import kagglehub
    except ImportError as error:
        raise KerasftError(
            f"'{name}' needs the package kagglehub, which is not installed. Run pip install kagglehub."
        ) from error
    handle = address.removeprefix(KAGGLE)

    def get(file: str) -> Path | None:
        try:
            return Path(kagglehub.model_download(handle, file))
        except Exception as error:  # the client's errors share no class of their own
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status == 404 or "not present in the model files" in str(error):
                return None
            if status in (401, 403):
                raise KerasftError(f"Kaggle does not let you read '{address}': accept its terms, or log in.") from error
            raise KerasftError(
                f"The backbone '{name}' is not cached and did not arrive from Kaggle ({_reason(error)}). "
                f"{ways_out(name)}"
            ) from error

    if report and not (kaggle_folder(address) / layout.KERAS.weights).is_file():
        report(f"{name}: not cached; downloading it from Kaggle")
    return _collect(get, name, weights, None)


def kaggle_folder(address: str) -> Path:
    """Where kagglehub keeps a model with a version. kagglehub is not imported (that takes most of a second)."""
    cache = os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub"
    return Path(cache, "models", *address.removeprefix(KAGGLE).split("/"))


def _collect(get: Callable[[str], Path | None], name: str, weights: bool, offline: str | None) -> Path:
    """Gets config.json, then what it calls for. `get` gives a file's path, or None where the hub has no such file."""
    config = get(layout.CONFIG)
    if config is None:
        if offline:
            raise KerasftError(f"The backbone '{name}' is not cached and {offline}. {ways_out(name)}")
        raise KerasftError(f"The backbone '{name}' has no {layout.CONFIG}: it is no Hugging Face or Keras model.")
    folder = config.parent
    kind, family = layout.read_config(config, name)
    for file in (*kind.settings, *kind.vocabulary[family]):
        get(file)
    if weights and get(kind.weights) is None and get(kind.shards) is not None:
        for shard in layout.shard_files(folder / kind.shards):
            get(shard)
    try:
        layout.vocabulary_files(folder)
        if weights:
            layout.check_weights(folder, kind, name)
    except KerasftError as error:
        if offline:
            raise KerasftError(
                f"The backbone '{name}' is cached only in part and {offline}. {ways_out(name)}"
            ) from error
        raise
    return folder


def _reason(error: BaseException) -> str:
    """What went wrong at the bottom ("Name or service not known"), where the clients wrap it in paragraphs."""
    root = error
    while (below := root.__cause__ or root.__context__) is not None:
        root = below
    if isinstance(root, OSError) and root.strerror:
        return root.strerror
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
