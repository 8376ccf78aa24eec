"""The REST API as an ASGI application (model_servers/http_server.cc): no framework, for its paths are seven."""

import asyncio
import logging
import os
import re
import time
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import quote

from .models import Models
from .rest_handler import Reply, answer
from .rest_path import is_api
from .rest_write import write_error
from .status import DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE, http_status

_LOG = logging.getLogger(__name__)
App = Callable[[dict, Callable, Callable], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
_JSON: Headers = [(b"content-type", b"application/json")]
_TEXT: Headers = [(b"content-type", b"text/plain")]
_HTML: Headers = [(b"content-type", b"text/html")]
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]
_NOT_FOUND = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"


@dataclass(frozen=True)
class RestOptions:
    """How the REST API is served.

    Attributes:
        num_threads: requests answered at a time; more wait.
        timeout_seconds: after so long a request is answered 504; 0: never.
        max_body_bytes: a longer body, as sent or uncompressed, is answered 413.
        max_pending: requests read and not answered yet; above it 503 at once; 0: no limit.
        enable_cors: lets pages of any origin read the replies.
        metrics_text: gives Prometheus's text, or None: the path is not found then.
        metrics_path: where it is.
        page: answers every path outside the API, or None: they are not found then.
        observe: is told each reply of the API and how many seconds it took.
    """

    num_threads: int = 4 * (os.cpu_count() or 1)
    timeout_seconds: float = 30.0
    max_body_bytes: int = 64 * 2**20
    max_pending: int = 0
    enable_cors: bool = False
    metrics_text: Callable[[], str] | None = None
    metrics_path: str = "/monitoring/prometheus/metrics"
    page: App | None = None
    observe: Callable[[Reply, float], None] | None = None


class _TooLargeError(Exception):
    """A body above the limit."""


class RestApp:
    """The application; `close` ends its threads, and so does the end of ASGI's lifespan.

    Attributes:
        models: what is served.
        options: how.
    """

    def __init__(self, models: Models, options: RestOptions):
        self.models = models
        self.options = options
        self._pending = 0
        self._threads = ThreadPoolExecutor(options.num_threads, thread_name_prefix="rest")

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        raw = scope.get("raw_path")
        raw = (quote(scope["path"]).encode() if raw is None else raw).partition(b"?")[0]
        bare = raw.decode("utf-8", "surrogateescape")
        query = scope.get("query_string", b"").decode("utf-8", "surrogateescape")
        path = f"{bare}?{query}" if query else bare
        if self.options.metrics_text and bare == self.options.metrics_path:
            await self._metrics(path, send)
        elif is_api(path):
            await self._api(scope, path, receive, send)
        elif self.options.page:
            await self.options.page(scope, receive, send)
        else:
            await _send(send, 404, _HTML, _NOT_FOUND)

    def close(self) -> None:
        """Ends the threads once the requests that they work on are answered."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _lifespan(self, receive: Callable, send: Callable) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self.close()
                return

    async def _metrics(self, path: str, send: Callable) -> None:
        if path != self.options.metrics_path:
            text, status = f"Unexpected path: {path}. Should be {self.options.metrics_path}", 400
        else:
            loop = asyncio.get_running_loop()
            text, status = await loop.run_in_executor(self._threads, self.options.metrics_text), 200
        await _send(send, status, _TEXT, text.encode("utf-8", "surrogateescape"))

    async def _api(self, scope: dict, path: str, receive: Callable, send: Callable) -> None:
        cors = _CORS if self.options.enable_cors else []
        headers = dict(scope["headers"])
        if scope["method"] == "OPTIONS":
            # A preflight names its origin; its reply is empty either way.
            status = 200 if re.search(rb"https?://", headers.get(b"origin", b"")) else 400
            await _send(send, status, cors, b"")
            return
        started = time.perf_counter()
        try:
            body = await _body(headers, receive, self.options.max_body_bytes)
            if body is None:
                return
            is_zipped = b"gzip" in headers.get(b"content-encoding", b"")
            reply = await self._reply(scope["method"], path, body, is_zipped, receive)
            if reply is None:
                return
        except _TooLargeError:
            reply = Reply(
                413,
                write_error(f"Request body larger than the limit of {self.options.max_body_bytes} bytes"),
                RESOURCE_EXHAUSTED,
            )
        if self.options.observe:
            self.options.observe(reply, time.perf_counter() - started)
        await _send(send, reply.status, _JSON + cors, reply.body)

    async def _reply(self, method: str, path: str, body: bytes, is_zipped: bool, receive: Callable) -> Reply | None:
        options = self.options
        if options.max_pending and self._pending >= options.max_pending:
            return _failed(UNAVAILABLE, f"The server has {self._pending} requests pending, its limit")
        self._pending += 1
        deadline = time.monotonic() + options.timeout_seconds if options.timeout_seconds else None
        job = (self._work, method, path, body, is_zipped, deadline)
        work = asyncio.get_running_loop().run_in_executor(self._threads, *job)
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            wait = options.timeout_seconds or None
            await asyncio.wait((work, gone), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            # Else clients that ask and hang up would keep the threads from those who wait for an answer.
            return None if gone.done() else _failed(DEADLINE_EXCEEDED, "Timed out waiting for notification")
        finally:
            gone.cancel()
            work.cancel()  # one that waits for a thread is taken back; one that runs ends by itself
            self._pending -= 1

    def _work(self, method: str, path: str, body: bytes, is_zipped: bool, deadline: float | None) -> Reply:
        if is_zipped:
            body = unzipped(body, self.options.max_body_bytes)
        return answer(self.models, method, path, body, deadline)


def rest_app(models: Models, options: RestOptions) -> RestApp:
    """Makes the ASGI application of the REST API."""
    return RestApp(models, options)


def unzipped(body: bytes, limit: int) -> bytes:
    """Uncompresses a gzip body; one that is broken is empty, as in evhttp_request.cc.

    Raises:
        _TooLargeError: more than `limit` bytes.
    """
    machine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error:
        return b""
    if len(plain) > limit:
        raise _TooLargeError
    return plain if machine.eof else b""


async def _body(headers: dict[bytes, bytes], receive: Callable, limit: int) -> bytes | None:
    """Reads a body; None when the client has gone."""
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and (len(announced) > 20 or int(announced) > limit):
        raise _TooLargeError
    parts, length = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > limit:
            raise _TooLargeError
        if not message.get("more_body", False):
            return b"".join(parts)


async def _disconnected(receive: Callable) -> None:
    """Waits until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _failed(code: int, words: str) -> Reply:
    return Reply(http_status(code), write_error(words), code)


async def _send(send: Callable, status: int, headers: Headers, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
