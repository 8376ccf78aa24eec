"""Addresses as users write them."""

import pytest

from kerasft.errors import KerasftError
from kerasft.serving.load.endpoint import GRPC, REST, Asked, model_path, parse_endpoint


@pytest.mark.parametrize(
    ("address", "target", "tls"),
    [
        ("127.0.0.1:8500", "127.0.0.1:8500", False),
        ("models.example.com:443", "models.example.com:443", False),
        ("[::1]:8500", "[::1]:8500", False),
        ("grpc://localhost:8500/", "localhost:8500", False),
        ("grpcs://localhost:8500", "localhost:8500", True),
        ("dns:///sentiment-pods:8500", "dns:///sentiment-pods:8500", False),
        ("unix:/tmp/server.sock", "unix:/tmp/server.sock", False),
    ],
)
def test_grpc(address, target, tls):
    endpoint, _ = parse_endpoint(address, Asked("m"))
    assert (endpoint.kind, endpoint.target, endpoint.tls) == (GRPC, target, tls)


@pytest.mark.parametrize(
    ("address", "host", "port", "tls", "path"),
    [
        ("http://127.0.0.1:8501", "127.0.0.1", 8501, False, "/v1/models/m"),
        ("http://127.0.0.1:8501/", "127.0.0.1", 8501, False, "/v1/models/m"),
        ("https://example.com", "example.com", 443, True, "/v1/models/m"),
        ("http://[::1]:8501", "::1", 8501, False, "/v1/models/m"),
        ("http://h:1/v1/models/m:predict", "h", 1, False, "/v1/models/m"),
        ("http://h:1/v1/models/m", "h", 1, False, "/v1/models/m"),
        ("http://h:1/v1/models", "h", 1, False, "/v1/models/m"),
        ("http://h:1/inner/way/v1/models/m:predict", "h", 1, False, "/inner/way/v1/models/m"),
        ("http://h:1/inner/way/", "h", 1, False, "/inner/way/v1/models/m"),
    ],
)
def test_rest(address, host, port, tls, path):
    endpoint, asked = parse_endpoint(address, Asked("m"))
    assert (endpoint.kind, endpoint.host, endpoint.port, endpoint.tls) == (REST, host, port, tls)
    assert model_path(endpoint, asked) == path


def test_a_url_names_what_is_asked_for():
    _, asked = parse_endpoint("http://h:1/v1/models/a%20b/versions/12:predict", Asked("", "generate"))
    assert asked == Asked("a b", "generate", version=12)
    endpoint, asked = parse_endpoint("http://h:1/v1/models/m/labels/stable:predict", Asked("m"))
    assert asked == Asked("m", label="stable")
    assert model_path(endpoint, asked) == "/v1/models/m/labels/stable"


@pytest.mark.parametrize(
    ("address", "asked", "words"),
    [
        ("localhost", Asked("m"), "Expected HOST:PORT for gRPC or http://HOST:PORT for REST, found 'localhost'"),
        ("localhost:grpc", Asked("m"), "Expected HOST:PORT"),
        ("localhost:0", Asked("m"), "Expected HOST:PORT"),
        ("localhost:99999", Asked("m"), "Expected HOST:PORT"),
        ("ftp://localhost:1", Asked("m"), "Expected HOST:PORT"),
        ("http://localhost:port", Asked("m"), "is no URL"),
        ("http:///v1", Asked("m"), "names no host"),
        ("localhost:1", Asked(""), "Which model"),
        ("http://localhost:1/v1/models/a", Asked("b"), "--model is b, but .* names a"),
        ("http://localhost:1/v1/models/a/versions/2", Asked("a", version=3), "--version is 3"),
        ("localhost:1", Asked("a", version=3, label="stable"), "both name a version"),
    ],
)
def test_mistakes(address, asked, words):
    with pytest.raises(KerasftError, match=words):
        parse_endpoint(address, asked)
