"""Classify: tf.Examples in, classes and scores out (servables/tensorflow/classifier.cc, util.cc)."""

from collections.abc import Mapping

import numpy as np

from kerasft.serving.arrays import shape_text, type_name
from kerasft.serving.loaded import CLASSIFY, LoadedVersion, signature_name
from kerasft.serving.predict import fill_model_spec
from kerasft.serving.protos import classification_pb2, input_pb2, meta_graph_pb2
from kerasft.serving.status import INVALID_ARGUMENT, ServingError

INPUTS, CLASSES, SCORES = "inputs", "classes", "scores"


def classify(models, request: classification_pb2.ClassificationRequest, run=None):
    """Answers one request.

    Args:
        models: what is served; `lease(model_spec)` gives the version, `run` the arrays.
        request: TensorFlow Serving's message.
        run: instead of `models.run`.

    Returns:
        A ClassificationResponse: for each Example its classes, each with a label, a score or both.

    Raises:
        ServingError: codes and words of TensorFlow Serving.
    """
    if not request.HasField("model_spec"):
        raise ServingError(INVALID_ARGUMENT, "Missing ModelSpec")
    with models.lease(request.model_spec) as loaded:
        name = signature_name(request.model_spec)
        outputs = classification_outputs(loaded, named_signature(loaded, name))
        examples = serialized_examples(request.input)
        arrays = (run or models.run)(loaded, name, {INPUTS: examples}, outputs)
        response = classification_pb2.ClassificationResponse()
        fill_model_spec(response.model_spec, request.model_spec, loaded)
        fill_classifications(response.result, len(examples), arrays)
        return response


def named_signature(loaded: LoadedVersion, name: str) -> meta_graph_pb2.SignatureDef:
    """Finds a signature for Classify or Regress, which have other words than Predict when there is none."""
    if name not in loaded.signatures:
        raise ServingError(INVALID_ARGUMENT, f"No signature was found with the name: {name}")
    return loaded.signatures[name]


def serialized_examples(asked: input_pb2.Input) -> np.ndarray:
    """Gives the Examples of a request as a model takes them (`InputToSerializedExampleTensor`).

    Args:
        asked: the Examples, with or without a context of features that all of them share.

    Returns:
        Objects of type bytes [n]; two serialized messages one after the other are the two merged.

    Raises:
        ServingError: there are none.
    """
    kind = asked.WhichOneof("kind")
    examples = getattr(asked, kind).examples if kind else ()
    if not examples:
        raise ServingError(INVALID_ARGUMENT, "Input is empty.")
    context = b""
    if kind == "example_list_with_context":
        context = asked.example_list_with_context.context.SerializeToString()
    array = np.empty(len(examples), dtype=object)
    array[:] = [context + example.SerializeToString() for example in examples]
    return array


def classification_outputs(loaded: LoadedVersion, signature: meta_graph_pb2.SignatureDef) -> list[str]:
    """Checks that a signature classifies, and gives which of `classes` and `scores` it has."""
    if loaded.check_method_names and signature.method_name != CLASSIFY:
        words = f"Expected classification signature method_name to be {CLASSIFY}."
        raise ServingError(INVALID_ARGUMENT, f"{words} Was: {signature.method_name}")
    if len(signature.inputs) != 1:
        raise ServingError(INVALID_ARGUMENT, "Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        found = len(signature.outputs)
        raise ServingError(INVALID_ARGUMENT, f"Expected one or two output Tensors, found {found}")
    if INPUTS not in signature.inputs:
        raise ServingError(INVALID_ARGUMENT, f"No classification inputs found in SignatureDef: {signature}")
    outputs = [alias for alias in (CLASSES, SCORES) if alias in signature.outputs]
    if not outputs:
        raise ServingError(
            INVALID_ARGUMENT,
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Signature was: {signature}",
        )
    return outputs


def fill_classifications(
    result: classification_pb2.ClassificationResult, examples: int, arrays: Mapping[str, np.ndarray]
) -> None:
    """Checks a model's answer and writes it into the reply.

    Args:
        result: the reply's part, empty.
        examples: how many there were.
        arrays: `classes`, objects of type bytes [n, k]; `scores`, float32 [n, k]; or one of them.

    Raises:
        ServingError: the arrays are no classification of so many Examples.
    """
    for alias, wanted in ((CLASSES, "DT_STRING"), (SCORES, "DT_FLOAT")):
        if alias in arrays:
            _check_output(alias, arrays[alias], wanted, examples)
    classes, scores = arrays.get(CLASSES), arrays.get(SCORES)
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        words = "Tensors class and score should match in dim_size(1). Got"
        raise ServingError(INVALID_ARGUMENT, f"{words} {classes.shape[1]} vs. {scores.shape[1]}")
    labels = None if classes is None else [[label.decode("utf-8", "replace") for label in row] for row in classes]
    numbers = None if scores is None else scores.tolist()
    for row in range(examples):
        added = result.classifications.add().classes
        if labels is None:
            for score in numbers[row]:
                added.add(score=score)
        elif numbers is None:
            for label in labels[row]:
                added.add(label=label)
        else:
            for label, score in zip(labels[row], numbers[row], strict=True):
                added.add(label=label, score=score)


def _check_output(alias: str, array: np.ndarray, wanted: str, examples: int) -> None:
    if array.ndim != 2:
        words = f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}"
    elif type_name(array) != wanted:
        words = f"Expected {alias} Tensor of {wanted}. Got: {type_name(array)}"
    elif len(array) != examples:
        words = f"Expected {alias} output batch size of {examples}. Got: {len(array)}"
    else:
        return
    raise ServingError(INVALID_ARGUMENT, words)
