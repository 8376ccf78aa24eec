"""The page at `/`, for trying a model in a browser. Its files are data of the package; nothing else is fetched.

What it asks of a model goes through the REST API, as any client's request. One path more, `/page/models.json`, tells
which models there are (TensorFlow Serving has no such list) and what a kerasft export says about itself.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path

from kerasft.export.versions import PROOF

App = Callable[[dict, Callable, Callable], Awaitable[None]]

MODELS = "/page/models.json"
_FILES = {
    "/": ("index.html", b"text/html; charset=utf-8"),
    "/page/script.js": ("script.js", b"text/javascript; charset=utf-8"),
    "/page/show.js": ("show.js", b"text/javascript; charset=utf-8"),
    "/page/style.css": ("style.css", b"text/css; charset=utf-8"),
}
# What a model writes is shown as text, by the script. Should that ever fail, this still runs and loads nothing of it.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
)
_POLICY += b"form-action 'none'; frame-ancestors 'none'"
_HEADERS = [
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def page_app(models, grpc_port: int, grpc_tls: bool = False) -> App:
    """Makes the page's ASGI application, for every path outside the REST API.

    Args:
        models: what is served, a `Models`.
        grpc_port: for the gRPC request that the page shows; 0 for none.
        grpc_tls: whether that port speaks TLS.
    """

    async def app(scope: dict, receive: Callable, send: Callable) -> None:
        path = scope["path"]
        known = path in _FILES or path == MODELS
        if known and scope["method"] in ("GET", "HEAD"):
            if path == MODELS:
                described = await asyncio.to_thread(described_models, models)
                told = {"grpc_port": grpc_port, "grpc_tls": grpc_tls, "models": described}
                body, kind = json.dumps(told).encode(), b"application/json"
            else:
                body, kind = read(path)
            status = 200
        else:
            status, kind = (405 if known else 404), b"text/plain; charset=utf-8"
            body = b"Only GET.\n" if known else b"Not found. The page is at /, the API under /v1/models/.\n"
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", kind), length, *_HEADERS]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


def read(path: str) -> tuple[bytes, bytes]:
    """Gives a file of the page, by its path in the URL, and its media type."""
    name, kind = _FILES[path]
    return (resources.files("kerasft.serving") / "page" / name).read_bytes(), kind


def described_models(models) -> list[dict]:
    """Tells of each model its name, and of a kerasft export its `task`, its `columns` and the names of its `labels`."""
    return [
        {"name": config.name, **_told(Path(config.base_path))}
        for config in sorted(models.configs(), key=lambda config: config.name)
    ]


def _told(base_path: Path) -> dict:
    """What the highest version says of itself; nothing, if it is not ours or cannot be read."""
    try:
        highest = max((int(child.name), child) for child in base_path.iterdir() if child.name.isdecimal())[1]
        proof = json.loads((highest / PROOF).read_text(encoding="utf-8"))
        labels = proof.get("labels") or proof.get("scheme", {}).get("labels") or []
        columns = [*(proof.get("text_columns") or []), *(proof.get("number_columns") or [])]
        return {"task": str(proof["task"]), "columns": columns, "labels": [str(label) for label in labels]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
