"""Loads on a server whose delays and errors are known, over gRPC and REST."""

import json
import subprocess
import sys

import pytest

from kerasft.errors import KerasftError
from kerasft.serving.load.endpoint import Asked
from kerasft.serving.load.measure import Load, Measured, measure
from kerasft.serving.load.plan import Plan
from kerasft.serving.protos import predict_pb2
from tests.serving.load_stand_in import DT_FLOAT, DT_INT32, DT_STRING, StandIn, listening
from tests.serving.running import ROOT, serving

BOTH = pytest.mark.parametrize("kind", ["gRPC", "REST"])


def put(stand_in: StandIn, kind: str, plan: Plan, **settings) -> Measured:
    address = stand_in.target if kind == "gRPC" else stand_in.rest
    said = []
    measured = measure(Load(address, settings.pop("asked", Asked("m")), plan, **settings), said.append)
    assert "\n" not in "".join(said)
    assert measured.kind == kind
    return measured


@BOTH
def test_a_known_delay_at_a_rate(kind):
    with listening(delay=0.02) as stand_in:
        measured = put(stand_in, kind, Plan(rate=100, seconds=1, warm_up=0.2))
    found = measured.figures
    assert (found.requests, found.answered, found.errors) == (100, 100, {})
    assert 20 <= found.latency["p50"] < 35
    assert found.throughput == pytest.approx(100, rel=0.1)
    assert measured.version == 7
    # The one that is tried first, those of the warm-up, those that count.
    assert len(stand_in.payloads) == 1 + 20 + 100


@BOTH
def test_a_stall_of_the_server_is_felt_by_all_that_were_due(kind):
    """No coordinated omission, from end to end: the percentiles show the queue that one stall leaves behind."""
    with listening(stall=0.5, stalls=lambda number: number == 60) as stand_in:
        found = put(stand_in, kind, Plan(rate=100, seconds=1.5, warm_up=0.1)).figures
    # 50 of 150 were due meanwhile: they have waited from 0 to 0.5 s.
    assert found.requests == found.answered == 150
    assert found.latency["p99"] > 450
    assert found.latency["p90"] > 250
    assert found.latency["p50"] < 100
    with listening(stall=0.5, stalls=lambda number: number == 60) as stand_in:
        hidden = put(stand_in, kind, Plan(concurrency=1, seconds=1.2, warm_up=0)).figures
    assert hidden.latency["max"] > 450
    assert hidden.latency["p99"] < 100


@BOTH
def test_known_errors(kind):
    def every_fourth(number):
        return number % 4 == 3

    with listening(fails=every_fourth, delay=0.002) as stand_in:
        measured = put(stand_in, kind, Plan(concurrency=3, requests=40, seconds=20, warm_up=0))
    found = measured.figures
    assert (found.requests, found.answered, found.timeouts) == (40, 30, 0)
    assert found.errors == {"UNAVAILABLE" if kind == "gRPC" else "503": 10}
    assert list(found.words.values()) == ["The queue is full"]
    assert found.throughput * found.seconds == pytest.approx(30)
    told = json.loads(json.dumps(measured.as_dict()))
    assert (told["answered"], told["loop"], told["api"], told["plan"]["concurrency"]) == (30, "closed", kind, 3)


@BOTH
def test_timeouts(kind):
    with listening(hangs=lambda number: number == 5) as stand_in:
        found = put(stand_in, kind, Plan(rate=50, requests=10, warm_up=0, deadline=0.4)).figures
    assert (found.requests, found.answered, found.timeouts) == (10, 9, 1)
    assert found.errors == {"DEADLINE_EXCEEDED": 1}
    assert found.latency["max"] == pytest.approx(400, rel=0.3)


def test_rest_keeps_its_connections():
    with listening(delay=0.005) as stand_in:
        found = put(stand_in, "REST", Plan(concurrency=4, seconds=0.5, warm_up=0)).figures
        assert found.answered > 100
        assert stand_in.connections <= 4
    with listening(delay=0.05) as stand_in:
        # At a rate there are as many as are under way at a time, and one more waits when there are too many.
        found = put(stand_in, "REST", Plan(rate=100, seconds=0.6, warm_up=0), connections=2).figures
        assert stand_in.connections <= 2
    assert found.answered == 60
    assert found.latency["max"] > 500


def test_rest_asks_again_when_a_kept_connection_was_closed():
    with listening(drops=lambda number: number in (4, 9)) as stand_in:
        found = put(stand_in, "REST", Plan(concurrency=1, requests=12, warm_up=0)).figures
    assert (found.requests, found.errors) == (12, {})
    assert len(stand_in.payloads) == 1 + 12 + 2
    with listening(drops=lambda number: number >= 4) as stand_in:
        found = put(stand_in, "REST", Plan(concurrency=1, requests=12, warm_up=0)).figures
    assert found.errors == {"UNAVAILABLE": 9}
    assert found.words == {"UNAVAILABLE": "the connection was lost"}


PAIR = {"query": DT_STRING, "document": DT_STRING, "place": DT_INT32, "weight": DT_FLOAT}


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [{"question": f"q{n} é", "document": f"d{n}", "place": n, "weight": n / 4, "label": "x"} for n in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_of_a_file_over_rest(pairs):
    with listening(inputs=PAIR) as stand_in:
        settings = {"data": pairs, "columns": {"query": "question"}, "rows": 2}
        measured = put(stand_in, "REST", Plan(concurrency=1, requests=5, warm_up=0), **settings)
        assert measured.texts == 5
        sent = [json.loads(payload)["instances"] for payload in stand_in.payloads[1:]]
        put(stand_in, "REST", Plan(concurrency=1, requests=1, warm_up=0), body="columnar", **settings)
        columnar = json.loads(stand_in.payloads[-1])["inputs"]
    assert [len(rows) for rows in sent] == [2] * 5
    rows = [row for rows in sent for row in rows]
    # Five rows in twos: three requests, the last of them filled up with the first row.
    assert rows[:6] == [*rows[:5], rows[0]]
    assert sorted(row["place"] for row in rows[:5]) == [0, 1, 2, 3, 4]
    assert all(
        row == {"query": f"q{n} é", "document": f"d{n}", "place": n, "weight": n / 4}
        for row, n in ((row, row["place"]) for row in rows)
    )
    assert columnar == {name: [row[name] for row in rows[:2]] for name in PAIR}


def test_rows_of_a_file_over_grpc(pairs):
    with listening(inputs=PAIR) as stand_in:
        put(stand_in, "gRPC", Plan(concurrency=1, requests=5, warm_up=0), data=pairs, columns={"query": "question"})
    requests = [predict_pb2.PredictRequest.FromString(payload) for payload in stand_in.payloads[1:]]
    places = [request.inputs["place"].int_val[0] for request in requests]
    assert sorted(places) == [0, 1, 2, 3, 4]
    for place, request in zip(places, requests, strict=True):
        assert (request.model_spec.name, request.model_spec.signature_name) == ("m", "serving_default")
        assert list(request.inputs["query"].string_val) == [f"q{place} é".encode()]
        assert list(request.inputs["weight"].float_val) == [place / 4]
        assert [dim.size for dim in request.inputs["document"].tensor_shape.dim] == [1]


def test_texts_without_a_file_and_from_lines(tmp_path):
    (tmp_path / "texts.txt").write_text("one\n\ntwo\n")
    with listening() as stand_in:
        put(stand_in, "REST", Plan(concurrency=1, requests=30, warm_up=0))
        built_in = [json.loads(payload)["instances"][0] for payload in stand_in.payloads]
        put(stand_in, "REST", Plan(concurrency=1, requests=4, warm_up=0), data=str(tmp_path / "texts.txt"))
        lines = [json.loads(payload)["instances"][0] for payload in stand_in.payloads[-4:]]
    lengths = sorted(len(text.split()) for text in set(built_in))
    assert lengths[0] < 6
    assert lengths[-1] > 80
    assert sorted(lines) == ["one", "one", "two", "two"]


@BOTH
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"asked": Asked("nobody")}, "does not describe nobody: .*Servable not found"),
        ({"asked": Asked("m", "clasify")}, "no signature 'clasify'. Known: serving_default"),
        ({"data": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_mistakes(kind, settings, words):
    with listening() as stand_in, pytest.raises(KerasftError, match=words):
        put(stand_in, kind, Plan(concurrency=1), **settings)


def test_nobody_there_or_another_protocol():
    with listening() as stand_in:
        rest, target = stand_in.rest, stand_in.target
        with pytest.raises(KerasftError, match=r"No REST server answers at http.*gRPC is asked by HOST:PORT"):
            measure(Load(f"http://{target}", Asked("m"), Plan(concurrency=1)), print)
        with pytest.raises(KerasftError, match=r"No gRPC server answers at .*REST is asked by http://HOST:PORT"):
            measure(Load(rest.removeprefix("http://"), Asked("m"), Plan(concurrency=1)), print)
    for address in (rest, target):
        with pytest.raises(KerasftError, match="server answers at"):
            measure(Load(address, Asked("m"), Plan(concurrency=1)), print)


def test_our_own_server(half_plus_two):
    """Floats of a column, a version by its number, metadata as it really is; texts that are no Examples are refused."""
    with serving(half_plus_two) as server:
        addresses = (f"127.0.0.1:{server.port}", f"http://127.0.0.1:{server.rest_port}/v1/models/half_plus_two:predict")
        for address in addresses:
            load = Load(address, Asked("half_plus_two"), Plan(concurrency=4, requests=200, seconds=60, warm_up=0))
            measured = measure(load, print)
            assert (measured.figures.answered, measured.figures.errors, measured.version) == (200, {}, 124)
        asked = Asked("half_plus_two", version=124)
        assert measure(Load(addresses[0], asked, Plan(rate=20, seconds=0.2, warm_up=0)), print).figures.answered == 4
        with pytest.raises(KerasftError, match=r"Specific\(half_plus_two, 9\)"):
            measure(Load(addresses[0], Asked("half_plus_two", version=9), Plan(rate=1)), print)
        with pytest.raises(KerasftError, match="refuses what would be sent"):
            measure(Load(addresses[0], Asked("half_plus_two", "classify_x_to_y"), Plan(rate=1)), print)


def test_no_tensorflow_is_imported():
    code = (
        "import sys\nfrom tests.serving.load_stand_in import listening\nfrom tests.serving.test_load_measure import *\n"
    )
    code += "with listening() as stand_in:\n    put(stand_in, 'gRPC', Plan(concurrency=1, requests=2, warm_up=0))\n"
    code += "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
