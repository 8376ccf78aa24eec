"""Regress: tf.Examples in, one number for each out (servables/tensorflow/regressor.cc)."""

import numpy as np

from kerasft.serving.arrays import shape_text, type_name
from kerasft.serving.classify import INPUTS, named_signature, serialized_examples
from kerasft.serving.loaded import REGRESS, LoadedVersion, signature_name
from kerasft.serving.predict import fill_model_spec
from kerasft.serving.protos import meta_graph_pb2, regression_pb2
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

OUTPUTS = "outputs"


def regress(models, request: regression_pb2.RegressionRequest, run=None) -> regression_pb2.RegressionResponse:
    """Answers one request.

    Args:
        models: what is served; `lease(model_spec)` gives the version, `run` the arrays.
        request: TensorFlow Serving's message.
        run: instead of `models.run`.

    Returns:
        One value for each Example.

    Raises:
        ServingError: codes and words of TensorFlow Serving.
    """
    if not request.HasField("model_spec"):
        raise ServingError(INVALID_ARGUMENT, "Missing ModelSpec")
    with models.lease(request.model_spec) as loaded:
        name = signature_name(request.model_spec)
        check_regression(loaded, named_signature(loaded, name))
        examples = serialized_examples(request.input)
        arrays = (run or models.run)(loaded, name, {INPUTS: examples}, [OUTPUTS])
        response = regression_pb2.RegressionResponse()
        fill_model_spec(response.model_spec, request.model_spec, loaded)
        fill_regressions(response.result, len(examples), arrays[OUTPUTS])
        return response


def check_regression(loaded: LoadedVersion, signature: meta_graph_pb2.SignatureDef) -> None:
    """Checks that a signature regresses (`PreProcessRegression`)."""
    words = None
    if loaded.check_method_names and signature.method_name != REGRESS:
        words = f"Expected regression signature method_name to be {REGRESS}. Was: {signature.method_name}"
    elif len(signature.inputs) != 1:
        words = "Expected one input Tensor."
    elif len(signature.outputs) != 1:
        words = "Expected one output Tensor."
    elif INPUTS not in signature.inputs:
        words = f"No regression inputs found in SignatureDef: {signature}"
    elif OUTPUTS not in signature.outputs:
        words = f"No regression outputs found in SignatureDef: {signature}"
    if words:
        raise ServingError(INVALID_ARGUMENT, words)


def fill_regressions(result: regression_pb2.RegressionResult, examples: int, output: np.ndarray) -> None:
    """Checks a model's answer and writes it into the reply.

    Args:
        result: the reply's part, empty.
        examples: how many there were.
        output: float32 [n] or [n, 1].

    Raises:
        ServingError: the array is not one number for each Example.
    """
    words = None
    if output.ndim != 1 and not (output.ndim == 2 and output.shape[1] == 1):
        words = (
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shape_text(output)}"
        )
    elif len(output) != examples:
        words = f"Input batch size did not match output batch size: {examples} vs. {len(output)}"
    elif type_name(output) != "DT_FLOAT":
        words = f"Expected output Tensor of DT_FLOAT.  Got: {type_name(output)}"
    if words:
        raise ServingError(INVALID_ARGUMENT, words)
    for value in output.reshape(-1).tolist():
        result.regressions.add(value=value)
