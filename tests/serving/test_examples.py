"""Section H of the conformance cases: Classify, Regress and MultiInference over gRPC."""

import numpy as np
import pytest

from kerasft.serving.classify import classify
from kerasft.serving.loaded import CLASSIFY, PREDICT, REGRESS
from kerasft.serving.protos import (
    classification_pb2,
    example_pb2,
    inference_pb2,
    input_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from kerasft.serving.regress import regress
from kerasft.serving.status import ServingError
from tests.serving.half_plus import FLOAT, Graph, info, signature, write_saved_model
from tests.serving.served import refused, served, start_models


@pytest.fixture(scope="module")
def models(half_plus_two, half_plus_two_tf2, half_plus_three, odd):
    models = start_models(
        {"strict"},
        hp2=half_plus_two,
        tf2=half_plus_two_tf2,
        hp3=half_plus_three,
        odd=odd,
        strict=half_plus_two_tf2,
    )
    yield models
    models.close()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Signatures that are none for Classify and Regress, though each runs."""
    base, graph = tmp_path_factory.mktemp("odd"), Graph()
    x = info(graph.placeholder("x", FLOAT), FLOAT, None)
    y = info(graph.half_plus("y", "x", 2.0), FLOAT, None)
    sides = {
        "no_scores": ({"inputs": x}, {"output": y}),
        "two_inputs": ({"inputs": x, "more": x}, {"scores": y}),
        "other_input": ({"text": x}, {"scores": y}),
        "other_input_regress": ({"text": x}, {"outputs": y}),
        "three_outputs": ({"inputs": x}, {"scores": y, "classes": y, "more": y}),
        "both": ({"inputs": x}, {"scores": y, "classes": y}),
        "regress": ({"inputs": x}, {"outputs": y}),
    }
    write_saved_model(base / "00000123", graph, {name: signature(PREDICT, *pair) for name, pair in sides.items()})
    return base


@pytest.fixture(scope="module")
def stub(models):
    with served(models) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def example(**features: float) -> example_pb2.Example:
    made = example_pb2.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def filled(request, name: str, signature_name: str, *examples: example_pb2.Example):
    request.model_spec.name, request.model_spec.signature_name = name, signature_name
    request.input.example_list.examples.extend(examples)
    return request


def classification(name, signature_name, *examples):
    return filled(classification_pb2.ClassificationRequest(), name, signature_name, *examples)


def regression(name, signature_name, *examples):
    return filled(regression_pb2.RegressionRequest(), name, signature_name, *examples)


X2 = example(x=2.0)


@pytest.mark.parametrize("name", [pytest.param("hp2", id="H1-TF1"), pytest.param("tf2", id="H1-TF2")])
def test_answers(stub, name):
    classified = stub.Classify(classification(name, "classify_x_to_y", X2, example(x=20.0)), timeout=30)
    found = [[(one.label, one.score) for one in row.classes] for row in classified.result.classifications]
    assert found == [[("", 3.0)], [("", 12.0)]]
    regressed = stub.Regress(regression(name, "regress_x_to_y", X2, example(x=80.0)), timeout=30)
    assert [one.value for one in regressed.result.regressions] == [3.0, 42.0]
    for answer, signature_name in ((classified, "classify_x_to_y"), (regressed, "regress_x_to_y")):
        spec = answer.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == (name, 123, signature_name)


def test_features_of_a_context_are_shared(stub):
    request = regression("hp2", "regress_x_to_y")
    shared = request.input.example_list_with_context
    shared.context.CopyFrom(X2)
    shared.examples.extend([example(x2=1.0), example(x=80.0)])
    assert [one.value for one in stub.Regress(request, timeout=30).result.regressions] == [3.0, 42.0]


@pytest.mark.parametrize("method", ["Classify", "Regress"])
@pytest.mark.parametrize(
    ("name", "signature_name", "examples", "code", "words"),
    [
        pytest.param("hp2", "x", [X2], "INVALID_ARGUMENT", "No signature was found with the name: x", id="H2"),
        pytest.param("hp2", "", [X2], "INVALID_ARGUMENT", None, id="default-signature-is-for-predict"),
        pytest.param("m", "x", [X2], "NOT_FOUND", "Servable not found for request: Latest(m)", id="unknown-model"),
        pytest.param("odd", "two_inputs", [X2], "INVALID_ARGUMENT", "Expected one input Tensor.", id="two-inputs"),
    ],
)
def test_refusals_of_both(stub, method, name, signature_name, examples, code, words):
    made = classification if method == "Classify" else regression
    found = refused(getattr(stub, method), made(name, signature_name, *examples))
    assert found[0] == code
    if words is None:
        words = f"No {'classification' if method == 'Classify' else 'regression'} inputs found in SignatureDef: inputs"
    assert found[1].startswith(words)


@pytest.mark.parametrize(
    ("method", "request_", "words"),
    [
        pytest.param(
            "Classify",
            classification("odd", "no_scores", X2),
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ",
            id="H4",
        ),
        pytest.param(
            "Classify",
            classification("odd", "three_outputs", X2),
            "Expected one or two output Tensors, found 3",
            id="three-outputs",
        ),
        pytest.param(
            "Classify",
            classification("odd", "other_input", X2),
            "No classification inputs found in SignatureDef: ",
            id="other-input",
        ),
        pytest.param(
            "Regress",
            regression("odd", "other_input_regress", X2),
            "No regression inputs found in SignatureDef: ",
            id="other-input-regress",
        ),
        pytest.param("Regress", regression("odd", "both", X2), "Expected one output Tensor.", id="two-outputs"),
        pytest.param(
            "Regress", regression("odd", "no_scores", X2), "No regression outputs found in SignatureDef: ", id="H9-name"
        ),
        pytest.param("Classify", classification("hp2", "classify_x_to_y"), "Input is empty.", id="no-examples"),
        pytest.param("Regress", regression("hp2", "regress_x_to_y"), "Input is empty.", id="no-examples-regress"),
        pytest.param(
            "Regress",
            regression("hp3", REGRESS, X2),
            "Expects arg[0] to be float but string is provided",
            id="floats-for-examples",
        ),
        pytest.param(
            "Classify",
            classification("hp2", "classify_x_to_y", example(x2=1.0)),
            "Feature: x (data type: float) is required but could not be found.",
            id="feature-missing",
        ),
        pytest.param(
            "Classify",
            classification("strict", "classify_x_to_y", X2),
            f"Expected classification signature method_name to be {CLASSIFY}. Was: {PREDICT}",
            id="method-checked",
        ),
        pytest.param(
            "Regress",
            regression("strict", "regress_x_to_y", X2),
            f"Expected regression signature method_name to be {REGRESS}. Was: {PREDICT}",
            id="method-checked-regress",
        ),
    ],
)
def test_refusals(stub, method, request_, words):
    code, found = refused(getattr(stub, method), request_)
    assert code == "INVALID_ARGUMENT"
    assert words in found


@pytest.mark.parametrize("request_", [classification_pb2.ClassificationRequest(), regression_pb2.RegressionRequest()])
def test_a_request_without_a_model_spec(stub, request_):
    call = stub.Classify if isinstance(request_, classification_pb2.ClassificationRequest) else stub.Regress
    assert refused(call, request_) == ("INVALID_ARGUMENT", "Missing ModelSpec")


def texts(*rows):
    array = np.empty((len(rows), len(rows[0])), dtype=object)
    array[:] = rows
    return array


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        pytest.param({"classes": ones(2, 3)}, "Expected classes Tensor of DT_STRING. Got: DT_FLOAT", id="H5-classes"),
        pytest.param(
            {"scores": ones(2, 3, dtype=np.int32)}, "Expected scores Tensor of DT_FLOAT. Got: DT_INT32", id="H5-scores"
        ),
        pytest.param({"scores": ones(3, 3)}, "Expected scores output batch size of 2. Got: 3", id="H6"),
        pytest.param(
            {"classes": texts([b"a"], [b"b"])[:, 0]},
            "Expected Tensor shape: [batch_size num_classes] but got [2]",
            id="H8",
        ),
        pytest.param(
            {"scores": ones(2, 1, 1)}, "Expected Tensor shape: [batch_size num_classes] but got [2,1,1]", id="H8-scores"
        ),
        pytest.param(
            {"classes": texts([b"a"], [b"b"]), "scores": ones(2, 2)},
            "Tensors class and score should match in dim_size(1). Got 1 vs. 2",
            id="classes-and-scores-differ",
        ),
    ],
)
def test_what_is_no_classification(models, arrays, words):
    request = classification("hp2", "classify_x_to_y", X2, X2)
    with pytest.raises(ServingError) as found:
        classify(models, request, run=lambda *_: arrays)
    assert (found.value.code, found.value.message) == (3, words)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        pytest.param(ones(2, dtype=np.int64), "Expected output Tensor of DT_FLOAT.  Got: DT_INT64", id="H9-type"),
        pytest.param(ones(3), "Input batch size did not match output batch size: 2 vs. 3", id="H9-size"),
        pytest.param(
            ones(2, 2),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
            id="H9-shape",
        ),
        pytest.param(
            ones(),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
            id="H9-scalar",
        ),
    ],
)
def test_what_is_no_regression(models, output, words):
    with pytest.raises(ServingError) as found:
        regress(models, regression("hp2", "regress_x_to_y", X2, X2), run=lambda *_: {"outputs": output})
    assert (found.value.code, found.value.message) == (3, words)


def test_labels_and_scores_side_by_side(models):
    arrays = {"classes": texts([b"car", b"bus"]), "scores": np.array([[0.25, 0.75]], np.float32)}
    found = classify(models, classification("hp2", "classify_x_to_y", X2), run=lambda *_: arrays)
    assert [(one.label, one.score) for one in found.result.classifications[0].classes] == [("car", 0.25), ("bus", 0.75)]
    found = classify(models, classification("hp2", "classify_x_to_y", X2), run=lambda *_: {"classes": texts([b"a"])})
    assert [(one.label, one.score) for one in found.result.classifications[0].classes] == [("a", 0.0)]


def tasks(*asked: tuple[str, str, str]) -> inference_pb2.MultiInferenceRequest:
    request = inference_pb2.MultiInferenceRequest(input=input_pb2.Input())
    request.input.example_list.examples.append(X2)
    for method, name, signature_name in asked:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = name, signature_name
    return request


def test_h10_several_signatures_in_one_request(stub):
    request = tasks(
        (REGRESS, "hp2", "regress_x_to_y"), (CLASSIFY, "hp2", "classify_x_to_y"), (REGRESS, "hp2", "regress_x_to_y2")
    )
    results = stub.MultiInference(request, timeout=30).results
    assert results[0].regression_result.regressions[0].value == 3.0
    assert results[1].classification_result.classifications[0].classes[0].score == 3.0
    assert results[2].regression_result.regressions[0].value == 4.0
    for result, task in zip(results, request.tasks, strict=True):
        spec = result.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("hp2", 123, task.model_spec.signature_name)


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        pytest.param(tasks(), "INVALID_ARGUMENT", "ModelSpec has no name specified.", id="no-tasks"),
        pytest.param(
            tasks((REGRESS, "hp2", "regress_x_to_y"), (CLASSIFY, "", "classify_x_to_y")),
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
            id="a-task-without-a-name",
        ),
        pytest.param(
            tasks((REGRESS, "hp2", "regress_x_to_y"), (CLASSIFY, "tf2", "classify_x_to_y")),
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
            id="two-models",
        ),
        pytest.param(
            tasks(*[(REGRESS, "hp2", "regress_x_to_y")] * 2),
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: regress_x_to_y",
            id="twice",
        ),
        pytest.param(
            tasks((REGRESS, "hp2", "x")),
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: x",
            id="unknown-signature",
        ),
        pytest.param(
            tasks((PREDICT, "hp2", "serving_default")),
            "UNIMPLEMENTED",
            f"Unsupported signature method_name: {PREDICT}",
            id="predict",
        ),
        pytest.param(
            tasks((REGRESS, "tf2", "regress_x_to_y"), (CLASSIFY, "tf2", "classify_x_to_y")),
            "INVALID_ARGUMENT",
            "Input tensor must be the same for all Signatures.",
            id="two-inputs",
        ),
    ],
)
def test_refusals_of_multi_inference(stub, request_, code, words):
    assert refused(stub.MultiInference, request_) == (code, words)
