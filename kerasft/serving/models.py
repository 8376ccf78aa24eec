"""The models that are served: which they are, which version a request gets, and how it is run."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from kerasft.errors import KerasftError
from kerasft.export.capi import CODES
from kerasft.serving import status
from kerasft.serving.base_path import Policy, aspired_versions
from kerasft.serving.batching import Batcher, BatchingParameters
from kerasft.serving.model_config import ModelConfig, check_configs
from kerasft.serving.status import ServingError
from kerasft.serving.versions import END, Loaded, Versions, VersionStatus
from kerasft.serving.watch import Upkeep, every

__all__ = ["ModelConfig", "Models", "ModelsOptions", "Policy"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelsOptions:
    """How models are watched and run; names and defaults are those of `tensorflow_model_server`'s flags.

    Attributes:
        file_system_poll_wait_seconds: between two looks at the base paths; 0 looks once, at the start.
        max_num_load_retries: of a version that does not load and whose folder stays as it is.
        load_retry_interval_micros: between such retries.
        allow_version_labels_for_unavailable_models: a label that is new may name a version that is not loaded yet.
        fail_if_no_model_versions_found: refuse to start on a base path without a version.
        model_config_file: read again every `model_config_file_poll_wait_seconds`, unless that is 0.
        enable_model_warmup: replay `assets.extra/tf_serving_warmup_requests` before a version is available.
        num_request_iterations_for_warmup: how often each record is replayed.
        enable_signature_method_name_check: refuse a signature whose method name is not that of the API asked.
        batching: join requests; None runs each by itself.
        enable_per_model_batching_parameters: with batching, each version is joined as its own `batching_params.pbtxt`
            says, and not at all if it has none; of `batching` only the threads are used.
    """

    file_system_poll_wait_seconds: float = 1.0
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    allow_version_labels_for_unavailable_models: bool = False
    fail_if_no_model_versions_found: bool = False
    model_config_file: str | Path | None = None
    model_config_file_poll_wait_seconds: float = 0.0
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 1
    enable_signature_method_name_check: bool = False
    batching: BatchingParameters | None = None
    enable_per_model_batching_parameters: bool = False


class Models:
    """All models of a server. Every method may be called from any thread.

    Args:
        configs: the models to begin with.
        options: see `ModelsOptions`.
        load: (name, version, folder) -> the version; `loaded.load` by default.
    """

    def __init__(
        self,
        configs: Sequence[ModelConfig],
        options: ModelsOptions | None = None,
        load: Callable[[str, int, Path], Loaded] | None = None,
    ):
        self.options = options = options or ModelsOptions()
        self._first = list(configs)
        self._configs: dict[str, ModelConfig] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._warned: dict[str, str] = {}
        self._versions = Versions()
        self._load_alone = load
        self._upkeep = Upkeep(
            self._versions, self._load, options.max_num_load_retries, options.load_retry_interval_micros / 1e6
        )
        self._batcher = Batcher(options.batching) if options.batching else None
        self._own_batching: WeakKeyDictionary[Loaded, BatchingParameters] = WeakKeyDictionary()
        self._settling = threading.RLock()  # one change at a time: a look at the disk, a reload, the end
        self._stop = threading.Event()

    def start(self) -> None:
        """Loads what the base paths hold, and goes on watching them.

        Raises:
            ServingError: a config that is not legal, or a model of which no version loads.
        """
        self._apply(self._first, self.options.fail_if_no_model_versions_found)
        if self.options.file_system_poll_wait_seconds > 0:
            every(self.options.file_system_poll_wait_seconds, self.poll, self._stop, "watch-base-paths")
        if self.options.model_config_file and self.options.model_config_file_poll_wait_seconds > 0:
            wait = self.options.model_config_file_poll_wait_seconds
            every(wait, self._poll_config_file, self._stop, "watch-model-config-file")

    def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Replaces the whole list of models, as ServerCore::ReloadConfig does: what is no more in it is taken down.

        A version that is loaded stays loaded under a new base path, for its number is all that tells it apart.

        Raises:
            ServingError: an illegal config (nothing changes), or a new model of which no version could be loaded (the
                other changes stand, and the model is still watched).
        """
        self._apply(configs, True)

    @contextlib.contextmanager
    def lease(self, model_spec) -> Iterator[Loaded]:
        """Gives the version that a request asks for, for as long as it runs.

        Args:
            model_spec: a `ModelSpec`; None if the request has none.

        Raises:
            ServingError: in the words of server_core.cc and basic_manager.cc.
        """
        name = self._name(model_spec)
        with self._versions.lease(name, self._wanted(name, model_spec)) as loaded:
            yield loaded

    def run(
        self, loaded: Loaded, signature_name: str, feeds: Mapping, outputs: Sequence[str], deadline: float | None = None
    ) -> dict:
        """Runs a signature of a leased version, joined with other requests if batching is on.

        Args:
            loaded: from `lease`.
            signature_name: a key of its signatures.
            feeds: alias -> TensorProto or array.
            outputs: the aliases wanted.
            deadline: of `time.monotonic()`; what is still queued then is not run.

        Returns:
            alias -> array.

        Raises:
            ServingError: TensorFlow's own words, or the batcher's.
        """
        per_model = self.options.enable_per_model_batching_parameters
        parameters = self._own_batching.get(loaded) if per_model else self.options.batching
        if self._batcher is None or parameters is None:
            return loaded.run(signature_name, feeds, outputs)
        return self._batcher.run(loaded, signature_name, feeds, outputs, deadline, parameters)

    def status(self, model_spec) -> list[VersionStatus]:
        """Tells the states of a model's versions, the highest first, or of the one that is asked for.

        Raises:
            ServingError: in the words of model_servers/get_model_status_impl.cc.
        """
        if model_spec is None:
            raise ServingError(status.INVALID_ARGUMENT, "Missing ModelSpec")
        name = model_spec.name
        found = self._versions.statuses(name)
        wanted = self._wanted(name, model_spec)
        if wanted is not None:
            found = [entry for entry in found if entry.version == wanted]
            if not found:
                raise ServingError(status.NOT_FOUND, f"Could not find version {wanted} of model {name}")
        if not found:
            raise ServingError(status.NOT_FOUND, f"Could not find any versions of model {name}")
        return found

    def configs(self) -> list[ModelConfig]:
        """The models that are watched now."""
        return list(self._configs.values())

    def poll(self) -> None:
        """Looks at every base path now, and loads and retires what that asks for."""
        with self._settling:
            if self._stop.is_set():
                return
            for config in list(self._configs.values()):
                try:
                    aspired = aspired_versions(config.base_path, config.policy)
                except OSError as error:
                    self._warn(config.name, f"Could not find base path {config.base_path}: {error.strerror}")
                    continue
                self._warn(config.name, "" if aspired else f"No version (a folder 1, 2, …) in {config.base_path}")
                self._upkeep.settle(config.name, aspired)

    def _warn(self, of: str, words: str) -> None:
        # Once, not at every look.
        if self._warned.get(of, "") != words:
            self._warned[of] = words
            if words:
                log.warning("%s: %s", of, words)

    def close(self, timeout: float | None = None) -> None:
        """Stops watching, lets the requests under way end, and frees every model.

        Args:
            timeout: the seconds to wait for those requests at most; None for as long as they take.
        """
        self._stop.set()
        with self._settling:
            self._configs = {}
            self._versions.close(timeout)
        if self._batcher:
            self._batcher.close(timeout)

    def _load(self, name: str, version: int, folder: Path) -> Loaded:
        if self._load_alone is not None:
            loaded = self._load_alone(name, version, folder)
        else:
            from kerasft.serving.loaded import load

            loaded = load(name, version, folder, self.options.enable_signature_method_name_check)
        try:
            self._prepare(loaded, folder)
        except BaseException:
            loaded.close()
            raise
        return loaded

    def _prepare(self, loaded: Loaded, folder: Path) -> None:
        if self._batcher and self.options.enable_per_model_batching_parameters:
            from kerasft.serving.config_files import own_batching_parameters

            if own := own_batching_parameters(folder):
                self._own_batching[loaded] = own
        if self.options.enable_model_warmup:
            from kerasft.serving.warm_up import warm_up

            warm_up(loaded, folder, self.options.num_request_iterations_for_warmup)

    @staticmethod
    def _name(model_spec) -> str:
        if model_spec is None:
            raise ServingError(status.INVALID_ARGUMENT, "Missing ModelSpec")
        if not model_spec.name:
            raise ServingError(status.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        return model_spec.name

    def _wanted(self, name: str, model_spec) -> int | None:
        choice = model_spec.WhichOneof("version_choice")
        if choice == "version":
            return model_spec.version.value
        if choice == "version_label":
            label = model_spec.version_label
            if label not in self._labels.get(name, {}):
                raise ServingError(status.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
            return self._labels[name][label]
        return None

    def _poll_config_file(self) -> None:
        from kerasft.serving.config_files import read_model_config_file

        words = ""
        try:
            self.reload(read_model_config_file(self.options.model_config_file))
        except KerasftError as error:
            words = str(error)
        except ServingError as error:
            words = error.message
        self._warn("--model_config_file", words)

    def _apply(self, configs: Sequence[ModelConfig], fail_if_no_versions: bool) -> None:
        with self._settling:
            check_configs(configs, self._configs)
            self._labels = self._labels_of(configs)
            new = [config for config in configs if config.name not in self._configs]
            gone = set(self._configs) - {config.name for config in configs}
            self._configs = {config.name: config for config in configs}
            for name in sorted(gone):
                self._upkeep.settle(name, {})
            self.poll()
            self._check_available(new, fail_if_no_versions)

    def _labels_of(self, configs: Sequence[ModelConfig]) -> dict[str, dict[str, int]]:
        for config in configs:
            available = self._versions.available(config.name)
            for label, version in config.labels.items():
                named = self._labels.get(config.name, {}).get(label, version)
                allowed = self.options.allow_version_labels_for_unavailable_models and named == version
                if version not in available and not allowed:
                    words = f"Request to assign label to version {version} of model {config.name}, which is not"
                    raise ServingError(status.FAILED_PRECONDITION, f"{words} currently available for inference")
        return {config.name: dict(config.labels) for config in configs}

    def _check_available(self, configs: Sequence[ModelConfig], fail_if_no_versions: bool) -> None:
        failed = []
        for config in configs:
            if self._versions.available(config.name):
                continue
            ended = [found for found in self._versions.statuses(config.name) if found.state == END and found.code]
            failed += [(config.name, found) for found in ended]
            if not ended and fail_if_no_versions:
                words = f"Unable to find a numerical version path for servable {config.name} at: {config.base_path}"
                raise ServingError(status.NOT_FOUND, words)
        if failed:
            entries = "".join(
                f"{{{{name: {name} version: {found.version}}} due to error: {CODES[found.code]}: {found.message}}}, "
                for name, found in failed
            )
            raise ServingError(status.UNKNOWN, f"{len(failed)} model(s) did not become available: {{{entries}}}")
