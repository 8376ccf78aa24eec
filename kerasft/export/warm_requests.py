"""The requests that warm a model up: one row each, for every signature, at the lengths that differ in work.

A row is cut at `max_length` tokens or read in windows of so many, and rows of like length run together (`slices`). What
the first request of a kind pays for is, for each signature, the pruning and planning of the graph, and for a text
longer than any before it, memory. So there is a short text, one of half a `max_length`, and one that fills it (and of a
task with windows begins a second one).

One row each: warm-up goes through the server's batcher, and a request above its `max_batch_size` would keep the model
from being loaded. All inputs are sent, those with defaults too, as an old server and REST want it.

The words are these here: no text of a user's is in an export for this.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from kerasft.backbones.view import TextFunctions
from kerasft.export.examples import serialized_example
from kerasft.export.saved_model import SERVING
from kerasft.export.session import Signature, TensorInfo
from kerasft.export.warm_file import Request
from kerasft.tasks.task import Task

WORDS = ("This", "is", "a", "short", "text", "that", "says", "only", "that", "the", "model", "answers", ".")
_SHORT = 5  # words
_FEW_TOKENS = 4  # to be written: the first ones pay for all that is new


def word_sizes(text: TextFunctions) -> list[int]:
    """Gives how many tokens each of the words is, behind a blank."""
    import tensorflow as tf

    tokens = text.tokenize(tf.constant([f" {word}" for word in WORDS])).ids
    return tokens.row_lengths().numpy().tolist()


def warm_requests(
    task: Task, signatures: Mapping[str, Signature], max_length: int, sizes: Sequence[int]
) -> list[Request]:
    """Gives the requests, those of `serving_default` first, and of each signature the shortest first.

    Args:
        task: whose inputs they have.
        signatures: of its SavedModel, by name.
        max_length: tokens of a row, or of a window.
        sizes: from `word_sizes`.
    """
    return [
        Request(name, name, {"inputs": _strings(_example(task, words))})
        if name in task.apis
        else Request(name, "predict", _feeds(task, signatures[name], words))
        for name in sorted(signatures, key=lambda name: (name != SERVING, name))
        for words in _lengths(task, name, max_length, sizes)
    ]


def _lengths(task: Task, name: str, max_length: int, sizes: Sequence[int]) -> list[int]:
    """How many words each column has."""
    columns = len(task.text_columns)
    half, full = (_words_of(tokens / columns, sizes) for tokens in (max_length // 2, max_length))
    short = min(_SHORT, full)
    if not task.writes:
        return sorted({short, max(half, short), full})
    # A long prompt is seconds of work on a CPU, and all of these run the same generator: twice is enough. What is
    # written of `serving_default` and its beams is as long as the recipe says.
    return sorted({short, full}) if name in ("generate", "score") else [short]


def _words_of(tokens: float, sizes: Sequence[int]) -> int:
    """How many words are so many tokens or, by a part of the last one, more."""
    sums = itertools.accumulate(max(size, 1) for size in itertools.cycle(sizes))
    return next(count for count, total in enumerate(sums, 1) if total >= tokens)


def _texts(task: Task, words: int) -> dict[str, bytes]:
    text = " ".join(itertools.islice(itertools.cycle(WORDS), words)).encode()
    return {column: task.asks.pose(text, 0) if task.asks else text for column in task.text_columns}


def _example(task: Task, words: int) -> bytes:
    return serialized_example({**_texts(task, words), **dict.fromkeys(task.number_columns, 0)})


def _feeds(task: Task, signature: Signature, words: int) -> dict[str, np.ndarray]:
    texts = _texts(task, words)
    return {alias: _value(alias, info, texts, signature.defaults) for alias, info in signature.inputs.items()}


def _value(alias: str, info: TensorInfo, texts: Mapping[str, bytes], defaults: Mapping[str, bytes]) -> np.ndarray:
    if alias in texts:
        return _strings(texts[alias])
    if alias == "max_new_tokens":
        return np.array([_FEW_TOKENS], info.dtype)
    if alias in defaults:
        from kerasft.serving.arrays import from_proto
        from kerasft.serving.protos import tensor_pb2

        return from_proto(tensor_pb2.TensorProto.FromString(defaults[alias]), alias)
    # A text that was written or is begun; the place of a word.
    return _strings(" ".join(WORDS).encode()) if info.dtype == "string" else np.zeros([1], info.dtype)


def _strings(text: bytes) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = text
    return array
