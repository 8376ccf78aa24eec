"""Answers that rounding led elsewhere, and those that are plainly wrong."""

import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.export import proof
from kerasft.export.compare import Difference, compare
from kerasft.export.proof import Answer, Case, prove
from kerasft.export.strays import most_strays, with_strays

RIGHT = {
    "text": np.array([b"ab", b"cde"], object),
    "tokens": np.array([[1, 2, -1], [3, 4, 5]], np.int32),
    "logprob": np.array([[-0.1, -0.2, 0.0], [-0.3, -0.4, -0.5]], np.float32),
    "truncated": np.array([False, True]),
}


def changed(row, tokens, text, logprob=None):
    """What another way from some token on would give; wider, when it is longer."""
    width = max(3, len(tokens))
    found = {name: value.copy() for name, value in RIGHT.items()}
    for name, fill in (("tokens", -1), ("logprob", 0)):
        found[name] = np.pad(found[name], [(0, 0), (0, width - 3)], constant_values=fill)
    found["tokens"][row] = [*tokens, *[-1] * (width - len(tokens))]
    found["text"][row] = text
    if logprob:
        found["logprob"][row] = logprob
    return found


def test_another_way_is_counted_and_left_alone():
    found = changed(1, [3, 9, 9, 9], b"cxxx", [-0.3, -7.0, -7.0, -7.0])
    with pytest.raises(Difference):
        compare(RIGHT, found, 1e-5)
    expected, settled, strays = with_strays(RIGHT, found)
    assert strays == 1
    assert compare(expected, settled, 1e-5) == (0.0, 0)
    assert settled["tokens"].dtype == np.int32
    assert settled["text"].tolist() == [b"ab", b"cde"]


def test_what_is_before_the_other_token_is_still_compared():
    found = changed(1, [3, 9, 9], b"cxx", [-0.9, -7.0, -7.0])
    expected, settled, _ = with_strays(RIGHT, found)
    with pytest.raises(Difference, match="output logprob, row 1"):
        compare(expected, settled, 1e-5)


@pytest.mark.parametrize("name", ["text", "truncated", "logprob"])
def test_with_the_same_tokens_all_else_must_be_the_same(name):
    found = {key: value.copy() for key, value in RIGHT.items()}
    found[name][0] = {"text": b"xy", "truncated": True, "logprob": [-0.1, -0.3, 0.0]}[name]
    expected, settled, strays = with_strays(RIGHT, found)
    assert strays == 0
    with pytest.raises(Difference, match=f"output {name}, row 0"):
        compare(expected, settled, 1e-5)


def test_other_answers_stay_as_they_are():
    label = {"label": np.array([b"x"], object)}
    assert with_strays(label, label) == (label, label, 0)
    fewer = {name: value[:1] for name, value in RIGHT.items()}
    with pytest.raises(Difference, match="expected object"):
        compare(*with_strays(RIGHT, fewer)[:2], 1e-5)


def test_how_many_there_may_be():
    assert [most_strays(0.0, 100), most_strays(0.1, 4), most_strays(0.1, 40)] == [0, 1, 5]


@pytest.mark.parametrize(("wrong", "passes"), [(1, True), (2, False)])
def test_a_proof_stands_a_few_of_them(monkeypatch, wrong, passes):
    rows = 4
    right = {name: np.concatenate([value[:1]] * rows) for name, value in RIGHT.items()}
    other = {name: value.copy() for name, value in right.items()}
    other["tokens"][:wrong, 1], other["text"][:wrong] = 7, b"az"
    answers = [Answer(other), *(Answer({name: value[:0] for name, value in right.items()}),)]
    monkeypatch.setattr(proof, "ask", lambda *_: (answers, {}))
    case = Case("serving_default", {"prompt": [b"p"] * rows}, right, "rows", alone=0, strays=0.1)
    if passes:
        assert prove(None, [case])[0]["strays"] == 1
        return
    with pytest.raises(KerasftError, match="rows: 2 of 4 answers are other ones"):
        prove(None, [case])
