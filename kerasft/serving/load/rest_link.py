"""The way to a REST server: connections that are kept open, as many as there are requests under way, up to a limit."""

import asyncio
import json
import ssl

from kerasft.errors import KerasftError
from kerasft.serving.load.answers import GOOD, LATE, UNAVAILABLE, Answer
from kerasft.serving.load.endpoint import Asked, Endpoint, model_path
from kerasft.serving.load.http_connection import HttpConnection
from kerasft.serving.load.signature import Served, from_json

_LONGEST_WORDS = 300


class RestLink:
    """See `answers.Link`.

    Args:
        endpoint: where.
        asked: the model.
        connections: at most so many; a request beyond them waits, and its latency counts the wait.
        authority: certificates (PEM text) that an https server's is checked with, instead of the system's.
        path: asked by POST instead of the model's `:predict`; for a service with another API.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        asked: Asked,
        connections: int,
        authority: bytes | None = None,
        path: str | None = None,
    ):
        self._endpoint, self._asked = endpoint, asked
        self._free = asyncio.Semaphore(connections)
        self._idle: list[HttpConnection] = []
        self._open: set[HttpConnection] = set()
        self._tls = _tls(authority) if endpoint.tls else None
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        self._host = f"Host: {host}:{endpoint.port}\r\n"
        path = path or f"{model_path(endpoint, asked)}:predict"
        self._head = f"POST {path} HTTP/1.1\r\n{self._host}Content-Type: application/json\r\nContent-Length: ".encode()

    async def describe(self, timeout: float) -> Served:
        address, path = self._endpoint.address, f"{model_path(self._endpoint, self._asked)}/metadata"
        request = f"GET {path} HTTP/1.1\r\n{self._host}\r\n".encode()
        try:
            status, body = await asyncio.wait_for(self._exchange(request), timeout)
        except asyncio.TimeoutError:
            raise KerasftError(f"The server at {address} did not describe the model within the deadline.") from None
        except OSError as error:
            words = f"{error.strerror or error}"
            raise KerasftError(f"No REST server answers at {address} ({words}). gRPC is asked by HOST:PORT.") from None
        if status != 200:
            words = _words(body)
            raise KerasftError(f"The server at {address} does not describe {self._asked.model}: HTTP {status}: {words}")
        try:
            found = json.loads(body)
        except ValueError:
            raise KerasftError(f"{address} answers, but not as a model server: {path} is no JSON.") from None
        return from_json(found, self._asked.signature)

    async def ask(self, payload: bytes, timeout: float) -> Answer:
        request = b"%b%d\r\n\r\n%b" % (self._head, len(payload), payload)
        try:
            status, body = await asyncio.wait_for(self._exchange(request), timeout)
        except asyncio.TimeoutError:
            return LATE
        except OSError as error:
            return Answer(UNAVAILABLE, f"{error.strerror or error}")
        return GOOD if status == 200 else Answer(str(status), _words(body))

    async def close(self) -> None:
        for connection in list(self._open):
            connection.abort()

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        async with self._free:
            while True:
                connection = self._kept() or await self._new()
                kept = connection.answered
                try:
                    return await connection.exchange(request)
                except ConnectionError:
                    # A server may close a connection that has been idle just when it is used again. A prediction
                    # changes nothing, so it is asked again, as any HTTP client does; on a new one it is an error.
                    if not kept:
                        raise
                finally:
                    if connection.usable:
                        self._idle.append(connection)
                    else:
                        self._open.discard(connection)

    def _kept(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            self._open.discard(connection)
        return None

    async def _new(self) -> HttpConnection:
        endpoint = self._endpoint
        tls = {"ssl": self._tls, "server_hostname": endpoint.host} if self._tls else {}
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(HttpConnection, endpoint.host, endpoint.port, **tls)
        self._open.add(connection)
        return connection


def _words(body: bytes) -> str:
    """An error's text; TensorFlow Serving's is `{"error": "…"}`."""
    text = body.decode(errors="replace")
    try:
        found = json.loads(text)
        text = found["error"] if isinstance(found, dict) and isinstance(found.get("error"), str) else text
    except ValueError:
        pass
    return text[:_LONGEST_WORDS]


def _tls(authority: bytes | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authority.decode() if authority else None)
    except (ssl.SSLError, ValueError) as error:
        raise KerasftError(f"--ca holds no certificates in PEM: {error}.") from None
