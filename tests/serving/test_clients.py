"""The example clients, each compiled or run where its toolchain is, against a server that refuses, lingers and errs."""

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.made_once import made_once
from tests.serving.stand_in_server import StandIn, answer, listening

CLIENTS = Path(__file__).parents[2] / "serving" / "clients"
NAMES = (
    "python-rest", "python-rest-asyncio", "python-grpc", "python-grpc-asyncio", "node-rest", "node-grpc", "java", "go",
    "curl",
)  # fmt: skip
# What a JSON writer or a shell could spoil.
TEXTS = ['Sheer joy: "über" \\ 100 % <b>&', "Kein Spaß, 無聊 😀 $HOME `id`", "-"]


def needed(program: str) -> str:
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture(scope="session")
def java_classes(tmp_path_factory) -> Path:
    """The compiled Java client; every warning is an error."""
    compiler = needed("javac")

    def compile_to(folder: Path) -> None:
        source = CLIENTS / "java" / "Sentiment.java"
        subprocess.run([compiler, "-Xlint:all", "-Werror", "-encoding", "UTF-8", "-d", folder, source], check=True)

    return made_once(tmp_path_factory, "java_client", compile_to)


@pytest.fixture(scope="session")
def go_program(tmp_path_factory) -> Path:
    """The compiled and vetted Go client."""
    go = needed("go")

    def compile_to(folder: Path) -> None:
        for step in (["vet", "."], ["build", "-o", folder / "sentiment", "."]):
            subprocess.run([go, *step], cwd=CLIENTS / "go", check=True, timeout=300)

    return made_once(tmp_path_factory, "go_client", compile_to) / "sentiment"


@pytest.fixture(params=NAMES)
def client(request) -> list[str]:
    """A client's command."""
    name = request.param
    if name.startswith("python"):
        pytest.importorskip("httpx2" if "rest" in name else "grpc")
        file = CLIENTS / "python" / ("rest_client.py" if "rest" in name else "grpc_client.py")
        return [sys.executable, file, *(["--asyncio"] if "asyncio" in name else [])]
    if name == "node-rest":
        return [needed("node"), CLIENTS / "node" / "rest.mjs"]
    if name == "node-grpc":
        if not (CLIENTS / "node" / "node_modules" / "@grpc").is_dir():
            pytest.skip("npm install was not run in serving/clients/node")
        return [needed("node"), CLIENTS / "node" / "grpc.mjs"]
    if name == "java":
        java = needed("java")
        return [java, "-XX:TieredStopAtLevel=1", "-cp", request.getfixturevalue("java_classes"), "Sentiment"]
    if name == "go":
        return [request.getfixturevalue("go_program")]
    needed("curl")
    return [needed("sh"), CLIENTS / "curl" / "predict.sh"]


def run(client, stand_in, *texts, deadline: float = 10) -> subprocess.CompletedProcess:
    settings = {"SERVING_URL": stand_in.url, "SERVING_TARGET": stand_in.target, "SERVING_DEADLINE": str(deadline)}
    # Proxies of the machine know nothing of loopback.
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment = {**kept, **settings, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
    command = [*client, *texts]
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, encoding="utf-8")


def printed(done: subprocess.CompletedProcess, texts: list[str]) -> list[dict]:
    assert done.returncode == 0, done.stderr
    if done.stdout.lstrip().startswith("{\n"):  # curl shows the server's own words
        found = json.loads(done.stdout)["predictions"]
        return [{"text": text, **each} for text, each in zip(texts, found, strict=True)]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_answers_in_order_whatever_is_in_the_texts(client):
    with listening() as stand_in:
        done = run(client, stand_in, *TEXTS)
    assert printed(done, TEXTS) == [{"text": text, **answer(text)} for text in TEXTS]
    assert sorted(text for texts in stand_in.texts for text in texts) == sorted(TEXTS)


def test_asks_again_when_the_server_is_full(client):
    with listening(refuse=1) as stand_in:
        done = run(client, stand_in, "joy")
    assert printed(done, ["joy"]) == [{"text": "joy", **answer("joy")}]
    assert stand_in.texts == [["joy"], ["joy"]]


def test_the_deadline_holds(client):
    with listening(slow=True) as stand_in:
        begin = time.monotonic()
        done = run(client, stand_in, "joy", deadline=1)
        took = time.monotonic() - begin
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.strip()
    assert took < 8  # the answer would have come after 20 s; the rest is for starting


def test_a_mistake_is_shown_and_not_repeated(client):
    with listening(wrong=True) as stand_in:
        done = run(client, stand_in, "joy")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "ot of expected type" in done.stderr
    assert stand_in.texts == [["joy"]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1 that signs itself."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    of_what = ["-subj", "/CN=stand-in", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = [needed("openssl"), "req", *kind, *of_what, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    return key, certificate


@pytest.mark.parametrize("client", ["python-grpc", "python-grpc-asyncio", "node-grpc"], indirect=True)
def test_grpc_is_encrypted_with_the_authority_that_is_named(client, certificate):
    key, signed = (file.read_bytes() for file in certificate)
    with listening(tls=(key, signed)) as stand_in:
        trusted = run([*client, "--ca", str(certificate[1])], stand_in, "joy")
        plain = run(client, stand_in, "joy", deadline=1)
    assert printed(trusted, ["joy"]) == [{"text": "joy", **answer("joy")}]
    assert plain.returncode != 0
    assert stand_in.texts == [["joy"]]


@pytest.fixture(scope="module")
def served_export(toy_export, tmp_path_factory):
    """`kerasft serve` with a trained toy; gives where it listens."""
    pytest.importorskip("kerasft.serving.server")
    with contextlib.ExitStack() as sockets:
        ports = [sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(2)]
    flags = [f"--port={ports[0]}", f"--rest-api-port={ports[1]}", "--enable-batching"]
    flags.append(f"--batching-parameters-file={CLIENTS.parent / 'batching.config'}")
    command = [sys.executable, "-m", "kerasft", "serve", toy_export.parent, *flags]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            until = time.monotonic() + 60
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                with (
                    contextlib.suppress(OSError),
                    urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/v1/models/sentiment", timeout=5) as status,
                ):
                    if b"AVAILABLE" in status.read():
                        break
                time.sleep(0.1)
            yield StandIn(url=f"http://127.0.0.1:{ports[1]}", target=f"127.0.0.1:{ports[0]}")
        finally:
            process.kill()


def test_kerasft_serve_answers_as_the_library_does(client, served_export, toy_export):
    import kerasft

    expected = kerasft.predict(toy_export, TEXTS)
    found = printed(run(client, served_export, *TEXTS), TEXTS)
    assert [each["text"] for each in found] == TEXTS
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert [one["score"], *one["probabilities"]] == pytest.approx(
            [other["score"], *other["probabilities"]], rel=1e-5
        )


def module(name: str):
    spec = importlib.util.spec_from_file_location(name, CLIENTS / "python" / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_python_rest_keeps_its_connection():
    pytest.importorskip("httpx2")
    rest = module("rest_client")
    with listening(refuse=1) as stand_in:
        client = rest.Sentiment(stand_in.url)
        found = [client.predict(["joy", "none"]) for _ in range(3)]
        client.close()
    assert found == [[answer("joy"), answer("none")]] * 3
    assert len(stand_in.connections) == 1


def test_python_asyncio_sends_all_at_once_and_gives_up_in_time():
    pytest.importorskip("httpx2")
    rest, grpc = module("rest_client"), module("grpc_client")

    async def both(stand_in):
        clients = rest.AsyncSentiment(stand_in.url, deadline=0.5), grpc.AsyncSentiment(stand_in.target, deadline=0.5)
        found = await asyncio.gather(
            *(client.predict([text]) for client in clients for text in "abc"), return_exceptions=True
        )
        await clients[0].close()
        await clients[1].channel.close()
        return found

    with listening(slow=True) as stand_in:
        begin = time.monotonic()
        found = asyncio.run(both(stand_in))
        took = time.monotonic() - begin
    assert sorted(text for (text,) in stand_in.texts) == list("aabbcc")
    assert took < 2.5  # one after the other would be 3 s
    assert all(isinstance(error, rest.PredictionError) for error in found[:3])
    assert {error.code().name for error in found[3:]} == {"DEADLINE_EXCEEDED"}


def test_the_python_retries_stop():
    pytest.importorskip("httpx2")
    rest = module("rest_client")
    with listening(refuse=99) as stand_in:
        client = rest.Sentiment(stand_in.url, retries=2)
        with pytest.raises(rest.PredictionError, match="gave up: HTTP 503"):
            client.predict(["joy"])
        client.close()
    assert len(stand_in.texts) == 3
    pauses = list(rest.waits(8))
    assert all(
        0.5 * step <= pause <= step for pause, step in zip(pauses, [0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2], strict=True)
    )


def test_the_python_messages_read_both_ways_of_writing_floats():
    grpc = module("grpc_client")
    protos = pytest.importorskip("kerasft.serving.protos")
    import numpy as np

    values = np.array([0.25, 0.75, 1e-30], np.float32)
    content = protos.tensor_pb2.TensorProto(dtype=1, tensor_content=values.tobytes())
    content.tensor_shape.dim.add(size=3)
    same = protos.tensor_pb2.TensorProto(dtype=1, float_val=[0.5])  # one value for all, as TensorFlow shortens it
    same.tensor_shape.dim.add(size=3)
    for written, expected in ((content, values.tolist()), (same, [0.5] * 3)):
        response = protos.predict_pb2.PredictResponse(outputs={"score": written})
        read = grpc.CLASSES["Response"].FromString(response.SerializeToString())
        assert grpc.floats(read.outputs["score"]) == expected
