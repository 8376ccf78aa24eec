"""Section A of the conformance cases, by number, and what else may stand in a path."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasft.serving.rest_path import Route, is_api, parse_path
from kerasft.serving.status import INVALID_ARGUMENT, ServingError


@pytest.mark.parametrize("path", [pytest.param("/statuspage", id="A1"), pytest.param("/index", id="A1-index")])
def test_another_path_is_not_the_api(path):
    assert not is_api(path)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        pytest.param("GET", "/v1/foo", "Malformed request: GET /v1/foo", id="A2"),
        pytest.param("POST", "/v1/foo", "Malformed request: POST /v1/foo", id="A3"),
        pytest.param("GET", "/v1/models", "Missing model name in request.", id="A4"),
        pytest.param("GET", "/v1/models/debug/model_name", "Malformed request", id="A5"),
        pytest.param("POST", "/v1/models", "Malformed request", id="A6"),
        pytest.param("GET", "/v1/models/foo:predict", "Malformed request", id="A7"),
        pytest.param("GET", "/v1/models/foo/version/50:predict", "Malformed request", id="A8-get"),
        pytest.param("POST", "/v1/models/foo/version/50:predict", "Malformed request", id="A8-post"),
        pytest.param("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request", id="A9"),
        pytest.param(
            "POST",
            "/v1/models/foo/versions/18446744073709551615:regress",
            "Failed to convert version: 18446744073709551615 to numeric.",
            id="A10",
        ),
        pytest.param("POST", "/v1/models/foo/metadata", "Malformed request", id="A11"),
        pytest.param("POST", "/v1/models/foo/label/some_label:regress", "Malformed request", id="A12"),
        pytest.param("PUT", "/v1/models/m", "Malformed request: PUT /v1/models/m", id="A16-put"),
        pytest.param("DELETE", "/v1/models/m", "Malformed request: DELETE /v1/models/m", id="A16-delete"),
        pytest.param("HEAD", "/v1/models/m", "Malformed request: HEAD /v1/models/m", id="A16-head"),
        pytest.param("PATCH", "/v1/models/m", "Malformed request: PATCH /v1/models/m", id="A16-patch"),
    ],
)
def test_wrong_request_line(method, path, words):
    assert is_api(path)
    with pytest.raises(ServingError) as caught:
        parse_path(method, path)
    assert (caught.value.code, words in caught.value.message) == (INVALID_ARGUMENT, True)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/v1/models/m", Route("status", "m")),
        ("GET", "/v1/models/m/versions/007", Route("status", "m", version=7)),
        ("GET", "/v1/models/m/labels/stable", Route("status", "m", label="stable")),
        ("GET", "/v1/models/m/metadata", Route("metadata", "m")),
        ("GET", "/v1/models/m/versions/1/metadata", Route("metadata", "m", version=1)),
        ("POST", "/v1/models/m:predict", Route("predict", "m")),
        ("POST", "/v1/models/m/versions/9223372036854775807:classify", Route("classify", "m", version=2**63 - 1)),
        ("POST", "/v1/models/m/labels/a%20b:regress", Route("regress", "m", label="a b")),
        ("POST", "/V1/Models/m:predict", Route("predict", "m")),
        ("GET", "/v1/models/%ff", Route("status", "�")),
        ("GET", "/v1/models/100%", Route("status", "100%")),
        # There is no query in this grammar: it is a part of the name.
        ("GET", "/v1/models/m?verbose=1", Route("status", "m?verbose=1")),
        pytest.param(
            "POST",
            "/v1/models/modelname%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D:predict",
            Route("predict", "modelname!#$%&'()*+,/:;=?@[]"),
            id="A14",
        ),
    ],
)
def test_route(method, path, route):
    assert parse_path(method, path) == route


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m/versions/1"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/m/metadata/"),
        ("POST", "/v1/models/m/versions/1/labels/x:predict"),
        ("POST", "/v1/models/m/versions/٣:predict"),
    ],
)
def test_near_misses_are_malformed(method, path):
    with pytest.raises(ServingError, match="Malformed request"):
        parse_path(method, path)


@given(
    st.sampled_from(["GET", "POST"]), st.text(st.sampled_from("/:%v1modelspredictversionslabels\n ٣é0"), max_size=60)
)
def test_any_path_gives_a_route_or_a_serving_error(method, rest):
    for path in (f"/v1/{rest}", f"/v1/models/{rest}"):
        with contextlib.suppress(ServingError):
            assert parse_path(method, path).model
