"""Cases I3 and I4: GetModelMetadata over gRPC."""

import pytest

from kerasft.serving.protos import get_model_metadata_pb2, prediction_service_pb2_grpc
from tests.serving.half_plus import tf1_signatures
from tests.serving.served import refused, served, start_models


@pytest.fixture(scope="module")
def stub(half_plus_two, half_plus_two_tf2):
    models = start_models(hp2=half_plus_two, tf2=half_plus_two_tf2)
    with served(models) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models.close()


def asked(*fields: str, name: str | None = "hp2") -> get_model_metadata_pb2.GetModelMetadataRequest:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    if name is not None:
        request.model_spec.name = name
    return request


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        pytest.param(
            asked(),
            "INVALID_ARGUMENT",
            "GetModelMetadataRequest must specify at least one metadata_field",
            id="I3-no-field",
        ),
        pytest.param(
            asked("signature_def", "some_stuff"),
            "INVALID_ARGUMENT",
            "Metadata field some_stuff is not supported",
            id="I3-unknown-field",
        ),
        pytest.param(asked("signature_def", name=None), "INVALID_ARGUMENT", "Missing ModelSpec", id="I3-no-spec"),
        pytest.param(
            asked("signature_def", name="m"), "NOT_FOUND", "Servable not found for request: Latest(m)", id="I3-model"
        ),
    ],
)
def test_refusals(stub, request_, code, words):
    assert refused(stub.GetModelMetadata, request_) == (code, words)


def signatures(stub, name):
    response = stub.GetModelMetadata(asked("signature_def", name=name), timeout=30)
    assert (response.model_spec.name, response.model_spec.version.value) == (name, 123)
    assert list(response.metadata) == ["signature_def"]
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    return dict(found.signature_def)


def test_i4_the_signatures_come_as_they_were_written(stub):
    assert signatures(stub, "hp2") == tf1_signatures()


def test_the_loaders_own_signature_and_defaults_are_told_too(stub):
    found = signatures(stub, "tf2")
    assert "__saved_model_init_op" in found
    assert list(found["serving_default"].defaults["x"].float_val) == [0.0]
