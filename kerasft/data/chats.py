"""Dialogues as rows have them: a turn a line; and the ways in which others write them."""

import json
from collections.abc import Callable, Iterator, Mapping

from kerasft.data.opened import Fault, Native
from kerasft.data.plain import json_of

Record = tuple[int, object]

_ROLES = {"user": 0, "human": 0, "prompter": 0, "assistant": 1, "gpt": 1, "bot": 1, "model": 1}
_SYSTEM = "system"
_LISTS = ("messages", "conversations", "conversation")
LINES = "Write two turns or more: a JSON list of texts, or one turn a line, the user's first."


def turns_of(value: str) -> list[str]:
    """The turns that a cell has: a JSON list of texts, or a text with one turn a line.

    Returns:
        The turns that are not blank; white space within one, line ends too, is a blank each.
    """
    try:
        found = json_of(value) if value.lstrip().startswith("[") else None
    except ValueError:
        found = None
    listed = isinstance(found, list) and all(isinstance(turn, str) for turn in found)
    turns = [" ".join(turn.split()) for turn in (found if listed else value.split("\n"))]
    return [turn for turn in turns if turn]


def lines_of(value: str) -> str:
    """A cell as rows and requests have it: a turn a line."""
    return "\n".join(turns_of(value))


def fault(value: str, texts: Mapping[str, str]) -> str | None:
    """Why a cell is no dialogue; None when it is one."""
    count = len(turns_of(value))
    return f"a dialogue of {count} turn{'s' * (count != 1)} has no reply" if count < 2 else None


def adapted(records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    """Chat records, `{"messages": [{"role": "user", "content": "…"}, …]}` and their kind, as `{"turns": […]}`.

    What the system says stands in front of the first turn. Other records are left as they are.
    """
    for number, record in records():
        name = next((name for name in _LISTS if isinstance(record, Mapping) and name in record), None)
        if name is None or not isinstance(record[name], list):
            yield number, record
            continue
        turns = _turns(record[name])
        if isinstance(turns, str):
            yield number, Fault(number, turns, "Write messages of user and assistant in turn, the user's first.")
        else:
            yield number, {**record, "turns": json.dumps(turns, ensure_ascii=False)}


def _turns(messages: list) -> list[str] | str:
    """The turns; or what is wrong with the messages."""
    before, turns = "", []
    for message in messages:
        if not isinstance(message, Mapping):
            return "a message is no mapping"
        role, text = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if not isinstance(role, str) or not isinstance(text, str):
            return "a message lacks its role or its content"
        if role == _SYSTEM:
            before = f"{before} {text}".strip()
            continue
        if role not in _ROLES:
            return f"a message has the role '{role}'"
        if _ROLES[role] != len(turns) % 2:
            return "two messages of one side follow each other, or the first is not the user's"
        turns.append(f"{before} {text}".strip() if not turns else text)
    return turns


NATIVE = Native(endings=(), records=lambda text: iter(()), adapt=adapted)
"""Chat records in JSON."""
