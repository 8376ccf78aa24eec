"""The SavedModel: text functions, network and response in one graph, with nothing in it that can change."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from kerasft.backbones.view import TextFunctions
from kerasft.data.inputs import input_specs, read_inputs
from kerasft.network import Network, full_model
from kerasft.tasks.task import Scheme, Task
from kerasft.weights import network_weights

SERVING = "serving_default"
TRUNCATED = "truncated"
# Tokens that pass the network at a time, filling included: one request must not take all of a server's memory.
_TOKENS = 8192
_TOKENS_FORETOLD = 1024  # each with a logit for every piece of the vocabulary


def answer_function(task: Task, text: TextFunctions, network: Network, max_length: int) -> Callable:
    """The graph from raw text to answers, of a task that gives them in one pass.

    Args:
        task: whose inputs are the keys of the input.
        text: the same functions that training used.
        network: the trained layers.
        max_length: tokens of a row, or of a window over it.

    Returns:
        (input -> string[B] or int32[B], scheme, `task.respond` or another function of its kind) -> that function's
        outputs, and `truncated` bool[B]: whether a part of the row was not read.
    """
    import tensorflow as tf

    from kerasft.export.slices import in_slices

    model = full_model(network)
    run = partial(model, training=False)
    of_places = {*network.backbone.inputs()}

    def of_sequences(inputs: Mapping, scheme: Scheme, respond: Callable):
        segments = [text.tokenize(inputs[column]).ids for column in task.text_columns]
        logits = in_slices(run, dict(text.pack(segments, max_length=max_length)), of_places, _TOKENS)
        logits = tf.ensure_shape(logits, model.output.shape)
        return {**respond(logits, scheme), TRUNCATED: text.lengths(segments) > max_length}

    def of_windows(inputs: Mapping, scheme: Scheme, respond: Callable):
        reading = read_inputs(text, inputs, task, max_length)
        logits = in_slices(run, dict(reading.inputs), of_places, _TOKENS, fill_up=True)
        logits = tf.ensure_shape(logits, model.output.shape)
        return {**respond(logits, scheme, reading), TRUNCATED: reading.truncated}

    def of_requests(inputs: Mapping, scheme: Scheme, respond: Callable):
        reading = task.asks.read(text, {column: inputs[column] for column in task.text_columns}, max_length)

        def found(some):
            return task.asks.condense(run(some), text)

        condensed = in_slices(found, dict(reading.inputs), of_places, _TOKENS_FORETOLD)
        return {**respond(condensed, scheme, reading), TRUNCATED: reading.truncated}

    if task.asks:
        return of_requests
    return of_sequences if task.windows is None else of_windows


def save(task: Task, text: TextFunctions, network: Network, scheme: Scheme, max_length: int, folder: Path) -> None:
    """Writes the SavedModel.

    `serving_default` takes one string[B] for each text column and one int32[B] for each number column; `classify` or
    `regress`, where the task has it, takes `inputs`, string[B] of serialized `tf.train.Example` with a bytes feature
    for each text column and an int64 feature for each number column, as TF Serving's API of that name sends them.
    A task that writes has the signatures of `kerasft.generation.service`.

    Args:
        task: response and signature names.
        text: the run's text functions.
        network: the run's layers.
        scheme: what the task has learnt of its answers.
        max_length: tokens kept of each row.
        folder: where; exists and is empty.
    """
    import tensorflow as tf

    if task.writes:
        from kerasft.generation.service import make_service

        save_service(make_service(task, text, network.backbone, scheme, max_length), folder)
        return
    answers = answer_function(task, text, network, max_length)
    specs = input_specs(task)

    def one_dimensional(value):
        # A server does not check the shapes that it is fed: without this a wrong rank would be answered with nonsense.
        return tf.ensure_shape(value, [None])

    @tf.function
    def serving_default(**inputs):
        return answers({column: one_dimensional(value) for column, value in inputs.items()}, scheme, task.respond)

    def of_examples(api):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def answer(inputs):
            features = {name: tf.io.FixedLenFeature([], tf.string) for name in task.text_columns}
            features |= {name: tf.io.FixedLenFeature([], tf.int64) for name in task.number_columns}
            parsed = tf.io.parse_example(one_dimensional(inputs), features)
            # What an int32 cannot hold becomes the nearest number that it can.
            numbers = {name: tf.saturate_cast(parsed[name], tf.int32) for name in task.number_columns}
            found = answers({**parsed, **numbers}, scheme, api)
            # TF Serving's APIs of classification and regression take their own outputs and no others.
            return {name: value for name, value in found.items() if name != TRUNCATED}

        return answer.get_concrete_function()

    module = tf.Module()
    # The plain tf.Variables, each once: TensorFlow's C++ loader finds no others, and a tracked Keras model is stored
    # twice.
    module.weights = [weight.value for weight in network_weights(network)]
    named = {name: tf.TensorSpec.from_spec(spec, name=name) for name, spec in specs.items()}
    tf.saved_model.save(
        module,
        str(folder),
        signatures={
            SERVING: serving_default.get_concrete_function(**named),
            **{name: of_examples(api) for name, api in task.apis.items()},
        },
    )


def save_service(service, folder: Path) -> None:
    """Writes the SavedModel of a task that writes.

    Args:
        service: `kerasft.generation.service.Service`.
        folder: where; exists and is empty.
    """
    import tensorflow as tf

    module = tf.Module()
    module.weights = service.variables
    # Functions, not concrete ones: these alone bring the defaults of their inputs along.
    signatures = {name: signature.function for name, signature in service.signatures.items()}
    tf.saved_model.save(module, str(folder), signatures=signatures)
