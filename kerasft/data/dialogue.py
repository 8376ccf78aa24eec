"""Dialogues as turns to read and replies to learn, each in the words of a chat template."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasft.data.ragged import starts_of
from kerasft.errors import KerasftError
from kerasft.text.template import Template, render_answer, render_prompt

TURN, REPLY = "turn", "reply"
"""The fields of a chat template, such as `"User: {turn}\\nBot: {reply}\\n"`: one exchange."""


@dataclass(frozen=True)
class Turns:
    """The turns of N dialogues, as `kerasft.data.answer_rows.turn_rows` takes them.

    Attributes:
        texts: all turns, dialogue after dialogue.
        first: int64[N + 1], where those of each dialogue begin.
        learnt: bool, whether a turn is a reply.
    """

    texts: tuple[str, ...]
    first: np.ndarray
    learnt: np.ndarray


def rendered_turns(dialogues: Sequence[Sequence[str]], template: Template) -> Turns:
    """Renders dialogues. The one who speaks first is the user; each second turn is a reply.

    Args:
        dialogues: N lists of turns. A last turn without a reply is left out: nothing can be learnt of it.
        template: with the field `turn` and the target `reply`.

    Returns:
        The turns.

    Raises:
        KerasftError: a dialogue without a reply.
    """
    texts: list[str] = []
    for number, turns in enumerate(dialogues, 1):
        if len(turns) < 2:
            raise KerasftError(
                f"Dialogue {number} has {len(turns)} turn(s): expected two or more, of which each second is a reply."
            )
        for turn, reply in zip(turns[::2], turns[1::2], strict=False):
            texts += [render_prompt(template, {TURN: turn}), render_answer(template, reply)]
    first = starts_of(np.array([len(turns) // 2 * 2 for turns in dialogues], int))
    return Turns(tuple(texts), first, np.arange(len(texts)) % 2 == 1)
