"""From logits to what is served: the same functions that the export holds, on rows as training has them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasft.backbones.view import TextFunctions
from kerasft.data.encode import encode_rows
from kerasft.data.inputs import Values, input_specs, input_tensors, inputs_of, read_inputs, some
from kerasft.data.pipeline import Encoded, token_batch
from kerasft.data.rows import Rows
from kerasft.run import Run
from kerasft.tasks.task import Drawing, Scheme, Task
from kerasft.training.forward import BatchOf, predict_logits, predict_places
from kerasft.training.job import Examples
from kerasft.training.judge import judge_rows

_ROWS = 32
_ASKED = 8
Logits = np.ndarray | list[np.ndarray]


@dataclass(frozen=True)
class Asked:
    """Rows, and what it takes beside their logits to answer them.

    Attributes:
        task: whose answers.
        text: the family's text functions.
        max_length: tokens of a row or window.
        inputs: of the task -> N values: texts as str or bytes, numbers as int32[N].
        encoded: the rows' tokens.
    """

    task: Task
    text: TextFunctions
    max_length: int
    inputs: Values
    encoded: Encoded

    def logits(self, model, batch_of: BatchOf, batch_size: int) -> Logits:
        """The model's logits for the rows, as `answers` takes them."""
        predict = predict_logits if self.task.windows is None else predict_places
        return predict(model, batch_of, self.encoded.lengths, batch_size)

    def answers(
        self, logits: Logits, scheme: Scheme, rows: np.ndarray | None = None, respond: Callable | None = None
    ) -> dict[str, np.ndarray]:
        """What the export would serve for these logits, as arrays.

        Args:
            logits: of all rows.
            scheme: what the task has learnt of its answers.
            rows: int[M], the rows wanted; all when None.
            respond: one of `task.apis`; `task.respond` when None.

        Returns:
            Output name -> array[M, …], as wide as these rows ask for; [M, g, …] for rows of g sequences.
        """
        respond = respond or self.task.respond
        if self.task.windows is None:
            chosen = logits if rows is None else logits[self.encoded.sequences(rows)]
            found = _arrays(respond(chosen, scheme))
            return found if self.encoded.group == 1 else grouped(found, self.encoded.group)
        answer = self._graph(respond, scheme, logits[0].shape[1:])
        wanted = np.arange(len(self.encoded.uncut)) if rows is None else rows
        parts = []
        for start in range(0, max(len(wanted), 1), _ROWS):
            these = wanted[start : start + _ROWS]
            first, behind = (np.searchsorted(self.encoded.places.row, these, side) for side in ("left", "right"))
            windows = [logits[number] for pair in zip(first, behind, strict=True) for number in range(*pair)]
            inputs = input_tensors(some(self.inputs, these), self.task)
            parts.append(_arrays(answer(inputs, _stacked(windows))))
        return joined(parts)

    def _graph(self, respond: Callable, scheme: Scheme, shape: Sequence[int]) -> Callable:
        """(inputs, windows' logits) -> the answers, as a graph: decoding walks from word to word."""
        import tensorflow as tf

        def make():
            @tf.function(input_signature=[input_specs(self.task), tf.TensorSpec([None, None, *shape], tf.float32)])
            def graph(inputs, stacked):
                return respond(stacked, scheme, read_inputs(self.text, inputs, self.task, self.max_length))

            return graph

        return self.text.graph(("answer", respond, scheme, self.task, self.max_length, shape), make)


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Windows' logits as one array, as wide as the longest window."""
    longest = max(parts, key=len)
    found = np.zeros((len(parts), *longest.shape), np.float32)
    for number, part in enumerate(parts):
        found[number, : len(part)] = part
    return found


def _arrays(outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in outputs.items()}


def grouped(outputs: Mapping[str, np.ndarray], group: int) -> dict[str, np.ndarray]:
    """The outputs of a row's sequences together: [g * N, …] as [N, g, …]."""
    return {name: value.reshape(-1, group, *value.shape[1:]) for name, value in outputs.items()}


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Batches of outputs end to end; the narrower ones are filled up as tasks do it: with "", 0.0, or -1 for places."""
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    shape = np.max([part.shape[1:] for part in parts], axis=0).astype(int)
    fill = {"O": b"", "i": -1}.get(parts[0].dtype.kind, 0)
    filled = []
    for part in parts:
        missing = [(0, 0), *((0, most - now) for most, now in zip(shape, part.shape[1:], strict=True))]
        filled.append(np.pad(part, missing, constant_values=fill))
    return np.concatenate(filled)


def asked_answers(
    task: Task, text: TextFunctions, model, max_length: int, scheme: Scheme, texts: Mapping[str, Sequence[Any]]
) -> dict[str, np.ndarray]:
    """Answers of a Keras model to requests that are read in a way of the task's own (`Task.asks`).

    Args:
        task: whose answers.
        text: the family's text functions.
        model: from inputs to logits.
        max_length: tokens of a row.
        scheme: what the task has learnt of its answers.
        texts: text column -> N texts, str or bytes.
    """
    import tensorflow as tf

    parts = []
    count = len(next(iter(texts.values())))
    for start in range(0, max(count, 1), _ASKED):
        some = {name: tf.constant(list(of[start : start + _ASKED]), tf.string) for name, of in texts.items()}
        reading = task.asks.read(text, some, max_length)
        found = task.asks.condense(model(dict(reading.inputs), training=False), text)
        parts.append(_arrays({**task.respond(found, scheme, reading), "truncated": reading.truncated}))
    return joined(parts)


def answers_of(run: Run, model, rows: Rows) -> Callable[[Scheme], dict[str, np.ndarray]]:
    """Answers a run's model gives to rows, or its judgement: a function of the scheme, which may still be tuned."""
    task = run.task
    if task.draws:
        judged = judged_rows(run, model, rows)
        return lambda scheme: judged
    encoded = encode_rows(task, run.text, rows, run.recipe.max_length)
    asked = Asked(task, run.text, run.recipe.max_length, inputs_of(rows, task), encoded)
    logits = asked.logits(model, lambda chosen: token_batch(encoded, chosen), _ROWS)
    return lambda scheme: asked.answers(logits, scheme)


def judged_rows(run: Run, model, rows: Rows) -> dict[str, np.ndarray]:
    """What `kerasft.training.judge.judge_rows` gives for a run's model and rows of any kind."""
    task = run.task
    encoded, targets = task.draws.draw(rows, run.text, run.scheme, Drawing(run.recipe.max_length))(0)
    examples = Examples(rows, encoded, targets, task.count(targets))
    return judge_rows(task, model, examples, lambda of, chosen: token_batch(of.encoded, chosen), _ROWS)
