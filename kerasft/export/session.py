"""A SavedModel as TensorFlow Serving sees it: loaded and run by TensorFlow's C++ library alone.

The library inside the installed `tensorflow` wheel is reached through its C API (`tensorflow/c/c_api.h`), and TF Text's
ops through its own shared libraries. Python's `tensorflow` is not imported, for two reasons: a SavedModel may
load and predict there and still fail in the C++ loader, and `import tensorflow` imports Keras and takes seconds.

This file and the two it imports, `capi.py` and `messages.py`, stand alone (standard library, NumPy, protobuf, and the
shared libraries of the two wheels) and import each other relatively, because the proof runs them in a fresh process
in which kerasft is not imported.
"""

import contextlib
import ctypes
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import capi
from .capi import DTYPES, FAILED_PRECONDITION, INVALID_ARGUMENT, SessionError
from .messages import messages


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature.

    Attributes:
        name: the graph's tensor, `node:0`.
        dtype: TensorFlow's name of the type; `string`, `float32`, …
        shape: one entry a dimension, None where it is open; None for an unknown rank.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A served contract. `defaults` holds serialized tensors for inputs that a request may leave out."""

    name: str
    method_name: str
    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    defaults: dict[str, bytes]


def signatures_of(meta_graph) -> dict[str, Signature]:
    """Gives the signatures that requests can name, sorted, of a `MetaGraph` message."""

    def info(found):
        shape = None if found.shape.unknown_rank else tuple(d.size if d.size >= 0 else None for d in found.shape.dim)
        return TensorInfo(found.name, DTYPES.get(found.dtype, str(found.dtype)), shape)

    signatures = {}
    for name, found in sorted(meta_graph.signature_def.items()):
        if name.startswith("__saved_model_"):  # the loader's own: initialisers, not for requests
            continue
        inputs, outputs = ({k: info(v) for k, v in sorted(side.items())} for side in (found.inputs, found.outputs))
        defaults = {alias: tensor.SerializeToString() for alias, tensor in found.defaults.items()}
        signatures[name] = Signature(name, found.method_name, inputs, outputs, defaults)
    return signatures


class ProtoError(SessionError):
    """Bytes that were to be fed are no sound TensorProto. `name` is the tensor's."""

    def __init__(self, name: str, error: SessionError):
        super().__init__(error.code, f"{name}: {error.message}")
        self.name = name


class Session:
    """A loaded SavedModel. `run` and `fetch` may be called from several threads at once.

    Attributes:
        signatures: those that requests can name, sorted.
        signature_defs: all of them, as serialized SignatureDef messages.

    Args:
        path: the version folder, the one with `saved_model.pb`.
        xla: leave XLA compilation on. Off is what a stock server does, and is for the whole process.

    Raises:
        SessionError: the C++ loader refused the folder; the message is the loader's.
    """

    def __init__(self, path: str | Path, xla: bool = False):
        self._lib = lib = capi.library()
        if not xla:
            capi.disable_xla()
        self._idle = threading.Condition()
        self._running = 0
        self._session = None
        self._graph = lib.TF_NewGraph()
        options, buffer = lib.TF_NewSessionOptions(), lib.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        try:
            with capi.checked(lib) as status:
                folder = str(path).encode()
                self._session = lib.TF_LoadSessionFromSavedModel(
                    options, None, folder, tags, 1, self._graph, buffer, status
                )
            meta_graph = messages().MetaGraph.FromString(ctypes.string_at(buffer.contents.data, buffer.contents.length))
        except BaseException:
            lib.TF_DeleteGraph(self._graph)
            raise
        finally:
            lib.TF_DeleteBuffer(buffer)
            lib.TF_DeleteSessionOptions(options)
        self.signatures = signatures_of(meta_graph)
        self.signature_defs = {name: found.SerializeToString() for name, found in meta_graph.signature_def.items()}

    def _output(self, name: str) -> capi.Output:
        node, _, index = name.rpartition(":")
        operation = self._lib.TF_GraphOperationByName(self._graph, node.encode()) if node else None
        if not operation:
            raise SessionError(INVALID_ARGUMENT, f"the graph has no dense tensor {name!r}")
        return capi.Output(operation, int(index))

    def run(self, signature_name: str, feeds: Mapping, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Runs one signature.

        Args:
            signature_name: a key of `signatures`.
            feeds: alias -> array or (nested) list; strings as bytes or str. Inputs with a default may be left out.
            outputs: the aliases wanted; all of them by default.

        Returns:
            alias -> array; strings as object arrays of bytes.

        Raises:
            SessionError: wrong names or types, or TensorFlow's own error.
        """
        if signature_name not in self.signatures:
            raise SessionError(FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.')
        signature = self.signatures[signature_name]
        extra = sorted(set(feeds) - set(signature.inputs))
        missing = sorted(set(signature.inputs) - set(feeds) - set(signature.defaults))
        wanted = list(signature.outputs if outputs is None else outputs)
        unknown = sorted(set(wanted) - set(signature.outputs))
        if extra or missing or unknown:
            words = f"inputs not in the signature: {extra}, missing: {missing}; outputs not in the signature: {unknown}"
            raise SessionError(INVALID_ARGUMENT, words)
        given = [
            (info.name, capi.as_array(feeds[alias], info.dtype) if alias in feeds else signature.defaults[alias])
            for alias, info in signature.inputs.items()
        ]
        return dict(zip(wanted, self.fetch(given, [signature.outputs[alias].name for alias in wanted]), strict=True))

    def fetch(self, feeds: Sequence[tuple[str, np.ndarray | bytes]], names: Sequence[str]) -> list[np.ndarray]:
        """Runs the graph for tensors by their names in it.

        Args:
            feeds: tensor's name and value; an array, or bytes that are a serialized TensorProto.
            names: the tensors wanted.

        Returns:
            One array for each of `names`; strings as object arrays of bytes.

        Raises:
            ProtoError: bytes that are no sound TensorProto.
            SessionError: a tensor that is not there, or TensorFlow's own error.
        """
        lib = self._lib
        given: list[int] = []
        results = (ctypes.c_void_p * len(names))()
        with self._in_use() as session:
            try:
                for name, value in feeds:
                    if isinstance(value, bytes):
                        try:
                            given.append(capi.tensor_from_proto(lib, value))
                        except SessionError as error:
                            raise ProtoError(name, error) from None
                    else:
                        given.append(capi.new_tensor(lib, value))
                sources = (capi.Output * len(given))(*(self._output(name) for name, _ in feeds))
                targets = (capi.Output * len(names))(*map(self._output, names))
                values = (ctypes.c_void_p * len(given))(*given)
                with capi.checked(lib) as status:
                    lib.TF_SessionRun(
                        *(session, None, sources, values, len(given)),
                        *(targets, results, len(names), None, 0, None, status),
                    )
                return [capi.read_tensor(lib, tensor) for tensor in results]
            finally:
                for tensor in (*given, *results):
                    if tensor:
                        lib.TF_DeleteTensor(tensor)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[int]:
        with self._idle:
            session = self._session
            if session is None:
                raise SessionError(FAILED_PRECONDITION, "the session is closed")
            self._running += 1
        try:
            yield session  # `close` may forget it meanwhile, but frees it only afterwards
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def close(self) -> None:
        """Waits for the requests under way, then frees the model. Closing twice does nothing."""
        with self._idle:
            session, self._session = self._session, None
            self._idle.wait_for(lambda: self._running == 0)
        if session is not None:
            with capi.checked(self._lib) as status:
                self._lib.TF_CloseSession(session, status)
            with capi.checked(self._lib) as status:
                self._lib.TF_DeleteSession(session, status)
            self._lib.TF_DeleteGraph(self._graph)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_) -> None:
        self.close()
