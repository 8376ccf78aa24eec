import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kerasft.export.capi import FAILED_PRECONDITION, INVALID_ARGUMENT
from kerasft.serving.loaded import load
from kerasft.serving.protos import tensor_pb2
from kerasft.serving.status import ServingError
from tests.serving.half_plus import FLOAT, tensor
from tests.serving.served import load_123


@pytest.fixture(scope="module")
def loaded(half_plus_two):
    version = load_123("hp2", half_plus_two)
    yield version
    version.close()


def test_messages_and_arrays_run_alike(loaded):
    for feed in (tensor(FLOAT, (2,), [1.0, 2.0]), np.array([1.0, 2.0], np.float32)):
        found = loaded.run("serving_default", {"x": feed}, ["y"])
        assert found["y"].tolist() == [2.5, 3.0]


def test_threads_get_their_own_answers(loaded):
    def ask(number):
        return loaded.run("serving_default", {"x": tensor(FLOAT, (1,), [number])}, ["y"])["y"].tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [[number / 2 + 2] for number in range(200)]


def test_malformed_messages_are_named_by_their_alias(loaded):
    broken = tensor_pb2.TensorProto(dtype=FLOAT, tensor_content=b"abc")
    with pytest.raises(ServingError) as error:
        loaded.run("regress_x2_to_y3", {"inputs": broken}, ["outputs"])
    assert (error.value.code, error.value.message) == (INVALID_ARGUMENT, "tensor parsing error: inputs")


def test_a_missing_feed_is_named(loaded):
    with pytest.raises(ServingError, match="Signature input alias: x not found"):
        loaded.run("serving_default", {}, ["y"])


def test_the_loaders_own_signature_is_refused_by_tensorflow(half_plus_two_tf2):
    version = load_123("tf2", half_plus_two_tf2)
    with pytest.raises(ServingError) as error:
        version.run("__saved_model_init_op", {}, ["__saved_model_init_op"])
    assert error.value.code == INVALID_ARGUMENT
    version.close()


def test_a_folder_that_does_not_load_gives_the_loaders_words(tmp_path):
    with pytest.raises(ServingError, match="Could not find SavedModel"):
        load("none", 1, tmp_path)


@pytest.mark.parametrize("_", range(20))
def test_close_waits_for_the_runs_under_way(half_plus_two, _):
    version = load_123("hp2", half_plus_two)
    feeds = {"x": np.zeros((200_000, 1), np.float32)}
    begun, ended = threading.Barrier(5), []

    def ask():
        begun.wait()
        try:
            ended.append(version.run("serving_default", feeds, ["y"])["y"].shape)
        except ServingError as error:
            ended.append(error.code)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    begun.wait()
    version.close()
    for thread in asking:
        thread.join()
    assert set(ended) <= {(200_000, 1), FAILED_PRECONDITION}
    assert len(ended) == 4
