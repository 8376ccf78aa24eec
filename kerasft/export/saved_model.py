"""The SavedModel: text functions, network and response in one graph, with nothing in it that can change."""

from collections.abc import Callable, Mapping
from pathlib import Path

from kerasft.backbones.view import TextFunctions
from kerasft.network import Network, full_model
from kerasft.tasks.task import Scheme, Task
from kerasft.weights import network_weights

SERVING = "serving_default"
TRUNCATED = "truncated"


def logits_function(task: Task, text: TextFunctions, network: Network, max_length: int) -> Callable:
    """The graph from raw text to logits, and to what every task's answer says beside its own.

    Args:
        task: whose text columns are the keys of the input.
        text: the same functions that training used.
        network: the trained layers.
        max_length: tokens kept of each row.

    Returns:
        (text column -> string[B]) -> logits float32[B, …], and `truncated` bool[B] by its name: whether the row was
        longer than `max_length` tokens, so that its end was not read.
    """
    model = full_model(network)

    def logits(texts: Mapping):
        segments = [text.tokenize(texts[column]).ids for column in task.text_columns]
        packed = dict(text.pack(segments, max_length=max_length))
        return model(packed, training=False), {TRUNCATED: text.lengths(segments) > max_length}

    return logits


def save(task: Task, text: TextFunctions, network: Network, scheme: Scheme, max_length: int, folder: Path) -> None:
    """Writes the SavedModel.

    `serving_default` takes one string[B] for each text column; `classify` or `regress`, where the task has it, takes
    `inputs`, string[B] of serialized `tf.train.Example` with a bytes feature for each text column, as TF Serving's API
    of that name sends them.

    Args:
        task: response and signature names.
        text: the run's text functions.
        network: the run's layers.
        scheme: what the task has learnt of its answers.
        max_length: tokens kept of each row.
        folder: where; exists and is empty.
    """
    import tensorflow as tf

    logits = logits_function(task, text, network, max_length)

    def one_dimensional(value):
        # A server does not check the shapes that it is fed: without this a wrong rank would be answered with nonsense.
        return tf.ensure_shape(value, [None])

    @tf.function
    def serving_default(**texts):
        found, more = logits({column: one_dimensional(value) for column, value in texts.items()})
        return {**task.respond(found, scheme), **more}

    def of_examples(api):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def answer(inputs):
            features = {column: tf.io.FixedLenFeature([], tf.string) for column in task.text_columns}
            found, _ = logits(tf.io.parse_example(one_dimensional(inputs), features))
            return api(found, scheme)

        return answer.get_concrete_function()

    module = tf.Module()
    # The plain tf.Variables, each once: TensorFlow's C++ loader finds no others, and a tracked Keras model is stored
    # twice.
    module.weights = [weight.value for weight in network_weights(network)]
    column = {name: tf.TensorSpec([None], tf.string, name=name) for name in task.text_columns}
    tf.saved_model.save(
        module,
        str(folder),
        signatures={
            SERVING: serving_default.get_concrete_function(**column),
            **{name: of_examples(api) for name, api in task.apis.items()},
        },
    )
