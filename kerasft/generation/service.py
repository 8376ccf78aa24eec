"""What is served of a task that writes: four signatures over one generator, from raw text to raw text."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from kerasft.backbones.view import Backbone, TextFunctions
from kerasft.data.inputs import input_specs
from kerasft.generation.continued import continue_texts
from kerasft.generation.generator import Generator, generate, make_generator, score_texts, search
from kerasft.generation.knobs import DTYPES, Knobs
from kerasft.tasks.task import Scheme, Task

DEFAULT, GENERATE, SCORE, CONTINUE = "serving_default", "generate", "score", "continue"
STOP_STRING, ANSWER, SO_FAR = "stop_string", "answer", "so_far"
_PRECISIONS = {"float32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Signature:
    """One of them.

    Attributes:
        function: a `tf.function`; its arguments are the inputs, by name, its results the outputs, name -> [B, …].
        inputs: name -> `tf.TensorSpec`, all of rank 1.
        defaults: inputs that a request may leave out -> the number or text that then stands for every row. A tensor of
            one value does so too; any other has one for each row.
    """

    function: Any
    inputs: Mapping[str, tf.TensorSpec]
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Service:
    """A generator and its signatures.

    Attributes:
        generator: the model.
        signatures: by name.
    """

    generator: Generator
    signatures: Mapping[str, Signature]

    @property
    def variables(self) -> list[tf.Variable]:
        """The generator's weights: all that an export keeps."""
        return list(self.generator.weights.values())


def make_service(task: Task, text: TextFunctions, backbone: Backbone, scheme: Scheme, max_length: int) -> Service:
    """Makes what a run answers with, and what is exported.

    `serving_default` takes the task's text columns and decodes as the recipe says, with the seed 0. `generate` takes
    the knobs too (`kerasft.generation.knobs`, and `stop_string`), and never searches with beams. `score` takes `answer`
    and says how probable the model finds it. `continue` takes `so_far`, "" at first, and the knobs, and gives the text
    so far with more of it: see `kerasft.generation.continued`. All inputs are [B]; the knobs have the recipe's values
    as defaults, of one value each, which stand for any number of rows.

    A row with an error, of its texts or its knobs, has the text "", the finish reason `error` and a sentence in
    `error`; the other rows are answered as if it were not there.

    Args:
        task: with `writes`.
        text: the run's text functions.
        backbone: the trained layers, whose weights are copied.
        scheme: its `numbers` are the recipe's `Writing`.
        max_length: tokens of a prompt and its answer together, as they were learnt; fewer where the backbone has fewer
            places.

    Raises:
        KerasftError: a backbone that cannot write, or more beams than the vocabulary has room for.
    """
    numbers = scheme.numbers
    generator = make_generator(backbone, text, _PRECISIONS[numbers["export_weights"]], max_length)
    stop = [string.encode() for string in numbers["stop"]]
    writes, texts = task.writes, input_specs(task)
    string = tf.TensorSpec([None], tf.string)
    # One function in the graph, whoever calls it: half of all nodes would be copies of it.
    text = replace(text, tokenize=tf.function(text.tokenize, input_signature=[string]))
    knobs = {name: tf.TensorSpec([None], dtype) for name, dtype in DTYPES._asdict().items()} | {STOP_STRING: string}
    defaults = {**_of_recipe(numbers), STOP_STRING: ""}

    def prompts_of(inputs: Mapping[str, tf.Tensor]) -> tuple[tf.RaggedTensor, tf.Tensor]:
        return writes.prompts(text, scheme, {name: inputs[name] for name in texts})

    def spoken(found: dict) -> tf.Tensor:
        return writes.spoken(scheme, found["text"])

    def drawn(inputs):
        prompts, faults = prompts_of(inputs)
        found = generate(generator, prompts, stop, faults, **_knobs_in(inputs))
        return {**found, "text": spoken(found)}

    by_knobs = _signature(drawn, {**texts, **knobs}, defaults)

    def by_recipe(inputs):
        if numbers["beams"] == 1:
            return by_knobs.function(**inputs)
        prompts, faults = prompts_of(inputs)
        penalty, most = numbers["length_penalty"], numbers["max_new_tokens"]
        found = search(generator, prompts, numbers["beams"], stop, penalty, most, faults)
        found.pop("score")
        return {**found, "text": spoken(found)}

    def scored(inputs):
        prompts, faults = prompts_of(inputs)
        answers = _only(writes.answers(text, scheme, inputs[ANSWER]), tf.equal(faults, ""))
        return {**score_texts(generator, prompts, answers), "error": faults}

    def continued(inputs):
        prompts, faults = prompts_of(inputs)

        def tokenize(some):
            return text.tokenize(some).ids

        found = continue_texts(generator, tokenize, prompts, inputs[SO_FAR], stop, faults, **_knobs_in(inputs))
        return {**found, ANSWER: spoken(found)}

    return Service(
        generator,
        {
            DEFAULT: _signature(by_recipe, texts),
            GENERATE: by_knobs,
            SCORE: _signature(scored, {**texts, ANSWER: string}),
            CONTINUE: _signature(continued, {**texts, SO_FAR: string, **knobs}, defaults),
        },
    )


def _of_recipe(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs as the recipe has them; the seed is not its affair."""
    return {name: numbers.get(name, 0) for name in Knobs._fields}


def _knobs_in(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: inputs[name] for name in (*Knobs._fields, STOP_STRING)}


def _only(answers: tf.RaggedTensor, is_kept: tf.Tensor) -> tf.RaggedTensor:
    """Leaves the other rows empty."""
    lengths = answers.row_lengths()
    flat = tf.boolean_mask(answers.flat_values, tf.repeat(is_kept, lengths))
    return tf.RaggedTensor.from_row_lengths(flat, tf.where(is_kept, lengths, 0), validate=False)


def _signature(
    answer: Callable, inputs: Mapping[str, tf.TensorSpec], defaults: Mapping[str, Any] | None = None
) -> Signature:
    """A graph function of named tensors.

    TensorFlow writes the defaults of a function's arguments into the signature, where they are tensors; the arguments'
    names are known here only, so the function is told its signature.
    """
    defaults = defaults or {}
    specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in inputs.items()}

    def served(*values):
        # A server does not check the shapes that it is fed: without this a wrong rank would be answered with nonsense.
        named = {name: tf.ensure_shape(value, [None]) for name, value in zip(specs, values, strict=True)}
        return answer(named)

    def parameter(name: str) -> inspect.Parameter:
        default = tf.constant([defaults[name]], specs[name].dtype) if name in defaults else inspect.Parameter.empty
        return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)

    served.__signature__ = inspect.Signature([parameter(name) for name in specs])
    return Signature(tf.function(served, input_signature=list(specs.values())), specs, defaults)
