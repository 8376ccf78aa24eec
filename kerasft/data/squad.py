"""SQuAD's JSON (v1 and v2), and answers as a cell has them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from kerasft.data.opened import Fault, Native
from kerasft.data.plain import json_of
from kerasft.errors import KerasftError

Record = tuple[int, object]


def flattened(records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    """Turns SQuAD's layout into a row for each question; rows that are flat already stay as they are.

    Args:
        records: gives all rows of a file, each time it is called.

    Yields:
        The number of the question and `{"question", "context", "answer"}`, the answer a list of
        `{"text", "answer_start"}`.
    """
    questions = 0
    for number, record in records():
        if not (isinstance(record, Mapping) and isinstance(record.get("data"), list)):
            yield number, record
            continue
        for article in record["data"]:
            if isinstance(article, Mapping) and "paragraphs" not in article:
                questions += 1
                yield questions, article
                continue
            try:
                found = list(_questions(article))
            except TypeError:
                mend = "Write SQuAD's layout, or a row for each question."
                yield number, Fault(number, "an article is not an object with paragraphs of questions", mend)
                continue
            for row in found:
                questions += 1
                yield questions, row


def _questions(article: object) -> Iterator[Mapping]:
    """The rows of an article; raises `TypeError` for one that is not laid out as SQuAD's are."""
    for paragraph in _listed(article, "paragraphs"):
        for asked in _listed(paragraph, "qas"):
            answers = [] if _object(asked).get("is_impossible") else asked.get("answers", [])
            yield {"question": asked.get("question"), "context": paragraph.get("context"), "answer": answers}


def _object(value: object) -> Mapping:
    if not isinstance(value, Mapping):
        raise TypeError("no object")
    return value


def _listed(value: object, key: str) -> Sequence:
    found = _object(value).get(key) or []
    if not isinstance(found, list):
        raise TypeError("no list")
    return found


def answers_of(value: str, context: str) -> list[tuple[int, int]]:
    """The places of a row's answers.

    Args:
        value: "" for none; a part of the context; or a JSON list of `{"text", "answer_start"}`, or of texts.
        context: the text.

    Returns:
        First character and the one behind the last, of each; a text without a place is taken where it occurs first.

    Raises:
        KerasftError: an answer is not in the context, or not where it says.
    """
    if not value:
        return []
    return [_place(answer, context) for answer in _answers(value)]


def _answers(value: str) -> Sequence:
    """The answers that a cell lists, or else the cell itself: a part of a context may begin with a bracket too."""
    try:
        listed = json_of(value) if value.startswith("[") else [value]
    except ValueError:
        return [value]
    return listed if all(isinstance(answer, str | Mapping) for answer in listed) else [value]


def _place(answer: object, context: str) -> tuple[int, int]:
    start = None
    if isinstance(answer, Mapping):
        answer, start = answer.get("text"), answer.get("answer_start")
    if not isinstance(answer, str) or not answer.strip():
        raise KerasftError("an answer is not a text")
    if start is None:
        start = context.find(answer)
        if start < 0:
            raise KerasftError(f"the answer {_shown(answer)} is not in the context")
    elif not isinstance(start, int) or start < 0 or not context.startswith(answer, start):
        there = context[start : start + len(answer)] if isinstance(start, int) and start >= 0 else ""
        there = f"; there is {_shown(there)}" if there else ""
        raise KerasftError(f"the answer {_shown(answer)} is not at character {start} of the context{there}")
    return start, start + len(answer)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


NATIVE = Native(endings=(), records=lambda text: iter(()), adapt=flattened)
