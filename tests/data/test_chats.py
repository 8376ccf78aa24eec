"""Dialogues in the ways in which people write them."""

import json

import pytest

from kerasft.data.prepare import read_for
from kerasft.errors import KerasftError
from kerasft.tasks import TASKS

DIALOGUE = TASKS["dialogue"]
LINES = "Hello\nGood day\nAre you open?\nYes"


def turns(rows: list[dict], **options) -> list[str]:
    return read_for(DIALOGUE, rows, **options).rows.column("turns")


@pytest.mark.parametrize(
    "row",
    [
        {"turns": ["Hello", "Good day", "Are you open?", "Yes"]},
        {"turns": json.dumps(["Hello", " Good\n day ", "Are you open?", "Yes"])},
        {"turns": LINES + "\n\n"},
        {
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Good day"},
                {"role": "user", "content": "Are you\nopen?"},
                {"role": "assistant", "content": "Yes"},
            ]
        },
        {
            "conversations": [
                {"from": "human", "value": "Hello"},
                {"from": "gpt", "value": "Good day"},
                {"from": "human", "value": "Are you open?"},
                {"from": "gpt", "value": "Yes"},
            ]
        },
    ],
)
def test_all_become_a_turn_a_line(row):
    assert turns([row]) == [LINES]


def test_what_the_system_says_stands_in_front_of_the_first_turn():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
    ]
    assert turns([{"messages": messages}]) == ["Be brief. Hello\nHi"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"turns": ["Hello"]}, "a dialogue of 1 turn has no reply"),
        ({"turns": "Hello"}, "a dialogue of 1 turn has no reply"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "or the first is not the user's"),
        ({"messages": [{"role": "judge", "content": "Hi"}]}, "a message has the role 'judge'"),
        ({"messages": [{"role": "user"}]}, "a message lacks its role or its content"),
        ({"messages": ["Hi"]}, "a message is no mapping"),
    ],
)
def test_what_is_no_dialogue_is_told_with_its_row(row, message):
    good = (
        {"turns": "a\nb"}
        if "turns" in row
        else {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    )
    with pytest.raises(KerasftError, match="row 2") as fault:
        turns([good, row])
    assert message in str(fault.value)
    assert turns([good, row], on_bad_row="skip") == ["a\nb"]
