"""From a method and a path to what is asked of which model, in TensorFlow Serving's grammar.

Behaviour from model_servers/http_rest_api_util.cc (ParseModelInfo) and http_rest_api_handler.cc (ProcessRequest).
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from .status import INVALID_ARGUMENT, ServingError

_VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
# ASCII: \d is 0 to 9 there; DOTALL, since a path may hold any byte.
_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL
_POST = re.compile(rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<verb>classify|regress|predict)", _FLAGS)
_GET = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?:/(?P<verb>metadata))?", _FLAGS)
_API = re.compile(r"/v1/.*", _FLAGS)


@dataclass(frozen=True)
class Route:
    """What one REST request asks.

    Attributes:
        action: `predict`, `classify`, `regress`, `status` or `metadata`.
        model: the model's name, URL-decoded.
        version: the version asked for, or None.
        label: the version label asked for, URL-decoded, or None.
    """

    action: str
    model: str
    version: int | None = None
    label: str | None = None


def is_api(path: str) -> bool:
    """Tells whether the REST API answers a path; the others get libevent's page "404 Not Found"."""
    return _API.fullmatch(path) is not None


def parse_path(method: str, path: str) -> Route:
    """Reads a request line.

    Args:
        method: the HTTP method in capitals.
        path: the path as it was sent, percent-encoded, with its query: TensorFlow Serving knows no query, one would
            be taken for a part of the name.

    Returns:
        The route.

    Raises:
        ServingError: INVALID_ARGUMENT, in TensorFlow Serving's words.
    """
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern and pattern.fullmatch(path)
    if match is None:
        raise _malformed(method, path)
    model = _decoded(match["model"] or "")
    version = None if match["version"] is None else _version(match["version"])
    label = None if match["label"] is None else _decoded(match["label"])
    action = match["verb"] or "status"
    # The patterns take PREDICT too, but the names that are compared afterwards are lower-case.
    if method == "POST" and action != action.lower():
        raise _malformed(method, path)
    if method == "GET" and action != "metadata":
        action = "status"
    if not model:
        raise ServingError(INVALID_ARGUMENT, "Missing model name in request.")
    return Route(action, model, version, label)


def _malformed(method: str, path: str) -> ServingError:
    return ServingError(INVALID_ARGUMENT, f"Malformed request: {method} {path}")


def _decoded(text: str) -> str:
    # A protobuf string is UTF-8: other bytes cannot name a model that exists.
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


def _version(digits: str) -> int:
    # 4,300 digits and more are an error of Python's own.
    stripped = digits.lstrip("0") or "0"
    if len(stripped) > 19 or int(stripped) >= 2**63:
        raise ServingError(INVALID_ARGUMENT, f"Failed to convert version: {digits} to numeric.")
    return int(stripped)
