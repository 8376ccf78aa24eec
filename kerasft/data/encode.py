"""From rows to tokens: each row tokenised once, through the graph function that the export holds."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.backbones.view import TextFunctions
from kerasft.data.inputs import marked_of, numbers_of
from kerasft.data.pipeline import Encoded, Places
from kerasft.data.row_file import RowFile
from kerasft.data.rows import Rows, end_to_end
from kerasft.tasks.task import Task

_TOKENISE_ROWS = 512
_MASK = "padding_mask"
_PLACES = {"row": np.int32, "char_starts": np.int32, "char_ends": np.int32, "truncated": bool}


def encode(
    text: TextFunctions,
    columns: Sequence[Any],
    max_length: int,
    folder: Path | None = None,
    overlap: int | None = None,
    marked: np.ndarray | None = None,
) -> Encoded:
    """Tokenises rows through the graph function that the export holds.

    Args:
        text: the family's functions.
        columns: N strings for each text column: a sequence, or an Arrow array (`rows.table.column(name)`), of which
            only some hundred rows at a time become Python strings.
        max_length: tokens kept of each row, or of each window.
        folder: where the tokens are written as they come, one file an input; whoever made the folder removes it. None:
            they stay in memory.
        overlap: lay the last text out in windows that share so many tokens; None: one sequence a row, cut at its end.
        marked: int32[N], with `overlap`: a character of each last text, whose word is marked for the network.

    Returns:
        The rows in their order.

    Raises:
        OSError: the disk is full.
    """
    import tensorflow as tf

    places = [] if marked is None else [marked]
    key = ("encode", len(columns), len(places), max_length, overlap)
    tokens = text.graph(key, partial(_graph, text, *key[1:]))
    names = [name for name in text.padding if name != _MASK]
    lengths, chunks = [np.zeros(1, np.int64)], []
    with _sinks(names, folder) as (add, finished):
        for start in range(0, len(columns[0]), _TOKENISE_ROWS):
            texts = [tf.constant(_texts(column, start), tf.string) for column in columns]
            part = tokens([*texts, *(tf.constant(of[start : start + _TOKENISE_ROWS], tf.int32) for of in places)])
            found = {name: value.numpy() for name, value in part.items()}
            for name in names:
                add(name, found.pop(name).astype(np.int32))
            lengths.append(found.pop("lengths"))
            if overlap is not None:
                found["row"] = found["row"] + start
            chunks.append(found)
    starts = np.cumsum(np.concatenate(lengths))

    def whole(name: str, dtype) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *(chunk[name].astype(dtype) for chunk in chunks)])

    return Encoded(
        inputs={name: finished(name, starts) for name in names},
        starts=starts,
        uncut=whole("uncut", np.int32),
        padding=text.padding,
        places=None if overlap is None else Places(**{name: whole(name, dtype) for name, dtype in _PLACES.items()}),
    )


def _graph(text: TextFunctions, columns: int, marked: int, max_length: int, overlap: int | None) -> Callable:
    import tensorflow as tf

    specs = [tf.TensorSpec([None], dtype) for dtype in (*[tf.string] * columns, *[tf.int32] * marked)]

    @tf.function(input_signature=[specs])
    def tokens(inputs):
        texts, marks = inputs[:columns], inputs[columns:]
        return (_sequences if overlap is None else _windows)(text, texts, max_length, overlap, *marks)

    return tokens


def encode_rows(
    task: Task, text: TextFunctions, rows: Rows, max_length: int, folder: Path | None = None, learnt: bool = False
) -> Encoded:
    """Tokenises a task's rows as its network takes them.

    Args:
        task: with the text columns that the rows have.
        text: the family's functions.
        rows: of which some hundred at a time become Python strings.
        max_length: as for `encode`.
        folder: as for `encode`.
        learnt: whether the rows are to be learnt from; a task may then look at them otherwise.

    Returns:
        The rows in their order; groups of sequences for a task with `contrast`.
    """
    if task.contrast is None:
        columns = [rows.table.column(column) for column in task.text_columns]
        marked = marked_of(numbers_of(rows, task), task)
        overlap = task.windows.overlap if task.windows else None
        return encode(text, columns, max_length, folder, overlap, marked)
    views = task.contrast.views(rows, learnt)
    return replace(encode(text, [end_to_end(views)], max_length, folder), group=len(views))


def _sequences(text: TextFunctions, texts: Sequence[Any], max_length: int, overlap: None) -> dict[str, Any]:
    """Each row as one sequence: its kept tokens end to end, their number, and what the row had before the cut."""
    segments = [text.tokenize(part).ids for part in texts]
    packed = text.pack(segments, max_length=max_length)
    return {**_flat(packed), "uncut": text.lengths(segments), "lengths": _lengths(packed)}


def _windows(
    text: TextFunctions, texts: Sequence[Any], max_length: int, overlap: int, marked: Any = None
) -> dict[str, Any]:
    """Each row as windows, with what `Places` has of them."""
    import tensorflow as tf

    from kerasft.text.reading import read

    reading = read(text, {str(number): part for number, part in enumerate(texts)}, max_length, overlap, marked)
    kept = tf.cast(reading.inputs[_MASK], tf.bool)
    return {
        **_flat(reading.inputs),
        "uncut": text.lengths([text.tokenize(part).ids for part in texts]),
        "truncated": reading.truncated,
        "lengths": _lengths(reading.inputs),
        "row": reading.row,
        "char_starts": tf.boolean_mask(reading.of_places(reading.tokens.char_starts), kept),
        "char_ends": tf.boolean_mask(reading.of_places(reading.tokens.char_ends), kept),
    }


def _flat(packed: Mapping[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    kept = tf.cast(packed[_MASK], tf.bool)
    return {name: tf.boolean_mask(value, kept) for name, value in packed.items() if name != _MASK}


def _lengths(packed: Mapping[str, Any]):
    import tensorflow as tf

    return tf.reduce_sum(tf.cast(packed[_MASK], tf.int64), axis=1)


def _texts(column: Any, start: int) -> list:
    part = column[start : start + _TOKENISE_ROWS]
    return part.to_pylist() if hasattr(part, "to_pylist") else list(part)


@contextlib.contextmanager
def _sinks(names: Sequence[str], folder: Path | None) -> Iterator[tuple[Callable, Callable]]:
    """Where tokens go: (name, array) -> None to add some, (name, starts) -> array or `RowFile` when all are there."""
    if folder is None:
        chunks: dict[str, list[np.ndarray]] = {name: [np.zeros(0, np.int32)] for name in names}
        yield (lambda name, array: chunks[name].append(array)), (lambda name, starts: np.concatenate(chunks.pop(name)))
        return
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.i32" for name in names}
    with contextlib.ExitStack() as stack:
        # Not written beside and renamed: nobody but the `Encoded` that comes of it knows these files.
        files = {name: stack.enter_context(open(path, "wb")) for name, path in paths.items()}
        yield (
            (lambda name, array: files[name].write(array.tobytes())),
            (lambda name, starts: RowFile(paths[name], starts, np.dtype(np.int32))),
        )
