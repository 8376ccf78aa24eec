"""Malformed input to `kerasft serve`, over REST and gRPC: never a fault of the server's, a hang or a dead process.

    python tests/benchmarks/bench_fuzz.py [--cases 20000] [--results fuzz.json]

Half-plus-two, half-plus-three, the counter and a model of texts in a server's process of their own. Over REST: bodies,
paths and headers, and bytes that are no HTTP. Over gRPC: tensors, Examples, model specs and configs that are nearly
right, spoiled messages and garbage. A sound HTTP request must be answered 200, 400, 404 or 501; bytes that are none may
also be met with any 4xx or a closed connection. gRPC must not answer INTERNAL or UNKNOWN. All of it within 5 s, and
after each 1,000 cases honest requests must be answered right. The cases are always the same. Exit status 1 on a fault.
"""

import argparse
import contextlib
import json
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
from hypothesis import HealthCheck, Phase, given, settings

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from kerasft.serving.protos import predict_pb2, types_pb2  # noqa: E402
from tests.benchmarks.fuzz_cases import GRPC, REST, Grpc, Http  # noqa: E402
from tests.serving import half_plus  # noqa: E402
from tests.serving.running import Running, serving  # noqa: E402
from tests.serving.test_rest_fuzz import FAULTS  # noqa: E402

DEADLINE = 5.0
EVERY = 1000
EXAMPLES = 20
# Seconds; then a connection with bytes that are no whole request is taken to wait for more.
QUIET = 0.02
TOLD = FAULTS | {405}  # the last of our page alone, which TensorFlow Serving has not: POST /
NO_FAULT = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "OUT_OF_RANGE"}


def write_text_model(base: Path) -> Path:
    """text -> upper case and length; version 123."""
    graph = half_plus.Graph()
    text = graph.placeholder("text", half_plus.STRING)
    graph.node("upper", "StringUpper", (text,))
    graph.node("length", "StringLength", (text,))
    column = (-1,)
    outputs = {"upper": half_plus.info("upper", half_plus.STRING, column)}
    outputs["length"] = half_plus.info("length", types_pb2.DT_INT32, column)
    inputs = {"text": half_plus.info("text", half_plus.STRING, column)}
    signatures = {"serving_default": half_plus.signature(half_plus.PREDICT, inputs, outputs)}
    half_plus.write_saved_model(base / "00000123", graph, signatures)
    return base


def write_models(root: Path) -> Path:
    """Writes every model and gives the config file; each twice, by the names that the strategies use."""
    two = half_plus.write_half_plus_two(root / "two")
    tf2 = half_plus.write_half_plus_two_tf2(root / "tf2")
    three, counter = half_plus.write_half_plus_three(root / "three"), half_plus.write_counter(root / "counter")
    of_two = 'model_version_policy { all {} } version_labels { key: "L" value: 123 }'
    listed = [("HP2", two, of_two), ("hp2", two, of_two), ("HP2TF2", tf2, ""), ("tf2", tf2, ""), ("HP3", three, "")]
    listed += [("hp3", three, ""), ("CNT", counter, ""), ("counter", counter, "")]
    listed += [("text", write_text_model(root / "text"), "")]
    lines = [f'config {{ name: "{n}" base_path: "{path}" model_platform: "tensorflow" {m} }}' for n, path, m in listed]
    file = root / "models.config"
    file.write_text("model_config_list {\n" + "\n".join(lines) + "\n}\n")
    return file


def exchange(port: int, data: bytes, quiet: float) -> tuple[list[int], bytes]:
    """Sends bytes on a new connection, and reads until the server closes it.

    Args:
        port: of REST.
        data: what is sent.
        quiet: after so many seconds without an answer the server is told that nothing more comes.

    Returns:
        The statuses of the answers, and all of the bytes.

    Raises:
        TimeoutError: it is not closed in time, though we have told that nothing more comes.
    """
    found = b""
    # The connection may be reset before we have sent all of it.
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(data)
        connection.settimeout(quiet)
        told = False
        while True:
            try:
                part = connection.recv(2**16)
            except TimeoutError:
                if told:
                    raise TimeoutError("not closed in time") from None
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(DEADLINE)
                told = True
                continue
            if not part:
                break
            found += part
    return [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.[01] (\d{3})", found)], found


def over_rest(case: Http, port: int) -> tuple[str, bool]:
    """Sends a case; gives what came back in a word, and whether that is a fault."""
    try:
        statuses, found = exchange(port, case.data, DEADLINE if case.sound else QUIET)
    except TimeoutError:
        return "hang", True
    told = "+".join(map(str, statuses)) or "closed"
    final = [status for status in statuses if status != 100]
    if case.sound:
        if len(final) != 1 or final[0] not in TOLD:
            return told, True
        head, _, body = found[found.rindex(b"HTTP/1.") :].partition(b"\r\n\r\n")
        if body and b"application/json" in head.lower():
            try:
                json.loads(body.decode("utf-8", "replace"))
            except ValueError:
                return f"{told} that is not JSON", True
        return told, False
    return told, any(status >= 500 and status != 501 for status in statuses)


def over_grpc(case: Grpc, channel: grpc.Channel) -> tuple[str, bool]:
    """The same over gRPC."""
    try:
        channel.unary_unary(case.path)(case.data, timeout=DEADLINE)
        told = "OK"
    except grpc.RpcError as error:
        told = error.code().name
        if told not in NO_FAULT:
            return f"{told}: {error.details()}"[:300], True
    return told, False


def honest(server: Running, channel: grpc.Channel) -> list[str]:
    """Asks what has a known answer; gives what is wrong with it."""
    faults = []
    for model, body, expected in (
        ("HP2", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
        ("HP3", {"inputs": [4.0]}, {"outputs": [5.0]}),
        ("text", {"instances": ["aé"]}, {"predictions": [{"upper": "Aé", "length": 3}]}),
    ):
        try:
            status, _, found = server.rest(f"/v1/models/{model}:predict", body)
            if (status, json.loads(found)) != (200, expected):
                faults.append(f"{model}: {status} {found[:200]}")
        except OSError as error:
            faults.append(f"{model}: {error!r}")
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "hp2"
    request.inputs["x"].CopyFrom(half_plus.tensor(half_plus.FLOAT, (2,), [1.0, 2.0]))
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    try:
        answer = predict_pb2.PredictResponse.FromString(call(request.SerializeToString(), timeout=DEADLINE))
        if list(answer.outputs["y"].float_val) != [2.5, 3.0]:
            faults.append(f"hp2 over gRPC: {answer}")
    except grpc.RpcError as error:
        faults.append(f"hp2 over gRPC: {error.code().name} {error.details()}")
    return faults


def fuzz(name: str, strategy, send: Callable, server: Running, channel: grpc.Channel, cases: int) -> dict:
    """Sends so many cases; gives the counts of what came back, and the faults."""
    told, faults, dishonest, slowest, begin = Counter(), [], [], 0.0, time.monotonic()

    @settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a fault is noted and the rest goes on
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def each(case):
        nonlocal slowest
        started = time.monotonic()
        word, fault = send(case)
        slowest = max(slowest, time.monotonic() - started)
        told[word.partition(":")[0]] += 1
        if server.process.poll() is not None:
            raise SystemExit(f"The server has died of {case}\n{server.log()[-3000:]}")
        if fault:
            faults.append(f"{word} for {case}")
        if told.total() % EVERY == 0:
            dishonest.extend(honest(server, channel))

    each()
    dishonest.extend(honest(server, channel))
    seconds = time.monotonic() - begin
    counted = {"cases": told.total(), "told": dict(told.most_common()), "faults": len(faults), "dishonest": dishonest}
    return {"name": name, **counted, "examples": faults[:EXAMPLES], "slowest": slowest, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="over REST, and as many over gRPC")
    parser.add_argument("--results", type=Path)
    chosen = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="kerasft-fuzz-") as work:
        told = f"--model_config_file={write_models(Path(work))}"
        with (
            serving(told, "--allow_version_labels_for_unavailable_models") as server,
            grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        ):
            for name, strategy, send in (
                ("REST", REST, lambda case: over_rest(case, server.rest_port)),
                ("gRPC", GRPC, lambda case: over_grpc(case, channel)),
            ):
                found.append(fuzz(name, strategy, send, server, channel, chosen.cases))
            log = [line for line in server.lines if "Traceback" in line or line.startswith(("ERROR", "Exception"))]
    print(
        "| | cases | faults | honest requests wrong | slowest, s | seconds | answers |\n|---|---|---|---|---|---|---|"
    )
    for one in found:
        answers = ", ".join(f"{word} {count:,}" for word, count in list(one["told"].items())[:12])
        print(
            f"| {one['name']} | {one['cases']:,} | {one['faults']} | {len(one['dishonest'])} | {one['slowest']:.2f} "
            f"| {one['seconds']:.0f} | {answers} |"
        )
    for line in [*(line for one in found for line in (*one["examples"], *one["dishonest"])), *log[:EXAMPLES]]:
        print(line[:600], file=sys.stderr)
    if chosen.results:
        chosen.results.write_text(json.dumps([*found, {"log": log}], indent=1) + "\n")
    sys.exit(1 if log or any(one["faults"] or one["dishonest"] for one in found) else 0)


if __name__ == "__main__":
    main()
