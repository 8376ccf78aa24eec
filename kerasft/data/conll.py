"""CoNLL columns: a word a line with its tag in the last column, an empty line between sentences.

As in the shared tasks of CoNLL-2000 and 2003; columns are divided by tabs, or else by spaces.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from kerasft.data.opened import Fault, Native
from kerasft.data.plain import json_of, plain_string, whole_number
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
    widths = [len(columns) for columns in words]
    usual = Counter(widths).most_common(1)[0][0]
    bad = next((place for place, width in enumerate(widths) if width in (1, *{*widths} - {usual})), None)
    if bad is not None:
        found = f"{widths[bad]} column{'s' * (widths[bad] > 1)}"
        expected = usual if usual > 1 else "2 or more"
        return Fault(first, f"word {bad + 1} of the sentence has {found}, expected {expected}", _MEND)
    return {"tokens": [columns[0] for columns in words], "tags": [columns[-1].strip() for columns in words]}


def with_spans(records: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    """Turns rows of tokens and tags into rows of text and spans; others stay as they are.

    The text is the tokens with single spaces between them.

    Args:
        records: gives all rows of a file, each time it is called.
    """
    tags = {tag for _, record in records() if _words(record, "tokens") for tag in _words(record, "tags")} - {""}
    scheme = find_tag_scheme(tags) if tags else "bio"
    for number, record in records():
        tokens, its = _words(record, "tokens"), _words(record, "tags")
        if not tokens:
            yield number, record
            continue
        if "tags" not in record:
            yield number, _with_text(record, tokens, [], scheme)
            continue
        if len(tokens) != len(its):
            yield number, Fault(number, f"{len(its)} tags for {len(tokens)} tokens", _MEND)
            continue
        if "" in its:
            yield number, Fault(number, f"word {its.index('') + 1} of the sentence has an empty tag", _MEND)
            continue
        yield number, _with_text(record, tokens, its, scheme)


def _words(record: object, key: str) -> list[str]:
    found = record.get(key) if isinstance(record, Mapping) else None
    return ["" if word is None else str(word) for word in found] if isinstance(found, list | tuple) else []


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
        listed = json_of(value)
        if not isinstance(listed, list):
            raise ValueError("no list")
        return sorted(map(_span, listed))
    except (ValueError, TypeError, KeyError):
        raise KerasftError(f"the {what} are not of the form [[start, end, label], …]") from None


def _span(span: object) -> tuple[int, int, str]:
    """One span as JSON has it; raises `ValueError`, `TypeError` or `KeyError` for what is none."""
    if isinstance(span, str):
        raise TypeError("a text")
    start, end, label = (span["start"], span["end"], span["label"]) if isinstance(span, Mapping) else span
    start, end = (whole_number(plain_string(place)) for place in (start, end))
    label = plain_string(label)
    if None in (start, end, label):
        raise ValueError("not whole numbers and a name")
    return start, end, label


NATIVE = Native(endings=(".conll", ".bio", ".iob", ".iob2"), records=tagged_sentences, adapt=with_spans)
