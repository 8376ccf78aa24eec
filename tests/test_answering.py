"""Answers to what a caller hands over."""

import pytest

import kerasft


def test_a_text_without_bytes_is_told_and_a_byte_that_is_no_text_is_answered(toy_run):
    with pytest.raises(kerasft.KerasftError, match="Text 2 has half of a surrogate pair"):
        toy_run.predict(["a good film", "a good \ud83d film"])
    # As an undecodable byte of a command line comes.
    (answer,) = toy_run.predict(["a good \udcff film"])
    assert answer["label"] in toy_run.labels


def test_a_run_that_is_asked_again_makes_no_graph_again(toy_run, monkeypatch):
    first = toy_run.predict(["a good film"])

    def again(*_):
        raise AssertionError("made again")

    monkeypatch.setattr("kerasft.export.saved_model.answer_function", again)
    assert toy_run.predict(["a good film"]) == first
    toy_run.let_go()
    with pytest.raises(AssertionError, match="made again"):
        toy_run.predict(["a good film"])
