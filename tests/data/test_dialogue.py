"""Dialogues in the words of a chat template, from turns to tokens."""

import pytest

from kerasft.data.answer_rows import turn_rows
from kerasft.data.dialogue import rendered_turns
from kerasft.data.ragged import Ragged, token_ids
from kerasft.errors import KerasftError
from kerasft.text.template import parse_template

TEMPLATE = parse_template("User: {turn}\nBot: {reply}\n", columns=("turn",), target="reply")


def test_each_second_turn_is_a_reply():
    found = rendered_turns([["a", "b", "c", "d"], ["e", "f", "g"]], TEMPLATE)
    assert found.texts == ("User: a\nBot:", " b\n", "User: c\nBot:", " d\n", "User: e\nBot:", " f\n")
    assert found.first.tolist() == [0, 4, 6]
    assert found.learnt.tolist() == [False, True] * 3


@pytest.mark.parametrize("turns", [[], ["a"]])
def test_a_dialogue_without_a_reply(turns):
    with pytest.raises(KerasftError, match=r"Dialogue 2 has . turn\(s\): expected two or more"):
        rendered_turns([["a", "b"], turns], TEMPLATE)


def test_no_dialogues():
    found = rendered_turns([], TEMPLATE)
    assert (found.texts, found.first.tolist(), len(found.learnt)) == ((), [0], 0)


def test_the_loss_is_about_the_replies_alone(tmp_path):
    from kerasft.backbones.load import load_text_functions
    from tests.toy_gpt2 import train, write_files

    functions = load_text_functions(write_files(tmp_path, *train()))
    end = functions.vocabulary.index("<|endoftext|>")
    turns = rendered_turns([["the film", "good", "why", "the cafés"], ["no", ""]], TEMPLATE)
    found = turn_rows(token_ids(functions, turns.texts), turns.first, turns.learnt, end, 500)
    rows = [
        [functions.vocabulary[number] for number, is_learnt in zip(ids, learnt, strict=True) if is_learnt]
        for ids, learnt in zip(
            Ragged(found.ids, found.starts).to_lists(), Ragged(found.learnt, found.starts).to_lists(), strict=True
        )
    ]
    said = ["".join(row).replace("Ġ", " ").replace("Ċ", "\n").replace("Ã©", "é") for row in rows]
    assert said == [" good\n<|endoftext|> the cafés\n<|endoftext|>", " \n<|endoftext|>"]
