"""The way to a gRPC server: one connection, bytes out, a status back."""

import grpc
import grpc.aio

from kerasft.errors import KerasftError
from kerasft.serving.load.answers import GOOD, TIMEOUT, UNAVAILABLE, Answer
from kerasft.serving.load.endpoint import Asked, Endpoint
from kerasft.serving.load.payloads import model_spec
from kerasft.serving.load.signature import Served, from_message

_SERVICE = "/tensorflow.serving.PredictionService"
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that was away is found again within a second; gRPC would wait up to two minutes.
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcLink:
    """See `answers.Link`. Answers are not decoded: that is the client's work, not the server's.

    Args:
        endpoint: where.
        asked: the model.
        authority: certificates (PEM) that the server's is checked with; turns TLS on. None: the system's.
    """

    def __init__(self, endpoint: Endpoint, asked: Asked, authority: bytes | None = None):
        self._endpoint, self._asked = endpoint, asked
        if endpoint.tls or authority:
            credentials = grpc.ssl_channel_credentials(authority)
            self._channel = grpc.aio.secure_channel(endpoint.target, credentials, options=_OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(endpoint.target, options=_OPTIONS)
        # Without serializers: what goes through are bytes.
        self._predict = self._channel.unary_unary(f"{_SERVICE}/Predict")
        self._metadata = self._channel.unary_unary(f"{_SERVICE}/GetModelMetadata")

    async def describe(self, timeout: float) -> Served:
        from kerasft.serving.protos import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=model_spec(self._asked), metadata_field=["signature_def"]
        )
        try:
            found = await self._metadata(request.SerializeToString(), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise KerasftError(self._no_metadata(error)) from None
        return from_message(get_model_metadata_pb2.GetModelMetadataResponse.FromString(found), self._asked.signature)

    def _no_metadata(self, error: grpc.aio.AioRpcError) -> str:
        code, address = error.code().name, self._endpoint.address
        if code == UNAVAILABLE:
            return f"No gRPC server answers at {address} ({error.details()}). REST is asked by http://HOST:PORT."
        if code == TIMEOUT:
            return f"The server at {address} did not describe the model within the deadline."
        return f"The server at {address} does not describe {self._asked.model}: {code}: {error.details()}"

    async def ask(self, payload: bytes, timeout: float) -> Answer:
        try:
            await self._predict(payload, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            return Answer(error.code().name, error.details() or "")
        return GOOD

    async def close(self) -> None:
        await self._channel.close()
