"""TensorFlow's C API (`tensorflow/c/c_api.h`) through ctypes: the library, its errors, tensors to and from NumPy."""

import contextlib
import ctypes
import functools
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .messages import messages

# tensorflow/core/framework/types.proto, DataType; bfloat16 (14) is added by `numpy_type`.
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64"}
DTYPES |= {9: "int64", 10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 20: "resource"}
DTYPES |= {21: "variant", 22: "uint32", 23: "uint64"}
CODES = ("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS")
CODES += ("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED")
CODES += ("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED")
INVALID_ARGUMENT, FAILED_PRECONDITION = 3, 9
_STRING = 7
_STRING_BYTES = 24  # sizeof(TF_TString)


class SessionError(Exception):
    """What TensorFlow answered.

    Attributes:
        code: the status code, as in gRPC (3 is INVALID_ARGUMENT).
        message: TensorFlow's own words.
    """

    def __init__(self, code: int, message: str):
        super().__init__(f"{CODES[code] if code < len(CODES) else code}: {message}")
        self.code = code
        self.message = message


class Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p))


class Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def _package(name: str) -> Path:
    """Finds an installed package's folder without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SessionError(FAILED_PRECONDITION, f"the Python package {name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def library_path() -> Path:
    """Gives the shared library that holds TensorFlow's C API in the installed wheel."""
    names = ("libtensorflow_cc.2.dylib",) if sys.platform == "darwin" else ("libtensorflow_cc.so.2",)
    folder = _package("tensorflow")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise SessionError(FAILED_PRECONDITION, f"the installed tensorflow has no {' or '.join(names)} in {folder}")


@functools.cache
def library() -> ctypes.CDLL:
    """Loads TensorFlow and TF Text's ops, once a process."""
    # TensorFlow's library shows its own OpenSSL to all that is loaded after it. Python's two modules that need theirs
    # come first: else the one crashes when it is imported, and the other has no ciphers.
    import hashlib  # noqa: F401
    import ssl  # noqa: F401

    # RTLD_GLOBAL: TF Text's libraries look their TensorFlow symbols up among those already loaded.
    lib = ctypes.CDLL(str(library_path()), mode=ctypes.RTLD_GLOBAL)
    pointer, number, size, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p
    for name, result, *arguments in (
        ("TF_Version", text),
        ("TF_NewStatus", pointer),
        ("TF_DeleteStatus", None, pointer),
        ("TF_GetCode", number, pointer),
        ("TF_Message", text, pointer),
        ("TF_LoadLibrary", pointer, text, pointer),
        ("TF_GetAllOpList", ctypes.POINTER(Buffer)),
        ("TF_NewBuffer", ctypes.POINTER(Buffer)),
        ("TF_NewBufferFromString", ctypes.POINTER(Buffer), text, size),
        ("TF_DeleteBuffer", None, pointer),
        ("TF_NewGraph", pointer),
        ("TF_DeleteGraph", None, pointer),
        ("TF_NewSessionOptions", pointer),
        ("TF_DeleteSessionOptions", None, pointer),
        ("TF_LoadSessionFromSavedModel", *(pointer,) * 3, text, ctypes.POINTER(text), number, *(pointer,) * 3),
        ("TF_CloseSession", None, pointer, pointer),
        ("TF_DeleteSession", None, pointer, pointer),
        ("TF_GraphOperationByName", pointer, pointer, text),
        ("TF_AllocateTensor", pointer, number, pointer, number, size),
        ("TF_TensorFromProto", None, pointer, pointer, pointer),
        ("TF_DeleteTensor", None, pointer),
        ("TF_TensorType", number, pointer),
        ("TF_NumDims", number, pointer),
        ("TF_Dim", ctypes.c_int64, pointer, number),
        ("TF_TensorByteSize", size, pointer),
        ("TF_TensorData", pointer, pointer),
        ("TF_StringGetDataPointer", pointer, pointer),
        ("TF_StringGetSize", size, pointer),
        ("TF_SessionRun", None, *(pointer,) * 4, number, pointer, pointer, number, pointer, number, pointer, pointer),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    # A Python that has imported tensorflow_text has loaded these files already; a second load changes nothing.
    folder = _package("tensorflow_text") / "python"
    with checked(lib) as status:
        for path in sorted([*folder.glob("ops/_*.so"), *folder.glob("metrics/_*.so")]):
            lib.TF_LoadLibrary(str(path).encode(), status)
            _check(lib, status)
    return lib


@contextlib.contextmanager
def checked(lib: ctypes.CDLL) -> Iterator[int]:
    """Gives a status to pass to a C function; what it holds at the end is raised unless it is OK."""
    status = lib.TF_NewStatus()
    try:
        yield status
        _check(lib, status)
    finally:
        lib.TF_DeleteStatus(status)


def _check(lib: ctypes.CDLL, status: int) -> None:
    code = lib.TF_GetCode(status)
    if code:
        raise SessionError(code, lib.TF_Message(status).decode("utf-8", "replace"))


def version() -> str:
    """Gives the version of the C++ library."""
    return library().TF_Version().decode()


def disable_xla() -> None:
    """Switches XLA compilation off for good in this process, as a stock TensorFlow Serving does at its start."""
    library()._ZN10tensorflow21DisableXlaCompilationEv()


def numpy_type(dtype: str) -> np.dtype:
    if dtype == "bfloat16":
        import ml_dtypes  # NumPy has no such type of its own

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(object if dtype == "string" else dtype)


def as_array(value, dtype: str) -> np.ndarray:
    """Turns a feed into an array.

    Args:
        value: an array or a (nested) list. For `string`: bytes, or str, which is taken as UTF-8.
        dtype: the signature's type; an array of another type keeps its own, for TensorFlow to judge.

    Returns:
        The array; strings as objects of type bytes.

    Raises:
        SessionError: ragged lists, or values that are not of the type.
    """
    try:
        if isinstance(value, np.ndarray) and value.dtype.kind not in "OSU":
            return value
        # dtype=object: NumPy's own bytes type drops NULs at the end.
        array = np.asarray(value, dtype=object)
        if dtype != "string":
            if any(isinstance(item, str | bytes) for item in array.reshape(-1)):
                raise TypeError("found strings")
            return array.astype(numpy_type(dtype))
        flat = [item.encode(errors="surrogateescape") if isinstance(item, str) else item for item in array.reshape(-1)]
        for item in flat:
            if not isinstance(item, bytes):
                raise TypeError(f"found {type(item).__name__}")
        strings = np.empty(len(flat), dtype=object)
        strings[:] = flat
        return strings.reshape(array.shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise SessionError(INVALID_ARGUMENT, f"expected values of type {dtype}: {error}") from None


def tensor_from_proto(lib: ctypes.CDLL, proto: bytes) -> int:
    tensor = lib.TF_AllocateTensor(1, None, 0, 4)
    buffer = lib.TF_NewBufferFromString(proto, len(proto))
    try:
        with checked(lib) as status:
            lib.TF_TensorFromProto(buffer, tensor, status)
    except SessionError:
        lib.TF_DeleteTensor(tensor)
        raise
    finally:
        lib.TF_DeleteBuffer(buffer)
    return tensor


def new_tensor(lib: ctypes.CDLL, array: np.ndarray) -> int:
    if array.dtype == object:
        # Through a TensorProto: the C++ side then owns the strings, and frees them whenever the last holder is done.
        shape = messages().Shape(dim=[{"size": size} for size in array.shape])
        proto = messages().Tensor(dtype=_STRING, shape=shape, string_val=array.reshape(-1).tolist())
        return tensor_from_proto(lib, proto.SerializeToString())
    number = next((number for number, name in DTYPES.items() if name == array.dtype.name), None)
    if number is None:
        raise SessionError(INVALID_ARGUMENT, f"TensorFlow has no type for an array of {array.dtype}")
    array = np.ascontiguousarray(array).reshape(array.shape)
    dims = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = lib.TF_AllocateTensor(number, dims, array.ndim, array.nbytes)
    ctypes.memmove(lib.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
    return tensor


def read_tensor(lib: ctypes.CDLL, tensor: int) -> np.ndarray:
    dtype = DTYPES.get(lib.TF_TensorType(tensor), "resource")
    if dtype in ("resource", "variant"):
        raise SessionError(INVALID_ARGUMENT, f"an output of type {dtype} cannot be read")
    shape = tuple(lib.TF_Dim(tensor, axis) for axis in range(lib.TF_NumDims(tensor)))
    try:
        array = np.empty(shape, numpy_type(dtype))
    except ValueError as error:  # more dimensions than NumPy's 64
        raise SessionError(INVALID_ARGUMENT, f"an output of shape {shape} cannot be read: {error}") from None
    if not array.size:
        return array  # a tensor without elements may have no memory, and TF_TensorData fails on it
    data = lib.TF_TensorData(tensor)
    if dtype == "string":
        flat = np.empty(array.size, dtype=object)
        for index in range(array.size):
            item = data + index * _STRING_BYTES
            flat[index] = ctypes.string_at(lib.TF_StringGetDataPointer(item), lib.TF_StringGetSize(item))
        return flat.reshape(shape)
    ctypes.memmove(array.ctypes.data, data, array.nbytes)
    return array
