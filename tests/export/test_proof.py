import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from kerasft.errors import KerasftError
from kerasft.export import proof, prover
from kerasft.export.proof import Case, Difference, ask, compare, prove
from kerasft.export.session import Session

TEXTS = [b"abc", b"a\0b\0", b"", "bé ab".encode(), b"x" * 100_000]


def strings(*rows):
    return np.array(rows, dtype=object)


@pytest.fixture(scope="module")
def right(good):
    with Session(good) as session:
        return Case("serving_default", {"text": TEXTS}, session.run("serving_default", {"text": TEXTS}), "five texts")


def test_the_same_answers_pass_whatever_the_batch(good, right):
    record, _ = prove(good, [right])
    assert record["rows"] == 5
    assert record["requests"] == 1 + 1 + 5  # the batch, no rows, each row alone
    assert record["max_difference"] == 0.0
    assert record["ties"] == 0
    assert record["xla"] is False
    assert record["tensorflow"].startswith("2.")


def test_warm_up_requests_are_replayed_and_one_that_fails_stops_the_proof(good, right):
    warm = ("classify", {"inputs": [b""]}), ("serving_default", {"text": [b"abc"]})
    with pytest.raises(KerasftError, match="A warm-up request to signature classify failed"):
        prove(good, [right], also=warm)
    record, [answer] = prove(good, [right], also=warm[1:])
    assert (record["requests"], record["warm_up_requests"]) == (7, 1)
    assert answer.outputs["echo_bytes"].tolist() == [b"abc"]


def test_a_wrong_answer_is_named_by_case_row_expected_and_found(good, right):
    label = right.expected["label"].copy()
    label[4] = b"medium"
    wrong = Case("serving_default", right.feeds, {"label": label}, "five texts")
    with pytest.raises(KerasftError) as caught:
        prove(good, [wrong])
    message = str(caught.value)
    assert message.startswith("five texts, the whole batch: output label, row 4: expected b'medium', found b'")
    assert "\n" not in message


def test_rows_that_depend_on_their_neighbours_are_found(bad):
    expected = {"share": np.array([0.5, 1.0], np.float32)}
    with pytest.raises(KerasftError, match=r"row 0 alone: output share, row 0: expected 0.5, found 1.0"):
        prove(bad["entangled"], [Case("serving_default", {"text": [b"a", b"bb"]}, expected, "two")])


def test_variables_that_only_python_finds_stop_the_proof(bad):
    with pytest.raises(KerasftError, match="Could not find variable"):
        prove(bad["lost"], [Case("serving_default", {"text": [b"a"]}, {"logits": np.zeros([1, 2])}, "one")])


def test_xla_is_off_in_the_fresh_process(bad):
    answers, _ = ask(bad["compiled"], [("serving_default", {"text": [b"a"]})])
    assert answers[0].error is not None
    assert "XLA" in answers[0].error


def test_requests_fail_one_by_one(good):
    answers, record = ask(good, [("nope", {"text": ["a"]}), ("serving_default", {"text": ["a"]})])
    assert "not found" in answers[0].error
    assert answers[1].outputs["echo_bytes"].tolist() == [b"a"]
    assert record["loader"].startswith("libtensorflow_cc")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; print('warming up', file=sys.stderr); sys.exit('no memory left')", "no memory left"),
        ("import sys; open(sys.argv[2], 'w').write('{nonsense')", "it said nothing"),
        ("import os; os.abort()", "status -6"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_a_process_that_fails_gives_one_line(good, tmp_path, monkeypatch, script, words):
    path = tmp_path / "prover.py"
    path.write_text(script)
    monkeypatch.setattr(proof.prover, "__file__", str(path))
    with pytest.raises(KerasftError) as caught:
        ask(good, [], timeout=1)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_library_loads_without_tensorflow_keras_or_kerasft(good):
    code = (
        "import sys, types; p = types.ModuleType('fresh'); p.__path__ = [sys.argv[1]]; sys.modules['fresh'] = p;"
        "from fresh.session import Session; Session(sys.argv[2]);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'tensorflow', 'keras', 'keras_nlp', 'kerasft'}))"
    )
    folder = prover.__file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", code, folder, str(good)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_floats_within_the_tolerance_and_nothing_else():
    expected = {"p": np.array([[0.5, 0.1]], np.float32)}
    assert compare(expected, {"p": expected["p"] + np.float32(5e-6)}, 1e-5)[0] == pytest.approx(5e-6, rel=0.1)
    with pytest.raises(Difference, match=r"output p, row 0 at \[0\]"):
        compare(expected, {"p": expected["p"] + np.float32(5e-5)}, 1e-5)
    with pytest.raises(Difference, match="expected float32"):
        compare(expected, {"p": expected["p"].astype(np.float64)}, 1e-5)
    with pytest.raises(Difference, match=r"found float32 \[1, 1\]"):
        compare(expected, {"p": expected["p"][:, :1]}, 1e-5)
    with pytest.raises(Difference, match="missing"):
        compare(expected, {}, 1e-5)
    with pytest.raises(Difference, match="found nan"):
        compare(expected, {"p": np.array([[np.nan, 0.1]], np.float32)}, 1e-5)
    nan = {"p": np.array([np.nan, np.inf], np.float32)}
    assert compare(nan, nan, 1e-5) == (0.0, 0)


def test_a_label_may_differ_only_on_a_tie():
    tied = {"label": strings(b"x"), "probabilities": np.array([[0.500001, 0.499999]], np.float32)}
    assert compare(tied, {**tied, "label": strings(b"y")}, 1e-5)[1] == 1
    clear = {"label": strings(b"x"), "probabilities": np.array([[0.51, 0.49]], np.float32)}
    with pytest.raises(Difference, match="expected b'x', found b'y'"):
        compare(clear, {**clear, "label": strings(b"y")}, 1e-5)


def test_places_that_fill_a_list_up_are_no_tie():
    none = {"word": strings(b"sold"), "scores": np.zeros((1, 3), np.float32)}
    with pytest.raises(Difference, match="expected b'sold', found b'lamp'"):
        compare(none, {**none, "word": strings(b"lamp")}, 1e-5)


def test_a_ranked_list_may_differ_where_scores_are_tied_and_at_its_end():
    scores = np.array([[[0.5, 0.3, 0.299999, 0.1], [0.0, 0.0, 0.0, 0.0]]], np.float32)
    words = strings([[b"a", b"b", b"c", b"d"], [b"", b"", b"", b""]])
    right = {"words": words, "scores": scores, "filled": strings(b"so a")}

    def found(*row, filled=b"so a"):
        return {**right, "words": strings([[*row], [b""] * 4]), "filled": strings(filled)}

    assert compare(right, right, 1e-5) == (0.0, 0)
    assert compare(right, found(b"a", b"c", b"b", b"x"), 1e-5)[1] == 1
    for wrong in (found(b"b", b"a", b"c", b"d"), found(b"a", b"b", b"c", b"d", filled=b"so b")):
        with pytest.raises(Difference, match="expected b'"):
            compare(right, wrong, 1e-5)
    alone = {"words": words[:, :1], "scores": scores[:, :1], "filled": right["filled"]}
    assert compare(right, alone, 1e-5, padded=True) == (0.0, 0)
    close = np.array([[[0.3, 0.299999, 0.2, 0.1], [0.0] * 4]], np.float32)
    swapped = {**found(b"b", b"a", b"c", b"d", filled=b"so b"), "scores": close}
    assert compare({**right, "scores": close}, swapped, 1e-5)[1] == 1


def test_padding_alone_may_be_missing_from_a_row_by_itself():
    batch = {"ids": np.array([[4, 5, 0, 0]]), "pieces": strings([b"a", b"b", b"", b""])}
    alone = {"ids": np.array([[4, 5]]), "pieces": strings([b"a", b"b"])}
    assert compare(batch, alone, 1e-5, padded=True) == (0.0, 0)
    with pytest.raises(Difference):
        compare(batch, alone, 1e-5)
    with pytest.raises(Difference):
        compare(batch, {"ids": np.array([[4]]), "pieces": alone["pieces"]}, 1e-5, padded=True)


@settings(max_examples=60, deadline=None)
@given(
    stn.arrays(
        st.sampled_from(["float32", "float64", "int64", "int32", "bool", "float16"]),
        stn.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_numbers_survive_packing(array):
    found = prover.unpack(prover.pack(array))
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=8))
def test_strings_survive_packing(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    assert prover.unpack(prover.pack(array)).tolist() == rows
