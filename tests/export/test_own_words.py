"""The trained layers have the last word on what a generator wrote."""

import dataclasses

import numpy as np
import pytest

from kerasft.backbones.gpt2 import view
from kerasft.errors import KerasftError
from kerasft.export.own_words import TOLERANCES, Words, check_words
from kerasft.generation.generator import generate
from tests.random_gpt2 import random_arrays, random_prompts
from tests.toy_generator import as_lists, keras_backbone, ragged, toy_generator

PROMPTS = random_prompts(5, 20, seed=9)


@pytest.fixture(scope="module")
def backbone():
    return view(keras_backbone(random_arrays()))


def words(precision="float32", **knobs):
    found = generate(toy_generator(precision), ragged(PROMPTS), max_new_tokens=10, **knobs)
    likely = found["logprob"].numpy().tolist()
    return [
        Words(prompt, tokens, row[: len(tokens)])
        for prompt, tokens, row in zip(PROMPTS, as_lists(found), likely, strict=True)
    ]


def test_greedy_words_are_the_networks_own(backbone):
    assert check_words(backbone, words(), TOLERANCES["float32"], are_best=True) < 1e-4


def test_drawn_words_have_the_networks_probabilities(backbone):
    drawn = words(temperature=1.5, seed=1)
    assert check_words(backbone, drawn, TOLERANCES["float32"], are_best=False) < 1e-4
    with pytest.raises(KerasftError, match="Not published: the generator does not write as the trained network does"):
        check_words(backbone, drawn, TOLERANCES["float32"], are_best=True)


def test_words_of_other_weights_are_found_out(backbone):
    other = random_arrays()
    other["h.1.mlp.c_fc.weight"] = other["h.1.mlp.c_fc.weight"] * 1.01
    with pytest.raises(KerasftError, match="does not write as the trained network"):
        check_words(view(keras_backbone(other)), words(), TOLERANCES["float32"], are_best=True)


def test_a_number_that_is_none_does_not_pass(backbone):
    first, *_ = words()
    broken = dataclasses.replace(first, logprob=[float("nan")] * len(first.logprob))
    with pytest.raises(KerasftError, match="log-probability nan"):
        check_words(backbone, [broken], TOLERANCES["float32"], are_best=False)


def test_words_of_matrices_in_bf16(backbone):
    """More than rounding to eight bits explains would be a mistake; less would be no bf16."""
    gap = check_words(backbone, words("bfloat16"), 10.0, are_best=True)
    assert gap > 1e-3
    assert np.isfinite(gap)


def test_rows_without_words_say_nothing(backbone):
    assert check_words(backbone, [Words([1, 2], [], [])], 1e-9, are_best=True) == 0.0
