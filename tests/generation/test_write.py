"""Greedy and random decoding against the plainest loop, and what a row's own knobs and prompt lead to."""

import numpy as np
import pytest
import tensorflow as tf

from kerasft.backbones.bert import view as bert_view
from kerasft.errors import KerasftError
from kerasft.generation.generator import generate, make_generator
from tests.random_gpt2 import END, TOY, log_softmax, plain_logits, random_arrays, random_prompts
from tests.toy_generator import PIECES, as_lists, in_graph, ragged, toy_generator

ARRAYS = random_arrays()
PROMPTS = random_prompts(6, 20)


@pytest.fixture(scope="module")
def ask():
    """(prompts, **knobs) -> outputs as NumPy arrays; one graph for all."""
    generator = toy_generator()
    graph = in_graph(lambda prompts, stops, knobs: generate(generator, prompts, stop_string=stops, **knobs))

    def run(prompts, stop_string=None, **knobs):
        rows = len(prompts)
        given = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "seed": 0}
        given |= {"max_new_tokens": 24} | knobs
        kinds = {"top_k": tf.int32, "seed": tf.int64, "max_new_tokens": tf.int32}
        given = {
            name: tf.convert_to_tensor(np.broadcast_to(value, rows), kinds.get(name, tf.float32))
            for name, value in given.items()
        }
        stops = tf.constant(stop_string or [b""] * rows, tf.string, shape=[rows])
        return {name: value.numpy() for name, value in graph(ragged(prompts), stops, given).items()}

    return run


def greedy(prompt, count, penalty=1.0, end=END):
    """The plainest loop: the whole text again for each token."""
    ids, likely = list(prompt), []
    for _ in range(count):
        logits = plain_logits(ARRAYS, ids)[-1]
        changed = logits.copy()
        for token in set(ids):
            changed[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
        ids.append(int(changed.argmax()))
        likely.append(log_softmax(logits)[ids[-1]])
        if ids[-1] == end:
            break
    return ids[len(prompt) :], likely


@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_greedy_equals_the_plain_loop(ask, penalty):
    found = ask(PROMPTS, repetition_penalty=penalty)
    for row, (prompt, tokens) in enumerate(zip(PROMPTS, as_lists(found), strict=True)):
        expected, likely = greedy(prompt, 24, penalty)
        assert tokens == expected
        np.testing.assert_allclose(found["logprob"][row, : len(tokens)], likely, atol=1e-4)
        assert not found["logprob"][row, len(tokens) :].any()
        ended = b"stop" if expected[-1] == END else b"length"
        assert found["finish_reason"][row] == ended
        text = b"".join(PIECES[token] for token in expected).decode(errors="replace")
        assert found["text"][row].decode() == text


def test_the_penalty_of_one_row_leaves_the_others_alone(ask):
    penalties = np.array([1.0, 2.5, 1.0, 0.5, 1.0, 1.0], np.float32)
    tokens = as_lists(ask(PROMPTS, repetition_penalty=penalties))
    assert tokens == [greedy(prompt, 24, float(p))[0] for prompt, p in zip(PROMPTS, penalties, strict=True)]


def test_an_end_token_ends_a_row_and_no_other(ask):
    """The end is another token here: one that greedy decoding comes to."""
    long = [greedy(prompt, 24)[0] for prompt in PROMPTS]
    end = long[0][5]
    expected = [row[: row.index(end) + 1] if end in row else row for row in long]
    assert len({len(row) for row in expected}) > 1
    found = generate(toy_generator(end=end), ragged(PROMPTS), max_new_tokens=24)
    assert as_lists(found) == expected
    reasons = [b"stop" if row[-1] == end else b"length" for row in expected]
    assert found["finish_reason"].numpy().tolist() == reasons


@pytest.mark.parametrize(
    "knobs",
    [
        {"temperature": 0.0},
        {"temperature": 0.9},
        {"temperature": [0.0, 0.5, 1.0, 1.5, 2.0, 40.0]},
        {"temperature": 1.2, "top_k": [0, 1, 2, 5, 290, 400]},
        {"temperature": 1.5, "top_p": [0.1, 0.5, 0.9, 0.99, 0.999, 1.0], "top_k": [0, 0, 3, 100, 280, 0]},
        {"temperature": 1.5, "min_p": [0.0, 0.01, 0.1, 0.5, 1.0, 0.05]},
    ],
)
def test_a_row_is_the_same_alone_and_in_any_batch(ask, knobs):
    knobs = {"seed": np.arange(6) * 7, "max_new_tokens": np.array([24, 3, 0, 9, 24, 1])} | knobs
    knobs = {name: np.broadcast_to(value, 6) for name, value in knobs.items()}
    together = ask(PROMPTS, **knobs)
    for row in range(6):
        alone = ask([PROMPTS[row]], **{name: value[row] for name, value in knobs.items()})
        assert as_lists(alone) == [as_lists(together)[row]]
        assert alone["text"][0] == together["text"][row]
        assert alone["finish_reason"][0] == together["finish_reason"][row]
    order = [4, 2, 5, 0, 1, 3]
    mixed = ask([PROMPTS[row] for row in order], **{name: value[order] for name, value in knobs.items()})
    assert as_lists(mixed) == [as_lists(together)[row] for row in order]


def test_seeds_lead_to_different_texts_and_each_to_the_same(ask):
    prompts = [PROMPTS[0]] * 8
    seeds = [0, 1, 2, 3, -1, 2**40, 2**40 + 1, 0]
    first = as_lists(ask(prompts, temperature=1.5, seed=seeds))
    assert first[0] == first[7]
    assert len({tuple(row) for row in first[:7]}) == 7
    assert as_lists(ask(prompts, temperature=1.5, seed=seeds)) == first


def test_top_k_of_one_and_a_tiny_temperature_are_greedy(ask):
    expected = as_lists(ask(PROMPTS))
    assert as_lists(ask(PROMPTS, temperature=1.0, top_k=1)) == expected
    assert as_lists(ask(PROMPTS, temperature=1e-30)) == expected
    assert as_lists(ask(PROMPTS, temperature=1.0, top_p=1e-30)) == expected
    assert as_lists(ask(PROMPTS, temperature=1.0, min_p=1.0)) == expected


def test_a_row_stops_where_its_stop_string_begins(ask):
    plain = ask(PROMPTS)
    written = [b"".join(PIECES[token] for token in row) for row in as_lists(plain)]
    # The middle of each row's bytes, across the borders of tokens, but for two rows.
    stops = [text[len(text) // 2 : len(text) // 2 + 3] for text in written]
    stops[1], stops[4] = b"", b"never met"
    found = ask(PROMPTS, stop_string=stops)
    for row, (text, stop) in enumerate(zip(written, stops, strict=True)):
        if row in (1, 4):
            assert found["text"][row] == plain["text"][row]
            assert found["finish_reason"][row] == plain["finish_reason"][row]
            continue
        assert found["text"][row].decode() == text[: text.find(stop)].decode(errors="replace")
        assert found["finish_reason"][row] == b"stop_string"
        tokens = as_lists(found)[row]
        assert stop in b"".join(PIECES[token] for token in tokens)
        assert stop not in b"".join(PIECES[token] for token in tokens[:-1])


def test_stop_strings_of_the_recipe_hold_for_every_row():
    plain = generate(toy_generator(), ragged(PROMPTS), max_new_tokens=24)
    written = [b"".join(PIECES[token] for token in row) for row in as_lists(plain)]
    stop = written[2][4:6]
    found = generate(toy_generator(), ragged(PROMPTS), max_new_tokens=24, stop=[b"nowhere", stop])
    for row, text in enumerate(written):
        cut = text.find(stop)
        assert found["text"].numpy()[row].decode() == (text if cut < 0 else text[:cut]).decode(errors="replace")
    assert (found["finish_reason"].numpy()[2]) == b"stop_string"


@pytest.mark.parametrize(
    ("knob", "bad"),
    [
        ("temperature", [float("nan"), float("inf"), -1.0]),
        ("top_k", [-1, -(2**31)]),
        ("top_p", [0.0, -0.1, 1.5, float("nan")]),
        ("min_p", [-0.1, 1.1, float("nan")]),
        ("repetition_penalty", [0.0, -2.0, float("nan"), float("inf")]),
        ("max_new_tokens", [-1]),
    ],
)
def test_a_bad_knob_spoils_its_own_row_alone(ask, knob, bad):
    sound = {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "min_p": 0.01, "repetition_penalty": 1.1}
    sound |= {"max_new_tokens": 8, "seed": 3}
    expected = ask(PROMPTS[:2], **sound)
    for value in bad:
        found = ask([*PROMPTS[:2], PROMPTS[3]], **sound | {knob: np.array([sound[knob]] * 2 + [value])})
        assert as_lists(found)[:2] == as_lists(expected)
        assert found["text"][:2].tolist() == expected["text"].tolist()
        assert found["error"][:2].tolist() == [b"", b""]
        assert (found["text"][2], found["finish_reason"][2], as_lists(found)[2]) == (b"", b"error", [])
        assert found["error"][2].decode().startswith(f"{knob}: expected a number")


def test_the_message_says_what_was_found(ask):
    found = ask(PROMPTS[:2], temperature=[float("nan"), 1.0], top_k=[-3, -3])
    assert found["error"][0] == b"temperature: expected a number from 0 on, found nan."
    assert found["error"][1] == b"top_k: expected a number from 0 on (0 for all tokens), found -3."
    assert found["tokens"].shape == (2, 0)


def test_an_empty_prompt_begins_like_a_document(ask):
    found = ask([[], PROMPTS[0], []], max_new_tokens=6)
    assert as_lists(found) == [greedy(prompt, 6)[0] for prompt in ([END], PROMPTS[0], [END])]
    assert as_lists(ask([[]], max_new_tokens=6)) == as_lists(found)[:1]
    assert not found["truncated"].any()


def test_a_prompt_that_is_too_long_loses_its_first_tokens(ask):
    prompt = random_prompts(1, 200)[0]
    places = TOY.places
    for wanted, kept in (
        (10, places - 10),
        (places // 2, places // 2),
        (places, places // 2),
        (2**31 - 1, places // 2),
    ):
        found = ask([prompt, prompt[-5:]], max_new_tokens=[wanted, 2])
        written = min(wanted, places - kept)
        assert as_lists(found) == [greedy(prompt[-kept:], written)[0], greedy(prompt[-5:], 2)[0]]
        assert found["truncated"].tolist() == [True, False]
    found = ask([prompt[:places], prompt[: places - 10]], max_new_tokens=10)
    assert found["truncated"].tolist() == [True, False]


def test_no_rows(ask):
    found = ask([])
    assert found["text"].shape == (0,)
    assert found["tokens"].shape == found["logprob"].shape == (0, 0)


def test_the_loop_ends_when_every_row_is_done(ask):
    long = [greedy(prompt, 24)[0] for prompt in PROMPTS[:2]]
    stops = [b"".join(PIECES[token] for token in row)[2:4] for row in long]
    found = ask(PROMPTS[:2], stop_string=stops, max_new_tokens=60)
    assert found["tokens"].shape[1] < 6


def test_a_family_that_reads_both_ways_cannot_write(toy_backbone):
    import keras_nlp

    from kerasft.backbones.load import load_text_functions

    backbone = bert_view(keras_nlp.models.Backbone.from_preset(str(toy_backbone)))
    with pytest.raises(KerasftError, match="bert backbone cannot write text"):
        make_generator(backbone, load_text_functions(toy_backbone))
