"""Answers to what a caller hands over."""

import pytest

import kerasft


def test_a_text_without_bytes_is_told_and_a_byte_that_is_no_text_is_answered(toy_run):
    with pytest.raises(kerasft.KerasftError, match="Text 2 has half of a surrogate pair"):
        toy_run.predict(["a good film", "a good \ud83d film"])
    # As an undecodable byte of a command line comes.
    (answer,) = toy_run.predict(["a good \udcff film"])
    assert answer["label"] in toy_run.labels
