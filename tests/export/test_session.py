import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.export.session import Session, SessionError


@pytest.fixture(scope="module")
def session(good):
    with Session(good) as loaded:
        yield loaded


def test_signatures_say_names_types_and_shapes(session):
    signature = session.signatures["serving_default"]
    assert set(session.signatures) == {"serving_default", "classify"}
    assert (signature.inputs["text"].dtype, signature.inputs["text"].shape) == ("string", (None,))
    assert signature.outputs["probabilities"].shape == (None, 2)
    assert signature.outputs["label"].dtype == "string"


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.binary(max_size=80), max_size=6))
def test_strings_pass_byte_for_byte(session, texts):
    found = session.run("serving_default", {"text": texts})["echo_bytes"]
    assert found.dtype == object
    assert found.tolist() == texts


def test_long_strings_nul_bytes_and_str(session):
    texts = [b"x" * 100_000 + b"\0", b"\0", "é\0", "", np.bytes_(b"np"), np.str_("ß")]
    found = session.run("serving_default", {"text": texts})["echo_bytes"]
    assert found.tolist() == [b"x" * 100_000 + b"\0", b"\0", "é\0".encode(), b"", b"np", "ß".encode()]


def test_zero_rows_give_empty_outputs_of_the_right_type(session):
    found = session.run("serving_default", {"text": []})
    assert found["probabilities"].shape == (0, 2)
    assert found["probabilities"].dtype == np.float32
    assert found["label"].tolist() == []


def test_outputs_can_be_chosen(session):
    assert set(session.run("serving_default", {"text": ["a"]}, outputs=["label"])) == {"label"}


@pytest.mark.parametrize(
    ("name", "feeds", "words"),
    [
        ("nope", {}, 'Serving signature key "nope" not found'),
        ("serving_default", {"texts": ["a"]}, "missing: ['text']"),
        ("serving_default", {"text": [1.5]}, "expected values of type string"),
        ("serving_default", {"text": [["a"], ["b", "c"]]}, "expected values of type string"),
        ("serving_default", {"text": np.zeros(2, np.float32)}, "Expects arg[0] to be string but float is provided"),
    ],
)
def test_errors_carry_a_code_and_say_what_is_wrong(session, name, feeds, words):
    with pytest.raises(SessionError) as caught:
        session.run(name, feeds)
    assert words in str(caught.value)
    assert caught.value.code in (3, 9)


def test_threads_get_their_own_answers(session):
    wrong = []

    def work(who):
        for turn in range(100):
            text = f"{who}-{turn}".encode() * 5
            if session.run("serving_default", {"text": [text]})["echo_bytes"][0] != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _resident_kilobytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
def test_thousands_of_runs_leave_no_memory_behind(session):
    texts = [b"x" * 50_000, b"y" * 400, b"z"]

    def kilobytes_after(runs):
        for _ in range(runs):
            session.run("serving_default", {"text": texts})
        gc.collect()
        return _resident_kilobytes()

    begun, half, end = (kilobytes_after(runs) for runs in (200, 2_500, 2_500))
    # One output or one feed that each run leaves behind is 125 MB a round. What the allocator keeps for itself comes
    # once, by chance; a leak comes in every round.
    assert min(half - begun, end - half) < 20_000


def test_a_closed_session_says_so(good):
    session = Session(good)
    session.close()
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.run("serving_default", {"text": ["a"]})


def test_no_saved_model(tmp_path):
    with pytest.raises(SessionError, match="NOT_FOUND: Could not find SavedModel"):
        Session(tmp_path)


def test_defaults_fill_inputs_that_are_left_out(tmp_path):
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    class Scaled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([None], name="by")])
        def serve(self, x, by):
            return {"y": x * by}

    module = Scaled()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.serve})
    path = tmp_path / "1" / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    defaults = model.meta_graphs[0].signature_def["serving_default"].defaults
    defaults["by"].CopyFrom(tf.make_tensor_proto([10.0]))
    path.write_bytes(model.SerializeToString())
    with Session(tmp_path / "1") as session:
        assert session.run("serving_default", {"x": [1, 2.5]})["y"].tolist() == [10.0, 25.0]
        assert session.run("serving_default", {"x": [1.0], "by": [3.0]})["y"].tolist() == [3.0]


def test_pythons_own_openssl_works_beside_tensorflows():
    code = (
        "from kerasft.export.capi import library; library()\n"
        "import secrets, ssl, hashlib; ssl.create_default_context(); print(hashlib.sha256(b'').hexdigest()[:8])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "e3b0c442\n")
