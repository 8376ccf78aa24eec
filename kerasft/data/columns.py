"""Which column of a file is which column of the task: as told, by name, or guessed where only one guess is possible."""

import operator
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kerasft.data.opened import Native
from kerasft.data.plain import quoted
from kerasft.errors import KerasftError, did_you_mean

# Other names for a task's column, in lower case with "_" for spaces and hyphens.
# fmt: off
# The first of two texts: no text of its own where the second stands beside it and the task takes one alone.
FIRST_OF_TWO = frozenset((
    "sentence1", "sentence_1", "text1", "text_1", "text_a", "premise", "question1", "anchor",
))
SYNONYMS: Mapping[str, frozenset[str]] = {
    "text": frozenset((
        "review", "sentence", "content", "comment", "body", "message", "tweet", "document", "utterance", "post",
        *FIRST_OF_TWO,
        "sms", "texts", "review_text", "review_body", "review_content", "tweet_text", "comment_text",
        "message_text",
    )),
    "label": frozenset((
        "sentiment", "class", "category", "target", "y", "stars", "star_rating", "rating", "polarity", "labels",
        "label_text", "label_name", "class_name", "intent", "topic", "tag",
    )),
    "text_pair": frozenset((
        "sentence2", "sentence_2", "text2", "text_2", "text_b", "hypothesis", "question2", "second_text", "positive",
    )),
    "negative": frozenset(("hard_negative",)),
    "labels": frozenset(("label", "tags", "categories", "classes", "topics", "emotions", "label_names")),
    "score": frozenset(("value", "rating", "stars", "target", "y", "similarity", "grade", "points", "label")),
    "query": frozenset(("question", "search", "q", "query_text")),
    "document": frozenset(("passage", "doc", "paragraph", "text", "content", "answer", "document_text")),
    "relevance": frozenset(("label", "score", "grade", "relevant", "rel", "judgement", "judgment", "rating")),
    "predicate": frozenset((
        "predicate_start", "predicate_offset", "predicate_position", "verb_start", "verb_offset", "verb_position",
    )),
    "roles": frozenset(("arguments", "semantic_roles", "role_spans")),
}
# fmt: on

LONG_TEXT = 20  # mean characters above which a column holds texts rather than codes or names
LONGEST_LABEL = 60  # characters above which a value is no class name, and a "column name" no name
MOST_NAMED = 4  # more candidates than this are not each spelt out as an option


@dataclass(frozen=True)
class Cell:
    """How a value of a column is taken.

    Attributes:
        blank: an empty value is an answer too.
        lists: a list (of a JSON or Parquet file) is an answer; it is handed on as JSON text.
        verbatim: white space around a value is a part of it; of a text it always is.
        becomes: (a value without fault) -> what the rows have in its place.
        fault: (the value, without white space around it; the row's texts, by column) -> what is wrong with it, or None.
        mend: what the user does about that, one sentence.
    """

    blank: bool = False
    lists: bool = False
    verbatim: bool = False
    becomes: Callable[[str], str] | None = None
    fault: Callable[[str, Mapping[str, str]], str | None] | None = None
    mend: str = ""


PLAIN = Cell()


@dataclass(frozen=True)
class Wanted:
    """What a task needs of a file, and in whose words a message speaks of it.

    Attributes:
        text_columns: the task's text columns, as the task names them.
        label_column: the task's label column; None when labels are not needed.
        label_optional: take the label where there is one, do not miss it otherwise, and never guess it.
        told: task column -> the file's column, from `--set text_column=review`.
        task_name: for messages.
        can_set: whether the user can pass `--set` here; else the mend is to rename the column.
        optional_columns: those of `text_columns` that are taken where they are, and never missed or guessed from what
            is left.
        native: the task's own formats.
        number_columns: the task's columns of whole numbers; never guessed from what is left.
        cells: column -> how its values are taken, where that is not plainly.
    """

    text_columns: tuple[str, ...]
    label_column: str | None
    label_optional: bool
    told: Mapping[str, str]
    task_name: str
    can_set: bool = True
    optional_columns: tuple[str, ...] = ()
    native: Native | None = None
    number_columns: tuple[str, ...] = ()
    cells: Mapping[str, Cell] = field(default_factory=dict)

    def columns(self) -> tuple[str, ...]:
        return self.text_columns + self.number_columns + ((self.label_column,) if self.label_column else ())

    def may_lack(self, column: str) -> bool:
        """Whether a file without this column will do."""
        return column in self.optional_columns or (self.label_optional and column == self.label_column)

    def cell(self, column: str) -> Cell:
        """How the column's values are taken."""
        return self.cells.get(column, PLAIN)

    @property
    def lists(self) -> frozenset[str]:
        """The columns that may hold lists."""
        return frozenset(column for column in self.columns() if self.cell(column).lists)


Sample = Callable[[], Sequence[Sequence[str]]]


def resolve_columns(
    names: Sequence[str], wanted: Wanted, sample: Sample, source: str
) -> tuple[dict[str, int], list[str]]:
    """Finds each wanted column among a file's.

    Told names come first, then the task's own names, then those but for case and white space, then synonyms, then
    the only column that is left. A guess is never made between two candidates, nor for a label that may be missing.

    Args:
        names: the file's column names, in its order.
        wanted: what the task needs.
        sample: gives some values (missing ones left out) of each of the file's columns, in the order of `names`.
        source: the file's name, for messages.

    Returns:
        Task column -> position in `names`, without an optional label that is not there; and notes, one per guess.

    Raises:
        KerasftError: a column is missing, named twice, or there are several candidates for it.
    """
    found: dict[str, int] = {}
    notes: list[str] = []
    plain = [_plain(name) for name in names]
    for column in wanted.columns():
        if column in wanted.told:
            found[column] = _told_position(names, column, wanted.told[column], source)
    for column in wanted.columns():
        if column not in found and column in names:
            found[column] = _single(names, column, source)
    for rule in (operator.eq, _is_synonym):
        for column in wanted.columns():
            if column in found:
                continue
            # Other labels than the task's own look just the same: a class for a score.
            if rule is _is_synonym and column == wanted.label_column and wanted.may_lack(column):
                continue
            near = [i for i, name in enumerate(plain) if i not in found.values() and rule(name, column)]
            near = [i for i in near if i not in _halves(plain, column, wanted)]
            if (
                column == wanted.label_column
                and len(near) == 1
                and rule is _is_synonym
                and not wanted.cell(column).lists
            ):
                near = near if _are_short(sample()[near[0]]) else []
            if len(near) > 1 and not wanted.may_lack(column):
                raise KerasftError(_several_message(column, [names[i] for i in near], wanted, source))
            if len(near) == 1:
                found[column] = near[0]
                notes.append(f"{source}: column '{names[near[0]]}' is taken as '{column}'.")
    for column in wanted.columns():
        if column in found or wanted.may_lack(column):
            continue
        position = _left_over(names, plain, column, found, wanted, sample, source)
        if position is None:
            raise KerasftError(_missing_message(names, column, found, wanted, source))
        found[column] = position
        notes.append(f"{source}: column '{names[position]}' is taken as '{column}', the only one left for it.")
    return found, notes


def _halves(plain: Sequence[str], column: str, wanted: Wanted) -> set[int]:
    """The columns that are one half of a pair, for a task that takes one text: neither is the text."""
    halves = {i for i, name in enumerate(plain) if name in FIRST_OF_TWO or name in SYNONYMS["text_pair"]}
    return halves if column == "text" and "text_pair" not in wanted.text_columns and len(halves) > 1 else set()


def _is_synonym(name: str, column: str) -> bool:
    return name in SYNONYMS.get(column, ())


def _plain(name: str) -> str:
    return re.sub(r"[\s\-]+", "_", name.strip().casefold())


def _told_position(names: Sequence[str], column: str, told: str, source: str) -> int:
    if told in names:
        return _single(names, told, source)
    near = [i for i, name in enumerate(names) if _plain(name) == _plain(told)]
    if len(near) == 1:
        return near[0]
    raise KerasftError(f"{column}_column={told} names no column of {source}.{did_you_mean(told, names)}")


def _single(names: Sequence[str], name: str, source: str) -> int:
    if list(names).count(name) > 1:
        positions = ", ".join(str(i + 1) for i, other in enumerate(names) if other == name)
        raise KerasftError(f"{source} has two columns '{name}' (columns {positions}): rename or remove one of them.")
    return list(names).index(name)


def _left_over(names, plain, column, found, wanted: Wanted, sample: Sample, source: str) -> int | None:
    """The position of the only column that can be `column` when no name says so, or None."""
    if column in wanted.number_columns:
        return None
    needed = [other for other in wanted.columns() if not wanted.may_lack(other)]
    missing = [other for other in needed if other not in found]
    free = [i for i in range(len(names)) if i not in found.values() and not _is_data(names[i])]
    if column in wanted.text_columns:
        free = [i for i in free if plain[i] not in SYNONYMS["label"] and plain[i] != "label"]
        free = [i for i in free if i not in _halves(plain, column, wanted)]
        if len([other for other in missing if other in wanted.text_columns]) > 1:
            return None
    if not free:
        return None
    values = sample()
    if column == wanted.label_column:
        return free[0] if len(free) == 1 and _are_labels(values[free[0]]) else None
    long = [i for i in free if _are_texts(values[i])]
    if len(long) > 1:
        raise KerasftError(_several_message(column, [names[i] for i in long], wanted, source))
    if long:
        return long[0]
    return free[0] if len(names) == len(needed) and len(missing) == 1 else None


def _are_texts(values: Sequence[str]) -> bool:
    return bool(values) and sum(map(len, values)) >= LONG_TEXT * len(values) and sum(" " in v for v in values) > 0


def _are_short(values: Sequence[str]) -> bool:
    return max(map(len, values), default=0) <= LONGEST_LABEL


def _are_labels(values: Sequence[str]) -> bool:
    return bool(values) and _are_short(values) and 2 * len(set(values)) <= len(values)


def _is_data(name: str) -> bool:
    """Whether a "column name" looks like a value: the header line is missing."""
    return (
        not name.strip()
        or len(name) > LONGEST_LABEL
        or name.count(" ") > 4
        or bool(re.fullmatch(r"[-+\d.,]+", name.strip()))
    )


def _mend(column: str, candidates: Sequence[str], wanted: Wanted) -> str:
    if not wanted.can_set:
        return f"Rename the right one to '{column}'."
    if not candidates:
        return f"Add the column, or name it with --set {column}_column=NAME."
    if len(candidates) > MOST_NAMED:
        return f"Pass --set {column}_column=NAME with the right one of them."
    options = [f"--set {shlex.quote(f'{column}_column={name}')}" for name in candidates]
    return f"Pass {' or '.join(options)}."


def _several_message(column: str, candidates: Sequence[str], wanted: Wanted, source: str) -> str:
    return (
        f"Task '{wanted.task_name}' needs a column '{column}'; in {source} it could be {quoted(candidates, ' or ')}. "
        f"{_mend(column, candidates, wanted)}"
    )


def _missing_message(names: Sequence[str], column: str, found: Mapping[str, int], wanted: Wanted, source: str) -> str:
    has = f"Task '{wanted.task_name}' needs a column '{column}'; {source} has {quoted(names)}."
    if any(_is_data(name) for name in names):
        return f"{has} The first line must name the columns: add such a line, as in {','.join(wanted.columns())}."
    free = [name for i, name in enumerate(names) if i not in found.values()]
    return f"{has} {_mend(column, free, wanted)}"
