"""The shapes that TensorFlow Serving's Predict, Classify and Regress APIs ask of a signature.

As in tensorflow_serving/servables/tensorflow/{classifier,regressor}.cc. Method names are not checked (since 2.4),
and the batcher joins requests along the first dimension of every input.
"""

from kerasft.export.session import Signature

OK, FAILED, NOTE = "ok", "failed", "note"


def judge(signature: Signature, strict: bool) -> list[tuple[str, str]]:
    """Judges one signature by its declared shapes.

    Args:
        signature: from the SavedModel.
        strict: hold it to kerasft's own rule as well, that every input is of rank 1.

    Returns:
        Pairs of status (`OK`, `FAILED`, `NOTE`) and what was found.
    """
    found = []
    for alias, info in signature.inputs.items():
        if not info.shape or info.shape[0] is not None:
            shape = "of unknown rank" if info.shape is None else f"of shape {list(info.shape)}"
            found.append((FAILED, f"input {alias} is {shape}: without an open batch dimension"))
        elif len(info.shape) != 1:
            detail = f"input {alias} has rank {len(info.shape)}; requests are simplest with rank 1"
            found.append((FAILED if strict else NOTE, detail))
    # A signature that names its one input `inputs`, and its outputs like this, can only mean these two APIs.
    alone, outputs = set(signature.inputs) == {"inputs"}, set(signature.outputs)
    if signature.method_name.endswith("/classify") or (alone and outputs <= {"classes", "scores"}):
        found += [(FAILED, f"Classify API: {problem}") for problem in _classify_problems(signature)]
    elif signature.method_name.endswith("/regress") or (alone and outputs == {"outputs"}):
        found += [(FAILED, f"Regress API: {problem}") for problem in _regress_problems(signature)]
    if all(status != FAILED for status, _ in found):
        inputs = ", ".join(f"{alias} {info.dtype}" for alias, info in signature.inputs.items()) or "nothing"
        found.insert(0, (OK, f"{inputs} -> {', '.join(sorted(outputs))}"))
    return found


def _input_problems(signature: Signature) -> list[str]:
    if set(signature.inputs) != {"inputs"}:
        return [f"the one input must be named inputs; found {', '.join(sorted(signature.inputs)) or 'none'}"]
    if signature.inputs["inputs"].dtype != "string":
        return [f"inputs must be string (serialized tf.Example); found {signature.inputs['inputs'].dtype}"]
    return []


def _classify_problems(signature: Signature) -> list[str]:
    problems = _input_problems(signature)
    if not {"classes", "scores"} & set(signature.outputs):
        problems.append("needs an output classes or scores")
    for alias, dtype in (("classes", "string"), ("scores", "float32")):
        info = signature.outputs.get(alias)
        if info and (info.dtype != dtype or (info.shape is not None and len(info.shape) != 2)):
            shape = "unknown" if info.shape is None else list(info.shape)
            problems.append(f"{alias} must be {dtype} [batch, classes]; found {info.dtype} {shape}")
    return problems


def _regress_problems(signature: Signature) -> list[str]:
    problems, info = _input_problems(signature), signature.outputs.get("outputs")
    if info is None:
        return [*problems, "needs an output named outputs"]
    flat = info.shape is None or len(info.shape) == 1 or (len(info.shape) == 2 and info.shape[1] == 1)
    if info.dtype != "float32" or not flat:
        problems.append(f"outputs must be float32 [batch] or [batch, 1]; found {info.dtype} {list(info.shape or [])}")
    return problems
