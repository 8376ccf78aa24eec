"""CoNLL columns: a word a line with its tag in the last column, an empty line between sentences.

As in the shared tasks of CoNLL-2000 and 2003; columns are divided by tabs, or else by spaces.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from kerasft.data.opened import Fault, Native
from kerasft.errors import KerasftError
from kerasft.evaluation.spans import find_tag_scheme, spans_of_tags

Record = tuple[int, object]
_MEND = "Write a tag for each word."


def tagged_sentences(text: str) -> Iterator[Record]:
    """Reads a file.

    Args:
        text: of the whole file.

    Yields:
        The line at which a sentence begins, from 1, and the sentence as `{"tokens": […], "tags": […]}`, or a `Fault`.
    """
    words: list[list[str]] = []
    first = 1
    # Comments of CoNLL-U and document marks of CoNLL-2003 are no words; with spaces between the columns, `#` is one.
    marks = ("-DOCSTART-", "# ") if "\t" in text else ("-DOCSTART-",)
    for number, line in enumerate([*text.split("\n"), ""], 1):
        line = line.rstrip("\r")
        if line.strip():
            if not words:
                first = number
            if words or not line.startswith(marks):
                words.append(line.split("\t") if "\t" in line else line.split())
            continue
        if words:
            yield first, _sentence(first, words)
        words = []


def _sentence(first: int, words: Sequence[Sequence[str]]) -> object:
    widths = {len(columns) for columns in words}
    if len(widths) > 1 or widths == {1}:
        bad = next(place for place, columns in enumerate(words) if len(columns) in (1, *widths - {len(words[0])}))
        found = f"{len(words[bad])} column{'s' * (len(words[bad]) > 1)}"
        return Fault(first, f"word {bad + 1} of the sentence has {found}, expected {max(widths)} or 2", _MEND)
    return {"tokens": [columns[0] for columns in words], "tags": [columns[-1].strip() for columns in words]}


def with_spans(records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    """Turns rows of tokens and tags into rows of text and spans; others stay as they are.

    The text is the tokens with single spaces between them.

    Args:
        records: gives all rows of a file, each time it is called.
    """
    tags = {str(tag) for _, record in records() if _listed(record, "tokens") for tag in _listed(record, "tags")}
    scheme = find_tag_scheme(tags) if tags else "bio"
    for number, record in records():
        tokens, its = _listed(record, "tokens"), _listed(record, "tags")
        if not tokens:
            yield number, record
            continue
        if "tags" not in record:
            yield number, _with_text(record, list(map(str, tokens)), [], scheme)
            continue
        if len(tokens) != len(its):
            yield number, Fault(number, f"{len(its)} tags for {len(tokens)} tokens", _MEND)
            continue
        yield number, _with_text(record, list(map(str, tokens)), list(map(str, its)), scheme)


def _listed(record: object, key: str) -> Sequence:
    found = record.get(key) if isinstance(record, Mapping) else None
    return found if isinstance(found, list | tuple) else []


def _with_text(record: Mapping, tokens: Sequence[str], tags: Sequence[str], scheme: str) -> dict:
    starts, place = [], 0
    for token in tokens:
        starts.append(place)
        place += len(token) + 1
    if not tags:
        return {**{key: value for key, value in record.items() if key != "tokens"}, "text": " ".join(tokens)}
    spans = [[starts[a], starts[b - 1] + len(tokens[b - 1]), label] for a, b, label in spans_of_tags(tags, scheme)]
    rest = {key: value for key, value in record.items() if key not in ("tokens", "tags")}
    return {**rest, "text": " ".join(tokens), "spans": spans}


def checked_spans(value: str, what: str = "spans") -> list[tuple[int, int, str]]:
    """Spans as a row has them: `[[start, end, label], …]`, or objects with these keys.

    Args:
        value: the cell, "" for none.
        what: they are called in a message.

    Returns:
        In order.

    Raises:
        KerasftError: they are not so.
    """
    if not value:
        return []
    try:
        listed = json.loads(value)
        spans = [(span["start"], span["end"], span["label"]) if isinstance(span, dict) else span for span in listed]
        return sorted((int(start), int(end), str(label)) for start, end, label in spans)
    except (ValueError, TypeError, KeyError):
        raise KerasftError(f"the {what} are not of the form [[start, end, label], …]") from None


NATIVE = Native(endings=(".conll", ".bio", ".iob", ".iob2"), records=tagged_sentences, adapt=with_spans)
