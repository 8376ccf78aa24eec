"""The rows that are asked about: from a file, or built in."""

import itertools
import random
from collections.abc import Mapping, Sequence

from kerasft.errors import KerasftError
from kerasft.serving.load.sentences import SENTENCES
from kerasft.serving.load.signature import BOOL, FLOATS, INTEGERS, STRING, Input

Row = dict[str, str | int | float | bool]
MOST_ROWS = 10_000  # each is kept as a request ready to be sent


def rows_of_file(
    data: str, inputs: Sequence[Input], model: str, columns: Mapping[str, str] | None = None
) -> tuple[list[Row], tuple[str, ...]]:
    """Reads rows with a column for each input.

    Args:
        data: CSV, TSV, JSON lines, Parquet, a folder or a glob of them, `-`; or `.txt`, a text a line.
        inputs: of the signature. Those with a default are taken where the file has them.
        model: its name, for messages.
        columns: input -> the file's column, where the names differ.

    Returns:
        At most `MOST_ROWS` rows, in an order that is random and always the same; and notes for the user.

    Raises:
        KerasftError: one line with the file, the row and the mend.
    """
    from kerasft.data.lines import NATIVE
    from kerasft.data.read import read_rows

    whole = tuple(one.name for one in inputs if one.dtype in INTEGERS and not one.has_default)
    read = read_rows(
        data,
        text_columns=tuple(one.name for one in inputs if one.name not in whole),
        label_column=None,
        columns=columns,
        task_name=model,
        optional_columns=tuple(one.name for one in inputs if one.has_default),
        native=NATIVE,
        number_columns=whole,
    )
    found = read.rows.table.column_names
    texts = {one: read.rows.column(one.name) for one in inputs if one.name in found}
    order = list(range(len(read.rows)))
    random.Random(0).shuffle(order)
    rows = [
        {one.name: _value(one, values[index], read.rows.place(index)) for one, values in texts.items()}
        for index in order[:MOST_ROWS]
    ]
    notes = read.notes
    if len(order) > MOST_ROWS:
        notes += (f"Of {len(order):,} rows {MOST_ROWS:,} are sent, drawn at random.",)
    return rows, notes


def built_in_rows(inputs: Sequence[Input]) -> list[Row]:
    """Gives rows of built-in sentences, two different ones where two texts are asked for; 1 for a number.

    Inputs with a default are left out.
    """
    texts = [one.name for one in inputs if one.dtype == STRING and not one.has_default]
    numbers = [one for one in inputs if one.dtype != STRING and not one.has_default]
    order = list(SENTENCES)
    random.Random(0).shuffle(order)
    rows = []
    for index in range(len(order)):
        row: Row = {name: order[(index + shift) % len(order)] for shift, name in enumerate(texts)}
        rows.append(row | {one.name: _one(one) for one in numbers})
    return rows


def grouped(rows: Sequence[Row], size: int) -> list[list[Row]]:
    """Puts `size` rows into each request; the last one is filled up from the beginning."""
    endless = itertools.cycle(rows)
    return [list(itertools.islice(endless, size)) for _ in range(-(-len(rows) // size))]


def _one(one: Input) -> int | float | bool:
    return True if one.dtype == BOOL else 1.0 if one.dtype in FLOATS else 1


def _value(one: Input, text: str, place: str) -> str | int | float | bool:
    try:
        if one.dtype in INTEGERS:
            return int(text)
        if one.dtype in FLOATS:
            return float(text)
    except ValueError:
        raise KerasftError(f"{place}: the {one.name} {text!r} is not a number. Write one.") from None
    if one.dtype == BOOL:
        if text.strip().lower() not in ("true", "false"):
            raise KerasftError(f"{place}: the {one.name} {text!r} is neither true nor false. Write one of them.")
        return text.strip().lower() == "true"
    return text
