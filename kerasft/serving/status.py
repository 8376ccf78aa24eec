"""An error as a client sees it: its gRPC code, its HTTP code and its message, as TensorFlow Serving gives them."""

from kerasft.export.capi import CODES

(OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED) = range(8)
(RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE) = range(8, 15)
(DATA_LOSS, UNAUTHENTICATED) = range(15, 17)

# ToHTTPStatusCode in model_servers/http_server.cc, in the order of the codes.
_HTTP = (200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401)
_LIMIT = 1024


class ServingError(Exception):
    """A request that failed.

    Attributes:
        code: the gRPC status code; its name is `kerasft.export.capi.CODES[code]`.
        message: what the client is told.
    """

    def __init__(self, code: int, message: str):
        super().__init__(f"{CODES[code] if code < len(CODES) else code}: {message}")
        self.code = code
        self.message = message


def http_status(code: int) -> int:
    """Gives the HTTP status code of a gRPC status code; 500 for a number that is none."""
    return _HTTP[code] if 0 <= code < len(_HTTP) else 500


def truncated(message: str) -> str:
    """Cuts a message to the 1024 bytes that a gRPC status carries (model_servers/grpc_status_util.cc)."""
    # With "replace", for a lone surrogate in a model's own words must not end the reply.
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= _LIMIT:
        return encoded.decode()
    # The server counts bytes; a character cut in two would be no UTF-8, which gRPC's status must be in Python.
    return encoded[:_LIMIT].decode("utf-8", "ignore") + "...TRUNCATED"
