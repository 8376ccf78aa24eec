"""Rows for learning answers alone: prompt, answer, end token, and which of them the loss is about.

A causal network foretells each token from those before it. So the loss is about the tokens of the answers and the end
token behind each; the prompts, and in a dialogue what the other side says, are only read.
"""

from dataclasses import dataclass

import numpy as np

from kerasft.data.ragged import Ragged, row_of_each, starts_of
from kerasft.errors import KerasftError

LEAST = 3
"""Tokens: the last of a prompt, one of an answer, and its end."""


@dataclass(frozen=True)
class AnswerRows:
    """N sequences of tokens, end to end.

    Attributes:
        ids: int32[sum of lengths].
        starts: int64[N + 1], where each sequence begins.
        learnt: bool[sum of lengths], whether a token is to be foretold; never the first of a sequence.
        prompt_cut: int32[N], tokens left out at the beginning.
        answer_cut: int32[N], tokens left out at the end, the end token among them.
    """

    ids: np.ndarray
    starts: np.ndarray
    learnt: np.ndarray
    prompt_cut: np.ndarray
    answer_cut: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def targets(self) -> np.ndarray:
        """int32[sum of lengths]: at each place 1 + the next token, where that one is learnt; else 0."""
        found = np.zeros(len(self.ids), np.int32)
        # The first token of a sequence is never learnt: nothing crosses from one to the next.
        found[:-1] = np.where(self.learnt[1:], self.ids[1:] + 1, 0)
        return found


def answer_rows(prompts: Ragged, answers: Ragged, end: int, max_length: int) -> AnswerRows:
    """One prompt and one answer a row; see `turn_rows`."""
    if len(prompts) != len(answers):
        raise ValueError(f"Expected as many answers as prompts; found {len(answers)} and {len(prompts)}.")
    count = len(prompts)
    order = np.arange(2 * count).reshape(2, count).T.reshape(-1)
    both = Ragged(
        np.concatenate([prompts.flat, answers.flat]),
        np.concatenate([prompts.starts, prompts.starts[-1] + answers.starts[1:]]),
    )
    return turn_rows(both.take(order), np.arange(count + 1) * 2, np.tile([False, True], count), end, max_length)


def turn_rows(turns: Ragged, first: np.ndarray, learnt: np.ndarray, end: int, max_length: int) -> AnswerRows:
    """Lays turns out as sequences: an end token behind each that is learnt, and one in front where nothing else is.

    Turns behind the last one that is learnt are left out. A sequence that is too long loses its first tokens, but never
    the one in front of its last answer; if that answer alone is too long, it loses its end, and with it the end token:
    a broken answer has no end to learn.

    Args:
        turns: int32, P turns of N rows, row after row; any of them may be empty.
        first: int64[N + 1], where the turns of each row begin among the P; each row has one that is learnt.
        learnt: bool[P], whether a turn is an answer to learn.
        end: id of the end token.
        max_length: the most tokens of a sequence.

    Returns:
        The sequences.

    Raises:
        KerasftError: `max_length` is below 3.
    """
    if max_length < LEAST:
        raise KerasftError(
            f"max_length must be at least {LEAST}, for a token of the prompt, one of the answer and its end; found "
            f"{max_length}. Raise max_length."
        )
    learnt, row = np.asarray(learnt, bool), row_of_each(first)
    answers = np.flatnonzero(learnt)
    every_row = np.arange(len(first) - 1)
    if not np.array_equal(np.unique(row[answers]), every_row):
        raise ValueError("Expected an answer to learn in every row.")
    first_answer = answers[np.searchsorted(row[answers], every_row)]
    last_answer = answers[np.searchsorted(row[answers], every_row, side="right") - 1]

    # Each turn with its end, and a start where a sequence would begin with an answer.
    is_kept = np.arange(len(row)) <= last_answer[row]
    spoken = np.where(is_kept, turns.lengths + learnt, 0)
    started = turns.starts[first_answer] == turns.starts[first[:-1]]
    of_row = np.bincount(row, spoken, minlength=len(every_row)).astype(np.int64) + started
    starts = starts_of(of_row)
    begin = starts_of(spoken)[:-1] + np.cumsum(started)[row]
    ids = np.full(starts[-1], end, np.int32)
    ids[_places(begin, np.where(is_kept, turns.lengths, 0))] = turns.flat[np.repeat(is_kept, turns.lengths)]
    mask = np.zeros(starts[-1], bool)
    mask[_places(begin, spoken)] = np.repeat(learnt, spoken)

    excess = np.maximum(of_row - max_length, 0)
    from_left = np.minimum(excess, of_row - spoken[last_answer] - 1)
    from_right = excess - from_left
    kept = _places(starts[:-1] + from_left, of_row - excess)
    cut_starts, mask = starts_of(of_row - excess), mask[kept]
    mask[cut_starts[:-1]] = False
    return AnswerRows(ids[kept], cut_starts, mask, from_left.astype(np.int32), from_right.astype(np.int32))


def _places(begin: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """int64[sum of lengths]: so many places from each beginning on, one range after the other."""
    starts = starts_of(lengths)
    return np.arange(starts[-1]) + np.repeat(begin - starts[:-1], lengths)
