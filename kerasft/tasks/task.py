"""What a task is: columns, targets, head, loss, response, figures. It knows nothing of epochs, files or families."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasft.data.columns import Cell
from kerasft.data.opened import Native
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError

WRITING_SIGNATURES = ("generate", "score", "continue")
"""Of a task that writes, beside `serving_default`: see `kerasft.generation`."""


@dataclass(frozen=True)
class Scheme:
    """What a task has fixed about its answers: learnt from the rows before training, tuned after it at most.

    It is JSON-able, and stays with the run and with the export.

    Attributes:
        labels: the label names, by id; empty for a task without.
        numbers: anything else, such as the scale of scores or a threshold for each label.
    """

    labels: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What `scheme_of` reads."""
        return {"labels": list(self.labels), "numbers": dict(self.numbers)}


def scheme_of(stored: Mapping[str, Any]) -> Scheme:
    """The scheme that a run or an export holds."""
    return Scheme(tuple(stored["labels"]), dict(stored["numbers"]))


@dataclass(frozen=True)
class Windowing:
    """How a task reads that answers with places in its last text: in windows over it, so that nothing is cut silently.

    Its `targets` take (rows, scheme, `kerasft.data.pipeline.Encoded`) and give an array with a target for each window,
    or a `TokenTargets`; its `respond` takes (logits, scheme, `kerasft.text.reading.Reading`).

    Attributes:
        overlap: tokens that neighbouring windows share; with 0 they lie side by side.
        check: (rows, scheme) -> None: raises `KerasftError` for a row whose label the scheme does not know.
        marked: for a task with one text: the number column that is a place in it, in characters. The word there is
            marked for the network in its family's way, and only the windows that hold it are read.
    """

    overlap: int
    check: Callable[[Rows, Scheme], None] | None = None
    marked: str | None = None


@dataclass(frozen=True)
class Contrast:
    """How a task learns that tells texts from each other: it reads several a row, each by itself.

    Its `loss` takes logits [g * B, …], a row's one after the other, and compares the rows of a batch with each other: a
    batch is never cut into micro-batches, and on several devices the loss sees the rows of all of them. Some rows may
    then be there twice, to fill a device's share. `measure` takes outputs [N, g, …]. There is one text column.

    Attributes:
        views: (rows, whether they are to learn from) -> g columns of N texts, g at least 2.
        linked: rows that have a text in common, in any of these columns, are never parted by the split; columns that
            the data lacks do not count.
    """

    views: Callable[[Rows, bool], Sequence[Sequence[str]]]
    linked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draws:
    """How a task makes inputs and targets of its own out of the rows.

    Attributes:
        draw: (rows, `kerasft.backbones.view.TextFunctions`, scheme, `Drawing`) -> a function from the epoch to the
            `kerasft.data.pipeline.Encoded` with the inputs of that epoch, and their targets. Pure: a run that goes on,
            and every replica, draw the same. No prefix cache then.
        judge: (targets, logits) -> float32[B, K]: each row's loss, and what else `measure` needs; graph ops only.
            `measure` is given it as `judged`.
    """

    draw: Callable[..., Callable[[int], tuple[Any, Any]]]
    judge: Callable[..., Any]


@dataclass(frozen=True)
class Drawing:
    """What a task draws with.

    Attributes:
        max_length: tokens of a row, window or block.
        seed: of the run; None for rows that are only measured, which are drawn the same in every run.
        folder: where tokens may lie in files; None: they stay in memory.
    """

    max_length: int
    seed: int | None = None
    folder: Any | None = None


@dataclass(frozen=True)
class Writes:
    """How a task writes: a causal backbone reads a prompt, token by token, and goes on with the answer.

    Its scheme's `numbers` are the recipe's `Writing`, with the `template` filled in. What is served is made of the
    backbone alone (`kerasft.generation`): its `respond` is not used.

    Attributes:
        prompts: (`kerasft.backbones.view.TextFunctions`, scheme, text column -> string[B]) -> ragged int32[B, (T)],
            token ids as they were learnt, and string[B], what is wrong with a row's input or ""; graph ops only.
        answers: (`TextFunctions`, scheme, string[B]) -> ragged int32[B, (T)], the ids of given answers as they were
            learnt, with the token that ends them; graph ops only.
        spoken: (scheme, string[B], what was generated) -> string[B], the answer itself; graph ops only.
        requests: (rows) -> text column -> N texts: what is asked of rows whose answers are known.
        template: the default of the recipe's `template`; None for a task without.
    """

    prompts: Callable[..., tuple[Any, Any]]
    answers: Callable[..., Any]
    spoken: Callable[..., Any]
    requests: Callable[[Rows], Mapping[str, Sequence[str]]]
    template: str | None = None


@dataclass(frozen=True)
class Asks:
    """How a task is asked whose requests are not read as its rows are learnt from.

    Attributes:
        read: (`kerasft.backbones.view.TextFunctions`, text column -> string[B], max_length) -> the third argument of
            `respond`, with `inputs` of the network and `truncated` bool[B]; graph ops only.
        condense: (logits, `TextFunctions`) -> float32[B, …]: what `respond` is given in the place of logits that are
            too many to keep for a whole request; graph ops only.
        pose: (a row's text, a number) -> a question made of it: what an export is proven on.
        request: one request, for `kerasft tasks`.
    """

    read: Callable[..., Any]
    condense: Callable[..., Any]
    pose: Callable[[bytes, int], bytes]
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A task as plain functions.

    Attributes:
        name: what `--task` takes.
        summary: one line for `kerasft tasks`.
        text_columns: the columns with text, in the order in which they are packed; also names of served inputs.
        label_column: the column with the answer to learn; None for a task without.
        learn: (name -> rows: `train`, `eval` and perhaps `test`; the recipe; this task) -> the scheme, and warnings for
            the user, a line each. Raises `KerasftError` for rows that cannot be learnt from.
        targets: (rows, scheme) -> an array with a row's target in each row. Raises `KerasftError` for a row whose
            label the scheme does not know. None for a task that draws them.
        outputs: (scheme) -> the number of logits.
        head: (hidden size, number of logits, pooling, dropout) -> a functional `keras.Model` from
            hidden float32[B, T, H] and padding mask int32[B, T] to logits.
        loss: (label smoothing) -> (targets, logits) -> float32[B].
        respond: (logits, scheme) -> the named outputs of `serving_default`, [B, …]; graph ops only. Where rows have
            different numbers of things, short ones are filled up to the longest with "", 0.0, or -1 for whole numbers.
            None for a task that writes.
        measure: (rows, `respond`'s outputs as arrays, scheme) -> figures, JSON-able. It takes what is served, so that
            a run and its export are measured alike.
        headline: the key in `measure`'s answer that early stopping watches.
        falls: whether a smaller headline is the better one.
        describe: (rows) -> what is in them, a few words.
        example: one row.
        answer: what could be served for it.
        apis: more signatures, by name: `classify` or `regress`, (logits, scheme) -> the outputs that TF Serving's API
            of that name asks for; they take `tf.train.Example`s.
        balance: (targets, scheme) -> float32[N], a weight a row for `class_weights: balanced`; None where a task has
            no classes.
        tune: (rows, outputs as arrays, scheme) -> the scheme with what the held-out rows teach once training is done.
        cells: column -> how its values are read, where that is not plainly.
        native: the formats in which its field writes rows, beside one column for each of the task's.
        optional_columns: those of `text_columns` that the data need not have; all rows then go without.
        windows: for a task that answers with places in its last text; its functions then take more.
        count: (targets) -> float32[N], how much each row's loss counts; ones when absent. With the number of its
            words, the loss is the mean over all words of a batch.
        split_columns: rows alike in these are never parted by the split; the text columns when empty.
        labels: the default order of the label names, used when the data has exactly these.
        defaults: recipe keys that the task sets otherwise than a recipe does, where the user says nothing.
        starter: the file in `kerasft/starter/` that `fit` takes without `--data`.
        number_columns: columns of whole numbers, which the data must have; served inputs too, int32.
        draws: for a task that makes inputs and targets of its own. Its long texts are laid out in `windows`.
        writes: for a task that answers with a text of its own making.
        packs: its sequences hold several texts, which do not see each other: the padding mask numbers them from 1 on.
        asks: for a task whose requests are read in a way of their own.
        fits: (`kerasft.backbones.view.TextFunctions`) -> None: raises `KerasftError` for a backbone whose vocabulary
            the task cannot use.
        tied: the head has logits for the pieces of the vocabulary: it takes the layer with the token embeddings as
            `embedding`, and the number of logits is its own.
        adapts: what the user wants is the backbone itself: a run leaves it as a folder that `--backbone` takes.
        contrast: for a task that tells texts from each other.
        beside: columns with more texts, which are read where the data has them and are no inputs of what is served.
    """

    name: str
    summary: str
    text_columns: tuple[str, ...]
    label_column: str | None
    learn: Callable[..., tuple[Scheme, list[str]]]
    targets: Callable[..., np.ndarray] | None
    outputs: Callable[[Scheme], int]
    head: Callable[..., Any]
    loss: Callable[[float], Any]
    respond: Callable[..., Mapping[str, Any]] | None
    measure: Callable[..., dict]
    headline: str
    describe: Callable[[Rows], str]
    example: Mapping[str, Any]
    answer: Mapping[str, Any]
    apis: Mapping[str, Callable[..., Mapping[str, Any]]] = field(default_factory=dict)
    balance: Callable[[np.ndarray, Scheme], np.ndarray] | None = None
    tune: Callable[..., Scheme] | None = None
    cells: Mapping[str, Cell] = field(default_factory=dict)
    native: Native | None = None
    optional_columns: tuple[str, ...] = ()
    windows: Windowing | None = None
    count: Callable[..., np.ndarray] = lambda targets: np.ones(len(targets), np.float32)
    split_columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    starter: str | None = None
    number_columns: tuple[str, ...] = ()
    draws: Draws | None = None
    writes: Writes | None = None
    packs: bool = False
    falls: bool = False
    asks: Asks | None = None
    fits: Callable[[Any], None] | None = None
    tied: bool = False
    adapts: bool = False
    contrast: Contrast | None = None
    beside: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The served inputs, by the names of their columns: texts, then numbers."""
        return self.text_columns + self.number_columns

    @property
    def signatures(self) -> tuple[str, ...]:
        """What can be asked of an export, the first one by default."""
        return ("serving_default", *(WRITING_SIGNATURES if self.writes else self.apis))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the task knows, the label's last."""
        return (*self.inputs, *self.beside, *((self.label_column,) if self.label_column else ()))


def refuse_settings(recipe: Any, task: Task, keys: Sequence[str]) -> None:
    """Raises `KerasftError` when a recipe sets one of `keys`, which mean nothing to the task."""
    for key in keys:
        group = next(part for part in (recipe, recipe.writing) if key in type(part).model_fields)
        if getattr(group, key) != type(group).model_fields[key].default:
            raise KerasftError(f"Task '{task.name}' has no use for '{key}': leave it out of the recipe.")
