"""Tiny SavedModels, one for each way in which an export can be right or wrong, written once a test session."""

import pytest


def _save(tf, folder, module, **signatures):
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """`text` -> `label`, `probabilities`, `echo_bytes` (as it came), `ids` (padded to the longest of the batch)."""
    import tensorflow as tf

    class Good(tf.Module):
        def __init__(self):
            self.weight = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
            pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
            self.table = tf.lookup.StaticHashTable(pairs, 3)

        def logits(self, text):
            sizes = tf.stack([tf.strings.length(text), tf.strings.length(text, unit="UTF8_CHAR")], axis=1)
            return tf.matmul(tf.cast(sizes, tf.float32) / 1e5, self.weight)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text):
            logits = self.logits(text)
            return {
                "label": tf.gather(tf.constant(["short", "long"]), tf.argmax(logits, axis=1)),
                "probabilities": tf.nn.softmax(logits),
                "echo_bytes": tf.identity(text),
                "ids": self.table.lookup(tf.strings.bytes_split(tf.strings.substr(text, 0, 5))).to_tensor(),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def classify(self, inputs):
            text = tf.io.parse_example(inputs, {"text": tf.io.FixedLenFeature([], tf.string)})["text"]
            scores = tf.nn.softmax(self.logits(text))
            return {"classes": tf.tile([["short", "long"]], [tf.shape(scores)[0], 1]), "scores": scores}

    folder = tmp_path_factory.mktemp("good") / "1"
    module = Good()
    return _save(tf, folder, module, serving_default=module.serve, classify=module.classify)


@pytest.fixture(scope="session")
def bad(tmp_path_factory):
    """What is wrong -> a SavedModel with it."""
    import keras
    import numpy as np
    import tensorflow as tf

    strings = [tf.TensorSpec([None], tf.string, name="text")]

    def lengths(text):
        return tf.cast(tf.strings.length(text), tf.float32)

    class Python(tf.Module):
        @tf.function(input_signature=strings)
        def serve(self, text):
            upper = tf.numpy_function(lambda rows: np.array([row.upper() for row in rows], object), [text], tf.string)
            return {"upper": tf.ensure_shape(upper, [None])}

    class Compiled(tf.Module):
        @tf.function(jit_compile=True)
        def double(self, x):
            return x * 2.0

        @tf.function(input_signature=strings)
        def serve(self, text):
            return {"length": self.double(lengths(text))}

    class Growing(tf.Module):
        def __init__(self):
            self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)

        @tf.function(input_signature=strings)
        def serve(self, text):
            self.table.insert(text, tf.cast(tf.strings.length(text), tf.int64))
            return {"found": self.table.lookup(text)}

    class Counting(tf.Module):
        def __init__(self):
            self.count = tf.Variable(0.0)

        @tf.function(input_signature=strings)
        def serve(self, text):
            return {"count": lengths(text) + self.count.assign_add(1.0)}

    class Lost(tf.Module):
        """Holds a Keras model: Python finds its variables again, the C++ loader does not."""

        def __init__(self):
            self.model = keras.Sequential([keras.Input([1]), keras.layers.Dense(2)])

        @tf.function(input_signature=strings)
        def serve(self, text):
            return {"logits": self.model(lengths(text)[:, None])}

    class Entangled(tf.Module):
        """The answer of a row depends on its neighbours; and on an empty text it is not a number."""

        @tf.function(input_signature=strings)
        def serve(self, text):
            return {"share": lengths(text) / tf.reduce_max(lengths(text))}

    class Shapes(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
        def serve(self, x):
            return {"y": x}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
        def classify(self, inputs):
            return {"classes": inputs, "scores": lengths(inputs)}

    root = tmp_path_factory.mktemp("bad")
    folders = {}
    for kind in (Python, Compiled, Growing, Counting, Lost, Entangled, Shapes):
        module = kind()
        more = {"classify": module.classify} if kind is Shapes else {}
        name = kind.__name__.lower()
        folders[name] = _save(tf, root / name / "1", module, serving_default=module.serve, **more)
    return folders
