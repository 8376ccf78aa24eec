"""The page in a real browser: what a person types, sees and copies, for each kind of answer."""

import asyncio
import contextlib
import json
import socket
import subprocess
import threading

import pytest
import uvicorn

from kerasft.serving.model_config import ModelConfig
from kerasft.serving.page import described_models, page_app
from tests.serving.browser import browser, found

HOSTILE = "<img src=x onerror='document.title=1'> & \"quoted\" it's 😀"
TEXT = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}], "unknown_rank": False}}
WHOLE = {**TEXT, "dtype": "DT_INT32"}
FLOAT = {**TEXT, "dtype": "DT_FLOAT"}
STORY = "Once upon a time there was a lamp. <b>The end.</b>"


def signature(inputs: dict, outputs: tuple[str, ...], defaults: dict | None = None) -> dict:
    given = {"inputs": inputs, "outputs": dict.fromkeys(outputs, FLOAT), "defaults": defaults or {}}
    return {**given, "method_name": "tensorflow/serving/predict"}


SPANS = ("spans", "labels", "scores", "starts", "ends", "count")
MODELS = {
    "entities": {"serving_default": signature({"text": TEXT}, SPANS)},
    "numbers": {"serving_default": signature({"x": {**FLOAT, "tensor_shape": {"unknown_rank": True}}}, ("y",))},
    "questions": {
        "serving_default": signature({"context": TEXT, "question": TEXT}, ("answer", "start", "end", "score"))
    },
    "sentiment": {
        "serving_default": signature({"text": TEXT}, ("label", "score", "probabilities", "truncated")),
        "classify": {
            **signature({"inputs": TEXT}, ("classes", "scores")),
            "method_name": "tensorflow/serving/classify",
        },
    },
    "stories": {
        "serving_default": signature({"prompt": TEXT}, ("text", "finish_reason")),
        "continue": signature(
            {"prompt": TEXT, "so_far": TEXT, "max_new_tokens": WHOLE, "temperature": FLOAT},
            ("text", "answer", "finish_reason", "error"),
            {
                "max_new_tokens": {"dtype": "DT_INT32", "int_val": [40]},
                "temperature": {"dtype": "DT_FLOAT", "float_val": [0.5]},
            },
        ),
    },
}


def answer(name: str, row: dict):
    """What the model would say."""
    if name == "sentiment":
        return {"label": row["text"], "score": 0.75, "probabilities": [0.25, 0.75], "truncated": row["text"] == ""}
    if name == "entities":
        places = {"starts": [2, 7, -1], "ends": [5, 12, -1], "labels": ["<i>", "place", ""], "scores": [0.9, 0.8, 0.0]}
        return {**places, "spans": ["Ada", "Turin", ""], "count": 2}
    if name == "questions":
        return {"answer": "nine", "start": 8, "end": 12, "score": 0.5}
    if name == "numbers":
        return row["x"][0] / 2 + 2
    end = len(row["so_far"]) + 2 * row["max_new_tokens"]
    return {
        "text": STORY[:end],
        "answer": STORY[:end].strip(),
        "finish_reason": "length" if end < len(STORY) else "stop",
        "error": "",
    }


class Models:
    """As much of `kerasft.serving.models.Models` as the page needs."""

    def __init__(self, folder):
        self._folder = folder

    def configs(self):
        return [ModelConfig(name, str(self._folder / name)) for name in MODELS]


def app_of(models, asked: list):
    """The page, and beside it the few paths of the REST API that it uses."""
    page = page_app(models, 8500)

    async def app(scope, receive, send):
        path = scope["path"]
        if not path.startswith("/v1/models/"):
            await page(scope, receive, send)
            return
        name, _, verb = path.removeprefix("/v1/models/").replace("/metadata", ":metadata").partition(":")
        status, body = 200, b""
        while (message := await receive()).get("body"):
            body += message["body"]
            if not message.get("more_body"):
                break
        if verb == "metadata":
            told = {"model_spec": {"version": "3"}, "metadata": {"signature_def": {"signature_def": MODELS[name]}}}
        else:
            asked.append(json.loads(body))
            row = asked[-1]["instances"][0]
            if row.get("text") == "fail":
                status, told = 400, {"error": HOSTILE}
            else:
                told = {"predictions": [answer(name, row)]}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    return app


@contextlib.contextmanager
def listening(app):
    """Serves an application in a thread; gives its URL."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def asked() -> list:
    return []


@pytest.fixture(scope="module")
def tab(asked, tmp_path_factory):
    """A browser on the page."""
    if found() is None:
        pytest.skip("needs Chromium (Debian's package chromium)")
    folder = tmp_path_factory.mktemp("models")
    for name, told in (("sentiment", {"labels": ["negative", "positive"]}), ("questions", {"labels": []})):
        proof = folder / name / "3" / "assets.extra" / "kerasft" / "proof.json"
        proof.parent.mkdir(parents=True)
        proof.write_text(json.dumps({"task": name, "text_columns": ["question", "context"], "scheme": told}))
    with listening(app_of(Models(folder), asked)) as url, browser() as one:
        one.url = url
        one.open(url + "/")
        one.wait("document.querySelector('#model option') && !document.getElementById('ask').disabled")
        yield one


def choose(tab, model: str) -> None:
    tab.run(f"document.getElementById('ask').disabled = true, document.getElementById('model').value = '{model}'")
    tab.run("document.getElementById('model').dispatchEvent(new Event('change')), 0")
    tab.wait("!document.getElementById('ask').disabled")


def ask(tab, **inputs: str) -> None:
    for name, text in inputs.items():
        tab.type(f"input-{name}", text)
    tab.run("document.getElementById('form').requestSubmit(), 0")
    tab.wait("!document.getElementById('ask').disabled")


def test_label_and_probabilities(tab, asked):
    choose(tab, "sentiment")
    assert tab.text("state") == "version 3, sentiment"
    assert tab.run("[...document.querySelectorAll('#signature option')].map((one) => one.value)") == ["serving_default"]
    ask(tab, text=HOSTILE)
    assert asked[-1] == {"signature_name": "serving_default", "instances": [{"text": HOSTILE}]}
    # The model's words are shown as they are, and nothing in them is run.
    assert tab.run("document.querySelector('.headline').textContent") == HOSTILE
    assert tab.run("document.querySelectorAll('#answer img').length") == 0
    bars = tab.run(
        "[...document.querySelectorAll('.bars li')].map((one) => [...one.children].map((c) => c.textContent))"
    )
    assert bars == [["positive", "", "75.0 %"], ["negative", "", "25.0 %"]]
    assert tab.run("document.querySelector('.fill').style.width") == "75%"
    assert tab.text("latency").endswith(" ms")
    assert "too long" not in tab.text("answer")
    ask(tab, text="")
    assert "too long" in tab.text("answer")


def test_requests_to_copy(tab, asked, tmp_path):
    choose(tab, "sentiment")
    ask(tab, text=HOSTILE)
    before = len(asked)
    subprocess.run(["sh", "-c", tab.text("curl")], check=True, capture_output=True, timeout=30)
    assert asked[before] == asked[before - 1]
    # The Python request, with stand-ins for what it would have to connect to.
    code = tab.text("grpc").splitlines()
    assert code[-1] == "print(stub.Predict(request, timeout=30))"
    assert 'grpc.insecure_channel("127.0.0.1:8500")' in tab.text("grpc")
    [line] = [line for line in code if line.startswith("request.inputs")]
    given = eval(line.partition("make_tensor_proto(")[2].removesuffix("))"))
    assert given == [HOSTILE]


def test_error_of_the_server(tab):
    choose(tab, "sentiment")
    ask(tab, text="fail")
    assert tab.text("error") == HOSTILE
    ask(tab, text="fine")
    assert tab.run("document.getElementById('error').hidden") is True


def test_spans_in_the_text(tab):
    choose(tab, "entities")
    ask(tab, text="😀 Ada, Turin")
    # Places are code points: the emoji is one, though two units in JavaScript.
    parts = "(one) => [one.firstChild.textContent, one.lastChild.textContent]"
    marks = tab.run(f"[...document.querySelectorAll('#answer mark')].map({parts})")
    assert marks == [["Ada", "<i>"], ["Turin", "place"]]


def test_two_inputs_in_the_order_of_the_task(tab, asked):
    choose(tab, "questions")
    names = tab.run("[...document.querySelectorAll('#fields [name]')].map((one) => one.labels[0].textContent.trim())")
    assert names == ["question", "context"]
    ask(tab, question="When?", context="Open at nine.")
    assert asked[-1]["instances"] == [{"question": "When?", "context": "Open at nine."}]
    assert tab.run("document.querySelector('#answer mark').textContent") == "nine"


def test_a_model_that_is_not_ours(tab):
    choose(tab, "numbers")
    ask(tab, x="[3.0]")
    assert tab.run("document.querySelector('.headline').textContent") == "3.5"
    ask(tab, x="three")
    assert tab.text("error") == 'x must be JSON, such as [1.0]; found "three".'


def test_text_as_it_is_written(tab, asked):
    choose(tab, "stories")
    assert tab.run("document.getElementById('signature').value") == "continue"
    assert tab.run("document.getElementById('input-so_far')") is None
    assert tab.run("document.getElementById('input-temperature').value") == "0.5"
    before = len(asked)
    ask(tab, prompt="A story")
    assert tab.run("document.querySelector('.written').textContent") == STORY
    rows = [one["instances"][0] for one in asked[before:]]
    assert [row["so_far"] for row in rows] == ["", STORY[:16], STORY[:32], STORY[:48]]
    assert {row["max_new_tokens"] for row in rows} == {8}
    assert 'request.inputs["temperature"].CopyFrom(tf.make_tensor_proto([0.5], tf.float32))' in tab.text("grpc")
    assert 'request.inputs["max_new_tokens"].CopyFrom(tf.make_tensor_proto([40], tf.int32))' in tab.text("grpc")
    tab.run("document.getElementById('knobs').open = true")
    ask(tab, max_new_tokens="12")
    rows = [one["instances"][0] for one in asked[before + 4 :]]
    assert [row["max_new_tokens"] for row in rows] == [8, 4]


def test_on_a_phone_nothing_is_cut_off(tab):
    for dark in (False, True):
        tab.open(f"{tab.url}/?{dark}", width=360, height=740, phone=True, dark=dark)
        tab.wait("document.querySelector('#model option') && !document.getElementById('ask').disabled")
        choose(tab, "sentiment")
        ask(tab, text="x" * 300)
        assert tab.run("document.documentElement.scrollWidth") <= 360
        paper = tab.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper[4:-1].split(","))) < 200) is dark
    # What every control is called, for those who do not see it.
    controls = "[...document.querySelectorAll('select, textarea, input, button')]"
    named = f"{controls}.map((one) => (one.labels?.[0] ?? one).textContent.trim())"
    assert all(tab.run(named))


def test_nothing_was_wrong_and_nothing_was_fetched_from_elsewhere(tab):
    # The browser notes each 400 of the API as an error; anything else would be a fault of the page.
    assert [problem for problem in tab.problems if "400" not in problem] == []
    names = tab.run("performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)")
    assert set(names) == {tab.url}


def test_models_that_say_nothing_of_themselves(tmp_path):
    (tmp_path / "entities" / "1" / "assets.extra" / "kerasft").mkdir(parents=True)
    (tmp_path / "entities" / "1" / "assets.extra" / "kerasft" / "proof.json").write_text("[1]")
    assert described_models(Models(tmp_path)) == [{"name": name} for name in sorted(MODELS)]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 200), ("HEAD", "/", 200), ("POST", "/", 405), ("GET", "/../server.py", 404), ("GET", "/page/", 404)],
)
def test_only_its_own_files(tmp_path, method, path, status):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(page_app(Models(tmp_path), 8500)({"path": path, "method": method}, None, send))
    assert sent[0]["status"] == status
    assert (sent[1]["body"] == b"") is (method == "HEAD")
