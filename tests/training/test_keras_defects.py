"""Keras's two defects under several workers, that the training step goes round. A failure here is good news.

`training/step.py` overrides `_maybe_symbolic_build` (Keras reduces a dict of per-replica values there: its issue 20585)
and has its own train function (Keras's reduces the scalar logs over an axis that they do not have: its issue 20329).
"""

import sys

import pytest

from kerasft.training.launch import launch

# Each worker trains plain Keras models for a step: as they are, and with the first defect out of the way.
WORKER = """
from kerasft.training.cluster import connect, find_cluster

strategy = connect(find_cluster())
import keras
import numpy as np
import tensorflow as tf


class Built(keras.Model):
    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        pass


def rows(context):
    return tf.data.Dataset.from_tensors(({"a": np.ones((2, 3), "float32")}, np.ones((2, 1), "float32"))).repeat()


for name, kind in (("build", keras.Model), ("reduce", Built)):
    with strategy.scope():
        inputs = keras.Input((3,), name="a")
        model = kind({"a": inputs}, keras.layers.Dense(1)(inputs))
        model.compile(optimizer="sgd", loss="mse", jit_compile=False)
    try:
        model.fit(strategy.distribute_datasets_from_function(rows), steps_per_epoch=1, verbose=0, shuffle=False)
        print(name, "works")
    except Exception as error:
        print(name, "fails:", " ".join(str(error).split()))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What worker 0 says of each defect."""
    log = tmp_path_factory.mktemp("defects") / "log"
    with pytest.MonkeyPatch.context() as patch, log.open("w") as file:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setattr(sys, "stdout", file)
        assert launch(["fit"], 2, grace=30, program=(sys.executable, "-c", WORKER)) == 0
    lines = [line.removeprefix("[0] ") for line in log.read_text().splitlines() if line.startswith("[0] ")]
    return dict(line.split(" ", 1) for line in lines)


def test_keras_still_cannot_reduce_a_dict_to_build(found):
    assert found["build"] != "works", (
        "Keras has mended its issue 20585: delete `_maybe_symbolic_build` from the model in training/step.py, this "
        "test, and raise the oldest Keras that kerasft accepts."
    )
    assert "unsupported type (<class 'dict'>)" in found["build"]


def test_keras_still_cannot_reduce_scalar_logs(found):
    assert found["reduce"] != "works", (
        "Keras has mended its issue 20329: the train function in training/step.py need not reduce the logs itself; "
        "delete this test."
    )
    assert "Invalid reduction dimension 0 for input with 0 dimensions" in found["reduce"]
