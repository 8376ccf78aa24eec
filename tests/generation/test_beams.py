"""Beam search against the plainest search over lists, which runs the whole text again for each beam."""

import numpy as np
import pytest

from kerasft.errors import KerasftError
from kerasft.generation.generator import generate, search
from tests.random_gpt2 import END, TOY, log_softmax, plain_logits, random_arrays, random_prompts
from tests.toy_generator import PIECES, as_lists, in_graph, ragged, toy_generator

ARRAYS = random_arrays()
PROMPTS = random_prompts(4, 12, seed=3)


def plain_search(prompt, width, count, penalty, end):
    """The best answer: score by length, and tokens with their log-probabilities."""
    beams, answers = [(0.0, [], [])], []
    for step in range(1, count + 1):
        candidates = []
        for score, tokens, likely in beams:
            next_likely = log_softmax(plain_logits(ARRAYS, [*prompt, *tokens])[-1])
            for token in np.argsort(-next_likely, kind="stable")[: 2 * width].tolist():
                one = next_likely[token]
                candidates.append((score + one, [*tokens, token], [*likely, one]))
        best = sorted(candidates, key=lambda candidate: -candidate[0])[: 2 * width]
        ends = [tokens[-1] == end or step == count for _, tokens, _ in best]
        finished = [found for found, is_end in zip(best[:width], ends, strict=False) if is_end]
        answers += [(score / step**penalty, tokens, likely) for score, tokens, likely in finished]
        answers = sorted(answers, key=lambda answer: -answer[0])[:width]
        beams = [found for found, is_end in zip(best, ends, strict=True) if not is_end][:width]
        if not beams or (len(answers) == width and beams[0][0] / step**penalty <= answers[-1][0]):
            break
    return answers[0]


def common_end():
    """A token that likely answers have early, so that some end before the last step."""
    tokens = as_lists(generate(toy_generator(), ragged(PROMPTS), max_new_tokens=8))
    return tokens[0][3]


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("width", [1, 3, 4])
def test_beam_search_equals_the_plain_search(width, penalty):
    end = common_end()
    counts = np.array([12, 5, 12, 1], np.int32)
    penalties = np.full(4, penalty, np.float32)
    found = search(toy_generator(end=end), ragged(PROMPTS), width, length_penalty=penalties, max_new_tokens=counts)
    reasons = set()
    for row, prompt in enumerate(PROMPTS):
        score, tokens, likely = plain_search(prompt, width, int(counts[row]), penalty, end)
        assert as_lists(found)[row] == tokens
        np.testing.assert_allclose(found["score"][row], score, rtol=1e-4)
        np.testing.assert_allclose(found["logprob"][row, : len(tokens)], likely, atol=1e-4)
        reasons.add(found["finish_reason"].numpy()[row])
        assert found["finish_reason"].numpy()[row] == (b"stop" if tokens[-1] == end else b"length")
    assert b"length" in reasons


def test_some_answers_end_before_the_last_step():
    """Else the tests above would say nothing of answers that wait for better ones."""
    found = search(toy_generator(end=common_end()), ragged(PROMPTS), 4, max_new_tokens=12, length_penalty=0.0)
    assert b"stop" in found["finish_reason"].numpy()


def test_one_beam_is_greedy_and_more_find_likelier_answers():
    greedy = generate(toy_generator(), ragged(PROMPTS), max_new_tokens=10)
    one = search(toy_generator(), ragged(PROMPTS), 1, max_new_tokens=10, length_penalty=0.0)
    assert as_lists(one) == as_lists(greedy)
    np.testing.assert_allclose(one["score"], greedy["logprob"].numpy().sum(axis=1), atol=1e-4)
    more = search(toy_generator(), ragged(PROMPTS), 6, max_new_tokens=10, length_penalty=0.0)
    # Not of every row: a beam search may drop the way that greedy decoding takes.
    assert more["score"].numpy().mean() > one["score"].numpy().mean() + 1e-2


def test_a_row_is_the_same_alone():
    generator = toy_generator()
    graph = in_graph(lambda prompts, counts: search(generator, prompts, 3, max_new_tokens=counts))
    counts = np.array([9, 2, 0, 6], np.int32)
    together = graph(ragged(PROMPTS), counts)
    for row, prompt in enumerate(PROMPTS):
        alone = graph(ragged([prompt]), counts[row : row + 1])
        assert as_lists(alone) == [as_lists(together)[row]]
        np.testing.assert_allclose(alone["score"][0], together["score"][row], atol=1e-4)
    assert graph(ragged([]), np.zeros([0], np.int32))["tokens"].shape == (0, 0)


def test_bad_numbers_spoil_their_own_row_alone():
    sound = search(toy_generator(), ragged(PROMPTS[:1]), 3, max_new_tokens=6)
    found = search(
        *(toy_generator(), ragged(PROMPTS), 3),
        length_penalty=np.array([1, np.nan, 1, np.inf], np.float32),
        max_new_tokens=np.array([6, 6, -1, 6]),
    )
    assert as_lists(found) == [as_lists(sound)[0], [], [], []]
    assert found["finish_reason"].numpy().tolist()[1:] == [b"error"] * 3
    assert found["error"].numpy()[1] == b"length_penalty: expected a number, found nan."
    assert found["score"].numpy()[1:].tolist() == [0.0] * 3


def test_answers_are_cut_at_stop_strings():
    plain = search(toy_generator(), ragged(PROMPTS), 3, max_new_tokens=8)
    written = b"".join(PIECES[token] for token in as_lists(plain)[0])
    stop = written[3:5]
    found = search(toy_generator(), ragged(PROMPTS), 3, max_new_tokens=8, stop=[stop])
    assert found["text"].numpy()[0].decode() == written[: written.find(stop)].decode(errors="replace")
    assert found["finish_reason"].numpy()[0] == b"stop_string"
    assert as_lists(found) == as_lists(plain)


def test_prompts_up_to_the_end_of_the_context():
    prompt = random_prompts(1, TOY.places - 3)[0]
    found = search(toy_generator(), ragged([prompt, [], [5]]), 3, max_new_tokens=3)
    for row, kept in enumerate((prompt, [END], [5])):
        assert as_lists(found)[row] == plain_search(kept, 3, 3, 1.0, END)[1]


@pytest.mark.parametrize("width", [0, TOY.vocabulary // 2 + 1])
def test_a_width_that_cannot_be(width):
    with pytest.raises(KerasftError, match=f"from 1 to 150 beams, found {width}"):
        search(toy_generator(), ragged(PROMPTS), width)
