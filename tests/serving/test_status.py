import pytest

from kerasft.serving.status import ServingError, http_status, truncated


# ToHTTPStatusCode, code by code.
@pytest.mark.parametrize(
    ("code", "http"),
    enumerate((200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401)),
)
def test_http_codes(code, http):
    assert http_status(code) == http


@pytest.mark.parametrize("code", [-1, 17, 999])
def test_what_is_no_code_is_an_error_of_the_server(code):
    assert http_status(code) == 500
    assert ServingError(code, "words").message == "words"


@pytest.mark.parametrize(
    ("message", "found"),
    [
        pytest.param("a" * 1024, "a" * 1024, id="G20-as-long-as-may-be"),
        pytest.param("a" * 1025, "a" * 1024 + "...TRUNCATED", id="G20-one-more"),
        pytest.param("a" + "ä" * 512, "a" + "ä" * 511 + "...TRUNCATED", id="G20-never-half-a-character"),
        pytest.param("lone \udc80", "lone ?", id="no-UTF-8"),
    ],
)
def test_messages_have_a_limit(message, found):
    assert truncated(message) == found
