"""Rows for learning answers: what is learnt, what a cut takes, and that it is the same however many rows there are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.data.answer_rows import answer_rows, turn_rows
from kerasft.data.ragged import Ragged, ragged, token_ids
from kerasft.errors import KerasftError

END = 99


def rows_of(prompts, answers, max_length=50):
    found = answer_rows(ragged(prompts), ragged(answers), END, max_length)
    ids, learnt, targets = (Ragged(flat, found.starts).to_lists() for flat in (found.ids, found.learnt, found.targets))
    return found, ids, learnt, targets


def test_the_answer_and_its_end_are_learnt():
    found, ids, learnt, targets = rows_of([[1, 2, 3], [4]], [[5, 6], []])
    assert ids == [[1, 2, 3, 5, 6, END], [4, END]]
    assert learnt == [[False, False, False, True, True, True], [False, True]]
    assert targets == [[0, 0, 6, 7, END + 1, 0], [END + 1, 0]]
    assert not found.prompt_cut.any()
    assert not found.answer_cut.any()


def test_an_empty_prompt_begins_with_the_end_token():
    _, ids, learnt, _ = rows_of([[], []], [[5], []])
    assert ids == [[END, 5, END], [END, END]]
    assert learnt == [[False, True, True], [False, True]]


def test_too_long_rows_lose_the_beginning_of_the_prompt():
    found, ids, learnt, _ = rows_of([[1, 2, 3, 4], [1]], [[5, 6], [5]], max_length=5)
    assert ids == [[3, 4, 5, 6, END], [1, 5, END]]
    assert learnt[0] == [False, False, True, True, True]
    assert (found.prompt_cut.tolist(), found.answer_cut.tolist()) == ([2, 0], [0, 0])


def test_an_answer_that_is_too_long_keeps_a_token_of_the_prompt_and_loses_its_end():
    found, ids, learnt, _ = rows_of([[1, 2], [], [1, 2]], [[5, 6, 7, 8], [5, 6, 7, 8, 9], [5, 6, 7]], max_length=4)
    assert ids == [[2, 5, 6, 7], [END, 5, 6, 7], [2, 5, 6, 7]]
    assert learnt == [[False, True, True, True]] * 3
    assert (found.prompt_cut.tolist(), found.answer_cut.tolist()) == ([1, 0, 1], [2, 3, 1])


def test_in_a_dialogue_every_reply_is_learnt_and_the_last_is_kept():
    turns, first = ragged([[1], [2, 3], [4, 5], [6], [7], [8], [9]]), np.array([0, 5, 7])
    learnt = np.array([False, True, False, True, False, True, False])
    found = turn_rows(turns, first, learnt, END, 50)
    assert Ragged(found.ids, found.starts).to_lists() == [[1, 2, 3, END, 4, 5, 6, END], [END, 8, END]]
    assert Ragged(found.learnt, found.starts).to_lists()[0] == [False, True, True, True, False, False, True, True]
    found = turn_rows(turns, first, learnt, END, 6)
    assert Ragged(found.ids, found.starts).to_lists()[0] == [3, END, 4, 5, 6, END]
    # Nothing is in front of its first token any more: it cannot be foretold.
    assert Ragged(found.learnt, found.starts).to_lists()[0] == [False, True, False, False, True, True]


def test_no_rows_and_too_little_room():
    found, *_ = rows_of([], [])
    assert (len(found), len(found.ids), found.starts.tolist()) == (0, 0, [0])
    with pytest.raises(KerasftError, match=r"max_length must be at least 3.*found 2"):
        rows_of([[1]], [[2]], max_length=2)


ROWS = st.lists(
    st.tuples(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 9), max_size=12)), max_size=6
)


@settings(max_examples=200, deadline=None)
@given(pairs=ROWS, max_length=st.integers(3, 30))
def test_any_rows(pairs, max_length):
    prompts, answers = [prompt for prompt, _ in pairs], [answer for _, answer in pairs]
    found, ids, learnt, targets = rows_of(prompts, answers, max_length)
    assert len(found) == len(pairs)
    for row, (prompt, answer) in enumerate(pairs):
        whole = [*(prompt or [END]), *answer, END]
        left, right = found.prompt_cut[row], found.answer_cut[row]
        assert ids[row] == whole[left : len(whole) - right]
        assert len(ids[row]) == min(len(whole), max_length)
        # The answer is cut only where nothing but one token is left of the prompt.
        assert right == 0 or left == len(prompt or [END]) - 1
        assert learnt[row] == [place >= len(prompt or [END]) for place in range(left, len(whole) - right)]
        assert targets[row] == [
            1 + ids[row][place + 1] if place + 1 < len(ids[row]) and learnt[row][place + 1] else 0
            for place in range(len(ids[row]))
        ]


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_rows_of_turns_one_by_one_and_together(data):
    turn = st.tuples(st.lists(st.integers(0, 9), max_size=5), st.booleans())
    some = st.lists(turn, min_size=1, max_size=5).filter(lambda row: any(learnt for _, learnt in row))
    rows = data.draw(st.lists(some, max_size=5))
    max_length = data.draw(st.integers(3, 20))

    def laid_out(these):
        turns = [turn for row in these for turn in row]
        first = np.cumsum([0, *(len(row) for row in these)])
        found = turn_rows(
            ragged([ids for ids, _ in turns]), first, np.array([k for _, k in turns], bool), END, max_length
        )
        return list(
            zip(
                Ragged(found.ids, found.starts).to_lists(),
                Ragged(found.learnt, found.starts).to_lists(),
                found.prompt_cut.tolist(),
                found.answer_cut.tolist(),
                strict=True,
            )
        )

    assert laid_out(rows) == [laid_out([row])[0] for row in rows]
    for row, (ids, learnt, *_) in zip(rows, laid_out(rows), strict=True):
        assert learnt[-1]
        assert not learnt[0]
        last = [turn for turn, is_learnt in row if is_learnt][-1]
        kept = min(len(last) + 1, max_length - 1)
        assert ids[-kept:] == [*last, END][:kept]


def test_each_text_is_tokenised_once(toy_backbone):
    import dataclasses

    from kerasft.backbones.load import load_text_functions

    functions = load_text_functions(toy_backbone)
    texts = ["a film", "", "the film is good"] * 400  # more than one call
    found = token_ids(functions, texts)
    assert found.to_lists() == functions.tokenize(texts).ids.to_list()
    calls = []
    counted = dataclasses.replace(functions, tokenize=lambda some: calls.append(some) or functions.tokenize(some))
    token_ids(counted, texts)
    assert len(calls) == 1  # traced once: a graph, not a call a text
    assert len(token_ids(functions, [])) == 0
