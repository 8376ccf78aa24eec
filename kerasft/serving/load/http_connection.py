"""One HTTP/1.1 connection that is kept open: a request, its answer, the next request.

asyncio's own protocol with llhttp's parser (httptools, which `kerasft serve` has too): little work a request. A full
HTTP client does several times as much, and a load should be limited by the server, not by who makes it.
"""

import asyncio

import httptools


class HttpConnection(asyncio.Protocol):
    """See above. Made by `loop.create_connection`.

    Attributes:
        usable: it is open, and nobody waits for an answer on it.
        answered: it has given an answer before.
    """

    def __init__(self):
        self.answered = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._waiting: asyncio.Future | None = None

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and self._waiting is None

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Sends a whole request, head and body. Gives status and body.

        A caller that is cancelled loses the connection: what comes later would be taken for another's answer.

        Raises:
            ConnectionError: the connection was lost, or what came is not HTTP.
        """
        self._waiting = asyncio.get_running_loop().create_future()
        self._body.clear()
        try:
            self._transport.write(request)
            return await self._waiting
        except BaseException:
            self.abort()
            raise
        finally:
            self._waiting = None

    def abort(self) -> None:
        """Closes it at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(ConnectionError("what came back is not HTTP/1.1"))
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError(f"the connection was lost{f': {error}' if error else ''}"))

    def _fail(self, error: ConnectionError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    # What follows is called by the parser.

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.answered = True
        status, keep = self._parser.get_status_code(), self._parser.should_keep_alive()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((status, b"".join(self._body)))
        if not keep:
            self._transport.close()
