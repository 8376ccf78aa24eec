"""SQuAD's JSON (v1 and v2), and answers as a cell has them."""

import json
from collections.abc import Callable, Iterator, Mapping

from kerasft.data.opened import Fault, Native
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
            if not isinstance(article, Mapping):
                yield (
                    number,
                    Fault(number, "an article is no object", "Write SQuAD's layout, or a row for each question."),
                )
                continue
            if "paragraphs" not in article:
                questions += 1
                yield questions, article
                continue
            for paragraph in article["paragraphs"] or []:
                for asked in paragraph.get("qas") or []:
                    questions += 1
                    answers = [] if asked.get("is_impossible") else asked.get("answers", [])
                    row = {"question": asked.get("question"), "context": paragraph.get("context"), "answer": answers}
                    yield questions, row


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
    listed: list = [value]
    if value.startswith("["):
        try:
            listed = json.loads(value)
        except ValueError:
            # A part of a context may begin with a bracket.
            listed = [value]
    return [_place(answer, context) for answer in listed]


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
    elif not isinstance(start, int) or context[start : start + len(answer)] != answer:
        there = f"; there is {_shown(context[start : start + len(answer)])}" if isinstance(start, int) else ""
        raise KerasftError(f"the answer {_shown(answer)} is not at character {start} of the context{there}")
    return start, start + len(answer)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


NATIVE = Native(endings=(), records=lambda text: iter(()), adapt=flattened)
