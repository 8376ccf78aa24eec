"""Against `transformers` GPT-2 with the same weights; tests/benchmarks/peer_generation.py wrote what it answers."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kerasft.generation.filters import Filters, keep
from kerasft.generation.forward import empty_cache, extend
from kerasft.generation.generator import generate, search
from tests.random_gpt2 import plain_logits, random_arrays
from tests.toy_generator import as_lists, in_graph, ragged, toy_generator

GOLDENS = json.loads((Path(__file__).parent / "goldens.json").read_text())
PROMPTS = GOLDENS["prompts"]
STEPS = 64


def test_logits():
    generator = toy_generator()
    for prompt, expected in zip(PROMPTS[:2], GOLDENS["logits"], strict=True):
        tokens = tf.constant([prompt])
        cache = empty_cache(generator.decoder, 1, len(prompt))
        start = tf.constant([0])
        hidden, _ = extend(generator.decoder, generator.weights, cache, tokens, tf.constant(0), start)
        found = generator.decoder.logits(generator.weights, hidden)[-1]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def same(found, expected):
    assert as_lists(found) == expected["tokens"]
    for row, likely in zip(found["logprob"].numpy(), expected["logprob"], strict=True):
        np.testing.assert_allclose(row[: len(likely)], likely, atol=1e-4)
    if expected["scores"]:
        np.testing.assert_allclose(found["score"], expected["scores"], rtol=1e-4)


@pytest.mark.parametrize("batch", ["whole", "one by one"])
@pytest.mark.parametrize("name", ["greedy", "ending", "penalty"])
def test_greedy_decoding(name, batch):
    expected = GOLDENS[name]
    generator = toy_generator(end=GOLDENS["end"]) if name == "ending" else toy_generator()
    penalty = np.float32(expected.get("penalty", 1.0))
    graph = in_graph(lambda prompts: generate(generator, prompts, max_new_tokens=STEPS, repetition_penalty=penalty))
    if batch == "whole":
        same(graph(ragged(PROMPTS)), expected)
        return
    for row, prompt in enumerate(PROMPTS):
        one = {name: expected[name][row : row + 1] for name in ("tokens", "logprob")}
        same(graph(ragged([prompt])), {**one, "scores": None})


@pytest.mark.parametrize("expected", [*GOLDENS["searches"], *GOLDENS["whole_searches"]], ids=lambda one: one["width"])
def test_beam_search(expected):
    ends = expected in GOLDENS["searches"]
    generator = toy_generator(end=GOLDENS["end"]) if ends else toy_generator()
    width, penalty = expected["width"], expected["penalty"]
    graph = in_graph(lambda prompts: search(generator, prompts, width, length_penalty=penalty, max_new_tokens=STEPS))
    same(graph(ragged(PROMPTS)), expected)


def test_the_goldens_have_answers_of_both_sorts():
    """Some that end, and some that do not: else they would test half of it."""
    for found in (GOLDENS["ending"], *GOLDENS["searches"]):
        lengths = [len(row) for row in found["tokens"]]
        assert min(lengths) < STEPS
    assert max(len(row) for row in GOLDENS["greedy"]["tokens"]) == STEPS


@pytest.mark.parametrize("expected", GOLDENS["filters"], ids=str)
def test_filters_leave_as_many_tokens(expected):
    logits = np.array([plain_logits(random_arrays(), prompt)[-1] for prompt in PROMPTS]) / expected["temperature"]
    ranked = -np.sort(-logits).astype(np.float32)
    total = np.log(np.exp(ranked - ranked[:, :1]).sum(1))
    numbers = (np.int32(expected["top_k"]), np.float32(expected["top_p"]), np.float32(expected["min_p"]))
    filters = Filters(*(tf.fill([len(PROMPTS)], number) for number in numbers))
    found = keep(tf.constant(ranked - ranked[:, :1]), tf.constant(total), ranked.shape[1], filters)
    assert found.count.numpy().tolist() == expected["kept"]
