"""A client of an ASGI application, without a server between."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


async def asked(app, method: str, path: str | bytes, body: bytes = b"", headers=(), chunk: int = 2**16) -> Answer:
    """Sends one request, its body in pieces, and checks that the reply is whole."""
    raw, _, query = (path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path).partition(b"?")
    scope = {"type": "http", "method": method, "path": raw.decode("latin-1"), "raw_path": raw, "query_string": query}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers]
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)] or [b""]
    sent = []

    async def receive():
        if not pieces:  # all is sent; the client waits
            await asyncio.Event().wait()
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start, end = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    assert int(found["content-length"]) == len(end["body"])
    return Answer(start["status"], found, end["body"])


def ask(app, method: str, path: str | bytes, body: bytes = b"", headers=()) -> Answer:
    """The same for code that is not asynchronous."""
    return asyncio.run(asked(app, method, path, body, headers))
