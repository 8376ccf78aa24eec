"""The warm-up file of an export: what TensorFlow itself reads in it, and files that a server would refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasft.errors import KerasftError
from kerasft.export.examples import serialized_example
from kerasft.export.samples import SAMPLES
from kerasft.export.session import Session
from kerasft.export.warm_file import Request, as_log, read_warm_file, write_warm_file
from kerasft.export.warm_requests import WORDS
from kerasft.serving.protos import prediction_log_pb2
from kerasft.serving.tf_record import write_records
from kerasft.serving.warm_up import REQUESTS


def strings(*rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


def test_tensorflows_own_reader_finds_every_signature_at_every_length(toy_export, toy_run):
    import tensorflow as tf

    records = list(tf.data.TFRecordDataset(str(toy_export / REQUESTS)).as_numpy_iterator())
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    kinds = [(log.WhichOneof("log_type"), getattr(log, log.WhichOneof("log_type")).request) for log in logs]
    assert [(kind, request.model_spec.signature_name) for kind, request in kinds] == [
        ("predict_log", "serving_default")
    ] * 3 + [("classify_log", "classify")] * 3
    assert {request.model_spec.name for _, request in kinds} == {""}
    asked = read_warm_file(toy_export)
    assert len(asked) == 6
    with Session(toy_export) as session:
        answers = [session.run(name, feeds) for name, feeds in asked]
    # The longest fills the network, special tokens and all; the one before leaves room.
    assert [answer["truncated"].tolist() for answer in answers[:3]] == [[False], [False], [True]]
    assert {len(value) for answer in answers for value in answer.values()} == {1}


def test_no_word_of_the_rows_is_in_what_an_export_brings_along(toy_export, toy_csv):
    files = [toy_export / REQUESTS, *(toy_export / SAMPLES).iterdir()]
    told = b" ".join(path.read_bytes() for path in files)
    learnt = {word for line in toy_csv.read_text().splitlines()[1:] for word in line.rpartition(",")[0].split()}
    ours = set(WORDS)
    assert len(learnt - ours) > 5
    assert not [word for word in learnt - ours if len(word) > 3 and word.encode() in told]
    assert sum(path.stat().st_size for path in files) < 40_000


FLOATS = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=3)


@given(
    text=st.lists(st.binary(max_size=30), min_size=1, max_size=3),
    number=FLOATS,
    seed=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3),
    api=st.sampled_from(["predict", "classify", "regress"]),
)
def test_what_is_written_is_what_the_session_is_fed(tmp_path_factory, text, number, seed, api):
    if api == "predict":
        feeds = {"text": strings(*text), "x": np.array(number, np.float32), "seed": np.array(seed, np.int64)}
    else:
        feeds = {"inputs": strings(*(serialized_example({"text": one, "n": seed[0]}) for one in text))}
    folder = tmp_path_factory.mktemp("warm")
    write_warm_file(folder, [Request("some", api, feeds)])
    [(name, found)] = read_warm_file(folder)
    assert name == "some"
    assert found.keys() == feeds.keys()
    for alias, value in feeds.items():
        assert found[alias].dtype == value.dtype
        assert found[alias].tolist() == value.tolist()


@pytest.mark.parametrize(
    ("records", "words"),
    [
        pytest.param(
            lambda path: path.write_bytes(b'{"instances": ["text"]}'), "corrupted record at 0 (Is this even", id="json"
        ),
        pytest.param(
            lambda path: write_records(path, [b""] * 1001), "1,001 records; a server takes 1,000 at most", id="many"
        ),
        pytest.param(
            lambda path: write_records(path, [b"\xff\xff\xff"]), "a record that is no PredictionLog", id="garbage"
        ),
        pytest.param(
            lambda path: write_records(path, [log_of("session_run_log")]), "type session_run_log, which", id="type"
        ),
        pytest.param(lambda path: write_records(path, [log_of("classify_log")]), "Input is empty", id="empty"),
    ],
)
def test_a_file_that_a_server_refuses_is_one_line(tmp_path, records, words):
    (tmp_path / REQUESTS).parent.mkdir()
    records(tmp_path / REQUESTS)
    with pytest.raises(KerasftError) as caught:
        read_warm_file(tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_asks_nothing_is_left_out(tmp_path):
    assert read_warm_file(tmp_path) == []
    (tmp_path / REQUESTS).parent.mkdir()
    whole = as_log(Request("s", "predict", {"x": np.zeros(1, np.float32)})).SerializeToString()
    write_records(tmp_path / REQUESTS, [b"", log_of("multi_inference_log"), whole])
    assert [name for name, _ in read_warm_file(tmp_path)] == ["s"]


def log_of(kind: str) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    getattr(log, kind).SetInParent()
    return log.SerializeToString()
