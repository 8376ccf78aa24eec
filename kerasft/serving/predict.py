"""Predict: any signature, tensors in, tensors out (servables/tensorflow/predict_util.cc)."""

from collections.abc import Collection, Sequence

from kerasft.serving.arrays import to_proto
from kerasft.serving.loaded import CLASSIFY, PREDICT, REGRESS, LoadedVersion, Plan, signature_name
from kerasft.serving.protos import meta_graph_pb2, model_pb2, predict_pb2
from kerasft.serving.status import INTERNAL, INVALID_ARGUMENT, ServingError


def predict(models, request: predict_pb2.PredictRequest, run=None) -> predict_pb2.PredictResponse:
    """Answers one request.

    Args:
        models: what is served; `lease(model_spec)` gives the version, `run` the arrays.
        request: TensorFlow Serving's message.
        run: instead of `models.run`.

    Returns:
        Each output asked for (all of them by default) as a TensorProto, and which version answered.

    Raises:
        ServingError: codes and words of TensorFlow Serving.
    """
    if not request.HasField("model_spec"):
        raise ServingError(INVALID_ARGUMENT, "Missing ModelSpec")
    with models.lease(request.model_spec) as loaded:
        name = signature_name(request.model_spec)
        plan = loaded.plan(name)
        signature = loaded.signatures[name]
        _check_method(loaded, signature)
        feeds = _feeds(plan, signature, request.inputs)
        outputs = _wanted(plan, request.output_filter)
        arrays = (run or models.run)(loaded, name, feeds, outputs)
        response = predict_pb2.PredictResponse()
        fill_model_spec(response.model_spec, request.model_spec, loaded)
        for alias in outputs:
            to_proto(arrays[alias], response.outputs[alias])
        return response


def fill_model_spec(answer: model_pb2.ModelSpec, asked: model_pb2.ModelSpec, loaded: LoadedVersion) -> None:
    """Says in a reply which model, version and signature gave it (`MakeModelSpec` in servables/tensorflow/util.cc)."""
    answer.name = asked.name
    answer.signature_name = signature_name(asked)
    answer.version.value = loaded.version


def _check_method(loaded: LoadedVersion, signature: meta_graph_pb2.SignatureDef) -> None:
    if loaded.check_method_names and signature.method_name not in (PREDICT, CLASSIFY, REGRESS):
        words = f"Expected prediction signature method_name to be one of {{{PREDICT}, {CLASSIFY}, {REGRESS}}}."
        raise ServingError(INTERNAL, f"{words} Was: {signature.method_name}")


def _joined(names: Collection[str]) -> str:
    return ",".join(sorted(names))


def _feeds(plan: Plan, signature: meta_graph_pb2.SignatureDef, inputs) -> dict:
    """Takes the request's tensors, and the signature's defaults for what is missing.

    The checks and their words are `VerifyRequestInputsSize` and `saved_model::GetInputValues`
    (tensorflow/cc/saved_model/util.cc).
    """
    given, expected = set(inputs), set(plan.inputs)
    if given == expected:
        return {alias: inputs[alias] for alias in plan.inputs}
    if len(given) > len(expected) or (len(given) < len(expected) and not plan.defaults):
        raise ServingError(
            INVALID_ARGUMENT,
            f"input size does not match signature: {len(given)}!={len(expected)} "
            f"len({{{_joined(given)}}}) != len({{{_joined(expected)}}}). "
            f"Sent extra: {{{_joined(given - expected)}}}. Missing but required: {{{_joined(expected - given)}}}.",
        )
    for alias in sorted(expected - given - set(plan.defaults)):
        raise ServingError(
            INVALID_ARGUMENT,
            f"Signature input alias: {alias}(feed name: {plan.inputs[alias]}) not found in request and no default "
            f"value provided. Inputs expected to be in the request {{{_joined(given)}}}, or default input alias set: "
            f"{_joined(plan.defaults)}",
        )
    if given - expected:
        words = f"Used request inputs: {_joined(given & expected)}, request input: {_joined(given)}"
        raise ServingError(INVALID_ARGUMENT, f"Inputs contains invalid name. {words}")
    return {alias: inputs[alias] if alias in given else signature.defaults[alias] for alias in plan.inputs}


def _wanted(plan: Plan, output_filter: Sequence[str]) -> list[str]:
    if not output_filter:
        return list(plan.outputs)
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in plan.outputs:
            raise ServingError(
                INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{_joined(plan.outputs)}}}.",
            )
        if alias in seen:
            raise ServingError(INVALID_ARGUMENT, f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(output_filter)
