"""Where the load goes: an address, and what is asked for there."""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlsplit

from kerasft.errors import KerasftError

GRPC, REST = "gRPC", "REST"
_MODEL_PATH = re.compile(
    r"(?P<prefix>.*)/v1/models/(?P<model>[^/:]+)"
    r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?(?::predict)?/?$"
)
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s/:\[\]]+):(\d+)$")


@dataclass(frozen=True)
class Endpoint:
    """A server.

    Attributes:
        kind: `gRPC` or `REST`.
        address: as it was written, for messages.
        target: what gRPC connects to; "" for REST.
        host, port: what REST connects to.
        tls: whether the connection is encrypted.
        prefix: of the path, before `/v1/models`, of a server behind a proxy.
    """

    kind: str
    address: str
    target: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False
    prefix: str = ""


@dataclass(frozen=True)
class Asked:
    """What is asked for: a model, one of its signatures, and a version by number or by label, or the latest."""

    model: str
    signature: str = "serving_default"
    version: int | None = None
    label: str | None = None


def parse_endpoint(address: str, asked: Asked) -> tuple[Endpoint, Asked]:
    """Reads an address.

    Args:
        address: `HOST:PORT` or another target of gRPC (`dns:///…`, `unix:…`), `grpcs://HOST:PORT` for TLS; or the URL
            of a REST server, with or without the path of a model.
        asked: what the user asked for beside it; `model` may be "".

    Returns:
        The endpoint, and `asked` with what the URL's path names.

    Raises:
        KerasftError: it is neither, or names a model (or version) and `asked` another.
    """
    scheme, separator, rest = address.partition("://")
    if separator and scheme in ("http", "https"):
        return _rest(address, asked)
    if separator and scheme in ("grpc", "grpcs"):
        _check_host_port(rest.rstrip("/"), address)
        return Endpoint(GRPC, address, target=rest.rstrip("/"), tls=scheme == "grpcs"), _named(asked)
    if not address.startswith(("dns:", "unix:", "ipv4:", "ipv6:", "xds:")):
        _check_host_port(address, address)
    return Endpoint(GRPC, address, target=address), _named(asked)


def model_path(endpoint: Endpoint, asked: Asked) -> str:
    """Gives the path of a model on a REST server, `/v1/models/NAME` and the version."""
    path = f"{endpoint.prefix}/v1/models/{quote(asked.model, safe='')}"
    if asked.version is not None:
        return f"{path}/versions/{asked.version}"
    return path if asked.label is None else f"{path}/labels/{quote(asked.label, safe='')}"


def _rest(address: str, asked: Asked) -> tuple[Endpoint, Asked]:
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise KerasftError(f"{address} is no URL: {error}.") from None
    if not host:
        raise KerasftError(f"{address} names no host. Write it like http://127.0.0.1:8501.")
    tls = url.scheme == "https"
    prefix = url.path.rstrip("/")
    match = _MODEL_PATH.match(prefix)
    if match:
        prefix = match["prefix"]
        asked = _joined(asked, match, address)
    elif prefix.endswith("/v1/models") or prefix.endswith("/v1"):
        prefix = prefix.removesuffix("/models").removesuffix("/v1")
    port = port or (443 if tls else 80)
    return Endpoint(REST, address, host=host, port=port, tls=tls, prefix=prefix), _named(asked)


def _joined(asked: Asked, match: re.Match, address: str) -> Asked:
    """What the path names goes with what was asked for, unless they differ."""
    found = {"model": unquote(match["model"])}
    if match["version"]:
        found["version"] = int(match["version"])
    if match["label"]:
        found["label"] = unquote(match["label"])
    for name, value in found.items():
        told = getattr(asked, name)
        if told not in (None, "", value):
            raise KerasftError(f"--{name} is {told}, but {address} names {value}. Leave out one.")
    return replace(asked, **found)


def _named(asked: Asked) -> Asked:
    if not asked.model:
        raise KerasftError("Which model? Pass --model NAME, or a URL that ends in /v1/models/NAME.")
    if asked.version is not None and asked.label is not None:
        raise KerasftError(f"--version {asked.version} and --label {asked.label} both name a version. Leave out one.")
    return asked


def _check_host_port(text: str, address: str) -> None:
    match = _HOST_PORT.match(text)
    if not match or not 0 < int(match[2]) < 65536:
        raise KerasftError(
            f"Expected HOST:PORT for gRPC or http://HOST:PORT for REST, found {address!r}. "
            "The ports are 8500 and 8501 unless the server was told otherwise."
        )
