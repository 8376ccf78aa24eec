"""TensorFlow Serving's messages and gRPC stubs, had without importing TensorFlow.

The generated files of `tensorflow-serving-api` begin with `from tensorflow.core.… import …`, and Python imports a
package before what lies in it: seconds, hundreds of megabytes, and a second copy of the runtime's settings. The
generated files need no more of `tensorflow` than the folder they lie in. So this module has one deliberate side effect:
while it is imported, and only if TensorFlow is not imported already, an empty package with TensorFlow's folder stands
in `sys.modules` as `tensorflow`. It is taken out again at the end, so that a later `import tensorflow` gives the whole
of TensorFlow, which then finds these very message classes.

Messages are therefore imported from here, never from `tensorflow.core` or `tensorflow_serving` themselves.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

from kerasft.errors import KerasftError


def _folders(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise KerasftError(
            f"Serving needs the package {package}, not installed here. Run: pip install {package.replace('_', '-')}"
        )
    return list(spec.submodule_search_locations)


@contextlib.contextmanager
def _bare_tensorflow() -> Iterator[None]:
    if "tensorflow" in sys.modules:
        yield
        return
    bare = ModuleType("tensorflow")
    bare.__path__ = _folders("tensorflow")
    sys.modules["tensorflow"] = bare
    try:
        yield
    finally:
        if sys.modules.get("tensorflow") is bare:
            del sys.modules["tensorflow"]


_folders("tensorflow_serving")
with _bare_tensorflow():
    from tensorflow.core.example import example_pb2, feature_pb2
    from tensorflow.core.framework import graph_pb2, node_def_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow.core.protobuf import error_codes_pb2 as error_codes
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        model_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_log_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
        session_service_pb2,
        status_pb2,
    )
    from tensorflow_serving.config import (
        file_system_storage_path_source_pb2,
        model_server_config_pb2,
    )

__all__ = [
    "classification_pb2",
    "error_codes",
    "example_pb2",
    "feature_pb2",
    "file_system_storage_path_source_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "graph_pb2",
    "inference_pb2",
    "input_pb2",
    "meta_graph_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2_grpc",
    "node_def_pb2",
    "predict_pb2",
    "prediction_log_pb2",
    "prediction_service_pb2_grpc",
    "regression_pb2",
    "saved_model_pb2",
    "session_service_pb2",
    "status_pb2",
    "tensor_pb2",
    "tensor_shape_pb2",
    "types_pb2",
]
