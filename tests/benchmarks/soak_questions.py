"""What the soak asks, ready to be sent, and how each answer is judged."""

import base64
import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasft.serving.arrays import from_proto, to_proto
from kerasft.serving.protos import classification_pb2, model_pb2, predict_pb2, regression_pb2, tensor_pb2
from tests.serving.half_plus import FLOAT, half_plus_graph, tf1_signatures, write_saved_model

LATEST, LABELLED, LABEL = "latest", "labelled", "stable"
PREDICTION = "/tensorflow.serving.PredictionService"
TOLERANCE = 1e-5
TEXTS = 60
ROWS = 4


class WrongAnswerError(Exception):
    """An answer that the version it says it came from does not give."""


@dataclass(frozen=True)
class Question:
    """One request.

    Attributes:
        model: `LATEST`, or `LABELLED`, which is asked by its label.
        path: the gRPC method; "" over REST.
        data: the message, or the whole HTTP request.
        judge: reads an answer's body; gives the version that answered, None where an answer does not tell.
    """

    model: str
    path: str
    data: bytes
    judge: Callable[[bytes], int | None]


def write_tiny(version: int, folder: Path) -> None:
    """A version whose answers name it: y = x / 2 + version."""
    write_saved_model(folder, half_plus_graph(float(version)), tf1_signatures())


def tiny_questions(seed: int) -> list[Question]:
    """All methods over both protocols, in a random order. Every number in them and in their answers is exact."""
    draw = random.Random(seed)
    made = []
    for model in (LATEST, LATEST, LABELLED):
        for _ in range(20):
            xs = [draw.randint(-100, 100) / 2 for _ in range(draw.randint(1, ROWS))]
            made += [_grpc_predict(model, xs), *_grpc_examples(model, xs), *_rest_numbers(model, xs)]
    draw.shuffle(made)
    return made


def export_questions(export: Path, starter: Path, seed: int) -> tuple[list[Question], dict[str, dict]]:
    """Predict over both protocols with a real model's texts, judged by the session in this process.

    Args:
        export: a version folder whose `serving_default` has one input, texts.
        starter: a CSV file with a column `text`.
        seed: of the texts.

    Returns:
        The questions, and the answers expected: text -> alias -> value.
    """
    from kerasft.export.session import Session
    from kerasft.serving.quiet import hush

    hush()
    with open(starter, newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    draw = random.Random(seed)
    texts = [*draw.sample(texts, TEXTS - 3), "", 'Kein Spaß, 無聊 😀 "\\', "very " * 40 + "long"]
    with Session(export) as session:
        ((alias, info),) = session.signatures["serving_default"].inputs.items()
        if info.dtype != "string":
            raise SystemExit(f"{export}: expected one input of texts, found {alias} of {info.dtype}.")
        found = {text: session.run("serving_default", {alias: [text]}) for text in texts}
    expected = {text: {key: value[0] for key, value in answer.items()} for text, answer in found.items()}
    made = []
    for model in (LATEST, LATEST, LABELLED):
        for text in texts:
            rows = [text, *draw.sample(texts, draw.choice((0, 0, 1, ROWS - 1)))]
            made += [_grpc_texts(model, alias, rows, expected), _rest_texts(model, rows, expected)]
    draw.shuffle(made)
    return made, expected


def _spec(model: str, signature: str = "") -> model_pb2.ModelSpec:
    label = {"version_label": LABEL} if model == LABELLED else {}
    return model_pb2.ModelSpec(name=model, signature_name=signature, **label)


def _post(model: str, method: str, document: dict) -> bytes:
    body = json.dumps(document).encode()
    name = f"{LABELLED}/labels/{LABEL}" if model == LABELLED else model
    head = f"POST /v1/models/{name}:{method} HTTP/1.1\r\nHost: soak\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _version_of(values: list[float], xs: list[float]) -> int:
    """Which version gives these answers; all of them must be of the same."""
    found = {value - x / 2 for value, x in zip(values, xs, strict=True)}
    if len(found) != 1 or not found.copy().pop().is_integer():
        raise WrongAnswerError(f"{values} for {xs}")
    return int(found.pop())


def _said(said: int, values: list[float], xs: list[float]) -> int:
    if len(values) != len(xs) or _version_of(values, xs) != said:
        raise WrongAnswerError(f"{values} for {xs} from version {said}")
    return said


def _grpc_predict(model: str, xs: list[float]) -> Question:
    request = predict_pb2.PredictRequest(model_spec=_spec(model))
    request.inputs["x"].CopyFrom(tensor_pb2.TensorProto(dtype=FLOAT, float_val=xs))
    request.inputs["x"].tensor_shape.dim.add(size=len(xs))

    def judge(answer: bytes) -> int:
        found = predict_pb2.PredictResponse.FromString(answer)
        return _said(found.model_spec.version.value, list(found.outputs["y"].float_val), xs)

    return Question(model, f"{PREDICTION}/Predict", request.SerializeToString(), judge)


def _grpc_examples(model: str, xs: list[float]) -> list[Question]:
    regression = regression_pb2.RegressionRequest(model_spec=_spec(model, "regress_x_to_y"))
    for x in xs:
        added = regression.input.example_list.examples.add()
        added.features.feature["x"].float_list.value.append(x)
    classification = classification_pb2.ClassificationRequest(
        model_spec=_spec(model, "classify_x_to_y"), input=regression.input
    )

    def judge_regression(answer: bytes) -> int:
        found = regression_pb2.RegressionResponse.FromString(answer)
        values = [one.value for one in found.result.regressions]
        return _said(found.model_spec.version.value, values, xs)

    def judge_classification(answer: bytes) -> int:
        found = classification_pb2.ClassificationResponse.FromString(answer)
        values = [one.classes[0].score for one in found.result.classifications]
        return _said(found.model_spec.version.value, values, xs)

    return [
        Question(model, f"{PREDICTION}/Regress", regression.SerializeToString(), judge_regression),
        Question(model, f"{PREDICTION}/Classify", classification.SerializeToString(), judge_classification),
    ]


def _rest_numbers(model: str, xs: list[float]) -> list[Question]:
    def judged_by(read: Callable[[dict], list[float]]) -> Callable[[bytes], int]:
        return lambda answer: _version_of(read(json.loads(answer)), xs)

    examples = [{"x": x} for x in xs]
    return [
        Question(model, "", _post(model, method, document), judged_by(read))
        for method, document, read in (
            ("predict", {"instances": xs}, lambda found: found["predictions"]),
            ("predict", {"inputs": {"x": xs}}, lambda found: found["outputs"]),
            ("regress", {"signature_name": "regress_x_to_y", "examples": examples}, lambda found: found["results"]),
            (
                "classify",
                {"signature_name": "classify_x_to_y", "examples": examples},
                lambda found: [score for ((_, score),) in found["results"]],
            ),
        )
    ]


def _grpc_texts(model: str, alias: str, rows: list[str], expected: dict[str, dict]) -> Question:
    request = predict_pb2.PredictRequest(model_spec=_spec(model))
    array = np.empty(len(rows), dtype=object)
    array[:] = [row.encode() for row in rows]
    to_proto(array, request.inputs[alias])

    def judge(answer: bytes) -> int:
        found = predict_pb2.PredictResponse.FromString(answer)
        arrays = {key: from_proto(tensor, key) for key, tensor in found.outputs.items()}
        for number, text in enumerate(rows):
            same_values(expected[text], {key: array[number] for key, array in arrays.items()}, text)
        return found.model_spec.version.value

    return Question(model, f"{PREDICTION}/Predict", request.SerializeToString(), judge)


def _rest_texts(model: str, rows: list[str], expected: dict[str, dict]) -> Question:
    def judge(answer: bytes) -> None:
        for text, found in zip(rows, json.loads(answer)["predictions"], strict=True):
            # A signature with one output only is answered without its name.
            named = found if isinstance(found, dict) and "b64" not in found else {next(iter(expected[text])): found}
            same_values(expected[text], named, text)

    return Question(model, "", _post(model, "predict", {"instances": rows}), judge)


def same_values(expected: dict, found: dict, text: str) -> None:
    """Compares one row's outputs, strings to the byte and numbers to `TOLERANCE`.

    Raises:
        WrongAnswerError: they differ.
    """
    if set(expected) != set(found):
        raise WrongAnswerError(f"outputs {sorted(found)} for {text!r}")
    for alias, value in expected.items():
        wanted, given = np.asarray(value), np.asarray(_as_bytes(found[alias]))
        is_text = wanted.dtype.kind in "OSU"
        same = wanted.shape == given.shape and (
            wanted.tolist() == given.tolist() if is_text else np.allclose(wanted, given, rtol=0, atol=TOLERANCE)
        )
        if not same:
            raise WrongAnswerError(f"{alias} is {given.tolist()}, not {wanted.tolist()}, for {text!r}")


def _as_bytes(value):
    """JSON's texts as the session gives them; what is from gRPC stays as it is."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return [_as_bytes(each) for each in value] if isinstance(value, list) else value
