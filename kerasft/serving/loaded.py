"""One version of a model in memory: its signatures as messages, and a way to run them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasft.export.session import ProtoError, Session, SessionError
from kerasft.serving.arrays import parsing_error, sound_shape
from kerasft.serving.protos import get_model_metadata_pb2, meta_graph_pb2, tensor_pb2
from kerasft.serving.resident import give_back_freed
from kerasft.serving.status import FAILED_PRECONDITION, INVALID_ARGUMENT, ServingError

PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
DEFAULT_SIGNATURE = "serving_default"

Feed = tensor_pb2.TensorProto | np.ndarray


def signature_name(model_spec) -> str:
    """Gives the signature that a request asks for."""
    return model_spec.signature_name or DEFAULT_SIGNATURE


@dataclass(frozen=True)
class Plan:
    """A signature, read once. Maps from alias to tensor name, and from alias to a serialized TensorProto."""

    inputs: dict[str, str]
    outputs: dict[str, str]
    defaults: dict[str, bytes]


class LoadedVersion:
    """A version that can run. All methods may be called from several threads at once.

    Attributes:
        name: the model's.
        version: its number.
        signatures: name -> SignatureDef, those of the loader included.
        signature_map: the same as one SignatureDefMap, for metadata.
        check_method_names: refuse a signature whose `method_name` is not the API's (off in TensorFlow Serving too).
    """

    def __init__(self, name: str, version: int, session: Session, check_method_names: bool = False):
        self.name = name
        self.version = version
        self.check_method_names = check_method_names
        self._session = session
        parse = meta_graph_pb2.SignatureDef.FromString
        self.signatures = {key: parse(found) for key, found in sorted(session.signature_defs.items())}
        self.signature_map = get_model_metadata_pb2.SignatureDefMap(signature_def=self.signatures)
        self._plans = {
            key: Plan(
                {alias: info.name for alias, info in sorted(found.inputs.items())},
                {alias: info.name for alias, info in sorted(found.outputs.items())},
                {alias: tensor.SerializeToString() for alias, tensor in found.defaults.items()},
            )
            for key, found in self.signatures.items()
        }

    def plan(self, signature_name: str) -> Plan:
        """Gives a signature's tensor names.

        Raises:
            ServingError: FAILED_PRECONDITION, in the words of servables/tensorflow/predict_util.cc.
        """
        if signature_name not in self._plans:
            raise ServingError(FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.')
        return self._plans[signature_name]

    def run(self, signature_name: str, feeds: Mapping[str, Feed], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """Runs one signature.

        Args:
            signature_name: a key of `signatures`.
            feeds: alias -> TensorProto or array (strings as objects of type bytes). Inputs with a default may be
                left out.
            outputs: the aliases wanted.

        Returns:
            alias -> array; strings as object arrays of bytes.

        Raises:
            ServingError: a name that is not there, a malformed TensorProto, or TensorFlow's own error.
        """
        plan = self.plan(signature_name)
        given = []
        for alias, name in plan.inputs.items():
            feed = feeds.get(alias)
            if feed is None:
                if alias not in plan.defaults:
                    raise ServingError(
                        INVALID_ARGUMENT, f"Signature input alias: {alias} not found and no default value provided."
                    )
                given.append((name, plan.defaults[alias]))
            elif isinstance(feed, np.ndarray):
                given.append((name, feed))
            else:
                sound_shape(feed, alias)
                given.append((name, feed.SerializeToString()))
        try:
            found = self._session.fetch(given, [plan.outputs[alias] for alias in outputs])
        except ProtoError as error:
            alias = next(alias for alias, name in plan.inputs.items() if name == error.name)
            raise parsing_error(alias) from None
        except SessionError as error:
            raise ServingError(error.code, error.message) from None
        return dict(zip(outputs, found, strict=True))

    def fetch(self, feeds: Sequence[tuple[str, np.ndarray]], names: Sequence[str]) -> dict[str, np.ndarray]:
        """Runs the graph for several signatures at once, by the names of tensors.

        Raises:
            ServingError: TensorFlow's own error.
        """
        try:
            return dict(zip(names, self._session.fetch(feeds, names), strict=True))
        except SessionError as error:
            raise ServingError(error.code, error.message) from None

    def close(self) -> None:
        """Waits for the requests under way, then frees the model."""
        self._session.close()
        give_back_freed()


def load(name: str, version: int, path: str | Path, check_method_names: bool = False) -> LoadedVersion:
    """Loads a version folder in TensorFlow's C++ loader, XLA off.

    Args:
        name: the model's.
        version: its number.
        path: the folder with `saved_model.pb`.
        check_method_names: as `--enable_signature_method_name_check` of the server.

    Raises:
        ServingError: the loader refused the folder; its own code and words.
    """
    try:
        return LoadedVersion(name, version, Session(path), check_method_names)
    except SessionError as error:
        raise ServingError(error.code, error.message) from None
