"""How a request ends, in the same words over gRPC and REST."""

from typing import NamedTuple, Protocol

from kerasft.serving.load.signature import Served

OK, TIMEOUT, UNAVAILABLE = "OK", "DEADLINE_EXCEEDED", "UNAVAILABLE"


class Answer(NamedTuple):
    """How a request ended.

    Attributes:
        code: gRPC's name of its status; over REST `OK`, the HTTP status as digits, `DEADLINE_EXCEEDED` when the answer
            did not come in time, `UNAVAILABLE` when there was no connection.
        words: the server's own, of an error.
    """

    code: str
    words: str = ""


GOOD = Answer(OK)
LATE = Answer(TIMEOUT, "no answer within the deadline")


class Link(Protocol):
    """A way to a server: a `GrpcLink` or a `RestLink`. To be used in one event loop."""

    async def describe(self, timeout: float) -> Served:
        """Asks what the signature takes; KerasftError if there is no such server, model or signature."""

    async def ask(self, payload: bytes, timeout: float) -> Answer:
        """Sends one request and waits for its answer, `timeout` seconds at most. Raises nothing but cancellation."""

    async def close(self) -> None:
        """Closes the connections."""
