"""CoNLL-U Plus with PropBank's columns, as in Universal PropBank: a row for each predicate of each sentence.

Behind the ten columns of CoNLL-U the eleventh has the roleset of each predicate. Its roles are given in either of two
ways: in a column for each predicate of the sentence, in their order, with each role at its argument's head word and `V`
at the predicate itself (Universal PropBank 1); or at the predicate, as `A0:3|A1:7` with the numbers of the head words,
in the column that `# global.columns` calls UP:ARGHEADS (Universal PropBank 2). Either way an argument is its head word
alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kerasft.data.opened import Fault, Native
from kerasft.data.plain import shortened
from kerasft.errors import KerasftError

Record = tuple[int, object]
Place = tuple[int, int]

PREDICATE = "V"
_NUMBER = re.compile(r"(\d+)(?:([-.])(\d+))?")
_NONE = ("", "_")
_MEND = "Mend the sentence, or take it out."


@dataclass(frozen=True)
class Columns:
    """At which place a line has what.

    Attributes:
        form: the word.
        misc: CoNLL-U's own last column, with SpaceAfter=No.
        roleset: of a predicate; the columns of roles begin behind it.
        heads: of UP:ARGHEADS; None where each predicate has a column.
    """

    form: int = 1
    misc: int = 9
    roleset: int = 10
    heads: int | None = None


@dataclass(frozen=True)
class Line:
    """A word, a token of several words (`3-4`) or an empty node (`3.1`)."""

    number: int
    cells: Sequence[str]

    @property
    def id(self) -> str:
        return self.cells[0]

    @property
    def is_word(self) -> bool:
        return self.id.isdecimal()

    def cell(self, place: int) -> str:
        return self.cells[place].strip() if place < len(self.cells) else ""


def propositions(text: str) -> Iterator[Record]:
    """Reads a file.

    Args:
        text: of the whole file.

    Yields:
        The line of a predicate, from 1, and `{"text", "predicate", "roles"}`, without `roles` where the file has none;
        or a sentence's `Fault`.
    """
    try:
        columns = _columns(text)
    except KerasftError as error:
        yield 1, Fault(1, str(error), "Merge the file with its treebank first.")
        return
    sentences = list(_sentences(text))
    labelled = columns.heads is not None or any(
        len(line.cells) > columns.roleset + 1 for _, lines in sentences for line in lines
    )
    nothing = True
    for comment, lines in sentences:
        try:
            for record in _rows(comment, lines, columns, labelled):
                nothing = False
                yield record
        except KerasftError as error:
            nothing = False
            yield lines[0].number, Fault(lines[0].number, str(error), _MEND)
    if nothing:
        yield 1, Fault(1, "no word of the file has a roleset in column 11", "Add PropBank's columns to it.")


def _columns(text: str) -> Columns:
    head = re.search(r"^# *global\.columns *= *(.*)$", text, re.MULTILINE)
    if head is None:
        return Columns()
    names = head[1].split()
    if "FORM" not in names:
        raise KerasftError("global.columns names no FORM")
    roleset = next((place for place, name in enumerate(names) if name.startswith("UP:PRED")), 10)
    heads = names.index("UP:ARGHEADS") if "UP:ARGHEADS" in names else None
    misc = names.index("MISC") if "MISC" in names else len(names)
    return Columns(names.index("FORM"), misc, roleset, heads)


def _sentences(text: str) -> Iterator[tuple[str | None, list[Line]]]:
    """The `# text` comment of each sentence, and its lines."""
    comment, lines = None, []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        line = line.rstrip("\r")
        if line.startswith("#") and not lines:
            if found := re.match(r"# *text *= *(.*)", line):
                comment = found[1].strip()
        elif line.strip():
            lines.append(Line(number, line.split("\t")))
        else:
            if lines:
                yield comment, lines
            comment, lines = None, []


def _rows(comment: str | None, lines: Sequence[Line], columns: Columns, labelled: bool) -> Iterator[Record]:
    for line in lines:
        if not _NUMBER.fullmatch(line.id) or len(line.cells) <= columns.form:
            found = shortened(line.id)
            raise KerasftError(f"line {line.number} begins with {found!r}, expected a number and columns by tabs")
    text, places = _laid_out(comment, lines, columns)
    predicates = [line for line in lines if "-" not in line.id and line.cell(columns.roleset) not in _NONE]
    roles_of = _at_predicates if columns.heads is not None else _by_column
    # Also where a predicate has no place: an empty node is one without being in the text.
    roles = roles_of(lines, predicates, columns) if labelled else [None for _ in predicates]
    for line, its in zip(predicates, roles, strict=True):
        if line.id not in places:
            continue
        row: dict = {"text": text, "predicate": places[line.id][0]}
        if its is not None:
            row["roles"] = _spans(its, places)
        yield line.number, row


def _by_column(lines: Sequence[Line], predicates: Sequence[Line], columns: Columns) -> list[list[tuple[str, str]]]:
    """For each predicate the arguments: number of the word, role."""
    words, first = [line for line in lines if line.is_word], columns.roleset + 1
    count = len(predicates)
    for line in words:
        # Some lines end in an extra tab.
        given = len(line.cells) - first
        if given < count or any(cell.strip() not in _NONE for cell in line.cells[first + count :]):
            have = f"{max(given, 0)} column{'s' * (given != 1)} of roles"
            raise KerasftError(f"line {line.number} has {have}, its sentence {count} predicate{'s' * (count != 1)}")
    return [[(line.id, line.cell(first + number)) for line in words] for number in range(count)]


def _at_predicates(lines: Sequence[Line], predicates: Sequence[Line], columns: Columns) -> list[list[tuple[str, str]]]:
    known, found = {line.id for line in lines}, []
    for line in predicates:
        cell = line.cell(columns.heads)
        parts = [part.rpartition(":") for part in cell.split("|")] if cell not in _NONE else []
        for role, _, head in parts:
            if not role or head not in known:
                raise KerasftError(f"line {line.number} has the roles {shortened(cell)!r}, expected as in A0:3|A1:7")
        found.append([(head, role) for role, _, head in parts])
    return found


def _spans(roles: Sequence[tuple[str, str]], places: Mapping[str, Place]) -> list[list]:
    """Roles as a row has them; of two at one place (words of one token) the first counts."""
    spans: dict[Place, str] = {}
    for word, role in roles:
        if role not in (*_NONE, PREDICATE) and word in places:
            spans.setdefault(places[word], role)
    return [[start, end, role] for (start, end), role in sorted(spans.items())]


def _laid_out(comment: str | None, lines: Sequence[Line], columns: Columns) -> tuple[str, dict[str, Place]]:
    """The text, and the place in it of each word by its number.

    A token of several words (`3-4`) is what the text has. Where its words spell it, each has its part of it; else all
    of them have the whole.
    """
    tokens: list[tuple[Line, list[Line]]] = []
    last = 0
    for line in lines:
        first, joint, other = _NUMBER.fullmatch(line.id).groups()
        if joint == "-":
            tokens.append((line, []))
            last = int(other)
        elif joint is None and (int(first) > last or not tokens):
            tokens.append((line, [line]))
        elif joint is None:
            tokens[-1][1].append(line)
    text, starts = _joined([token for token, _ in tokens], comment, columns)
    places: dict[str, Place] = {}
    for (token, words), start in zip(tokens, starts, strict=True):
        whole, forms = token.cell(columns.form), [word.cell(columns.form) for word in words]
        spelt, place = "".join(forms) == whole, start
        for word, form in zip(words, forms, strict=True):
            places[word.id] = (place, place + len(form)) if spelt else (start, start + len(whole))
            place += len(form)
    return text, places


def _joined(tokens: Sequence[Line], comment: str | None, columns: Columns) -> tuple[str, list[int]]:
    """The text and the first character of each token: of the comment, if it holds them all and nothing else."""
    forms = [token.cell(columns.form) for token in tokens]
    starts, place = [], 0
    for form in forms if comment is not None else ():
        place += len(comment[place:]) - len(comment[place:].lstrip())
        if not comment.startswith(form, place):
            break
        starts.append(place)
        place += len(form)
    if comment is not None and len(starts) == len(forms) and not comment[place:].strip():
        return comment, starts
    text, starts = "", []
    for number, (token, form) in enumerate(zip(tokens, forms, strict=True), 1):
        starts.append(len(text))
        close = number == len(forms) or "SpaceAfter=No" in token.cell(columns.misc).split("|")
        text += form if close else f"{form} "
    return text, starts


NATIVE = Native(endings=(".conllu", ".conllup"), records=propositions, adapt=lambda records: records())
