"""MultiInference: several Classify and Regress signatures on the same Examples in one run of the graph.

Source: servables/tensorflow/multi_inference.cc, multi_inference_helper.cc.
"""

from kerasft.serving.classify import (
    INPUTS,
    classification_outputs,
    fill_classifications,
    serialized_examples,
)
from kerasft.serving.loaded import CLASSIFY, REGRESS, LoadedVersion, signature_name
from kerasft.serving.predict import fill_model_spec
from kerasft.serving.protos import inference_pb2, model_pb2
from kerasft.serving.regress import OUTPUTS, check_regression, fill_regressions
from kerasft.serving.status import INVALID_ARGUMENT, UNIMPLEMENTED, ServingError


def multi_inference(models, request: inference_pb2.MultiInferenceRequest, run=None):
    """Answers one request. The version is the one that the first task asks for.

    Args:
        models: what is served; `lease(model_spec)` gives the version.
        request: TensorFlow Serving's message.
        run: not used: the run is of several signatures at once, which no batch can join.

    Returns:
        A MultiInferenceResponse, one result for each task.

    Raises:
        ServingError: codes and words of TensorFlow Serving.
    """
    asked = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
    with models.lease(asked) as loaded:
        tensor, outputs = _prepare(loaded, request)
        examples = serialized_examples(request.input)
        names = sorted({name for task in outputs for name in task.values()})
        found = loaded.fetch([(tensor, examples)], names)
        response = inference_pb2.MultiInferenceResponse()
        for task, wanted in zip(request.tasks, outputs, strict=True):
            result = response.results.add()
            fill_model_spec(result.model_spec, task.model_spec, loaded)
            arrays = {alias: found[name] for alias, name in wanted.items()}
            if task.method_name == CLASSIFY:
                fill_classifications(result.classification_result, len(examples), arrays)
            else:
                fill_regressions(result.regression_result, len(examples), arrays[OUTPUTS])
        return response


def _prepare(loaded: LoadedVersion, request: inference_pb2.MultiInferenceRequest) -> tuple[str, list[dict[str, str]]]:
    """Checks the tasks. Gives the input's tensor, and for each task alias -> tensor of its outputs."""
    seen: set[str] = set()
    inputs: set[str] = set()
    outputs = []
    for task in request.tasks:
        name = signature_name(task.model_spec)
        words = None
        if not task.model_spec.name:
            words = "Found ModelSpec with an empty model name."
        elif task.model_spec.name != request.tasks[0].model_spec.name:
            words = "All ModelSpecs in a MultiInferenceRequest must access the same model name."
        elif name in seen:
            words = f"Duplicate evaluation of signature: {name}"
        elif name not in loaded.signatures:
            words = f"Requested signature not found in model graph: {name}"
        if words:
            raise ServingError(INVALID_ARGUMENT, words)
        seen.add(name)
        signature, plan = loaded.signatures[name], loaded.plan(name)
        if task.method_name == CLASSIFY:
            wanted = classification_outputs(loaded, signature)
        elif task.method_name == REGRESS:
            check_regression(loaded, signature)
            wanted = [OUTPUTS]
        else:
            raise ServingError(UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        inputs.add(plan.inputs[INPUTS])
        if len(inputs) > 1:
            raise ServingError(INVALID_ARGUMENT, "Input tensor must be the same for all Signatures.")
        outputs.append({alias: plan.outputs[alias] for alias in wanted})
    return inputs.pop(), outputs
