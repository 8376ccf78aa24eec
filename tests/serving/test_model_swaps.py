"""Versions that come and go while requests run: none of them may fail."""

import shutil
import threading

import numpy as np
import pytest

from kerasft.serving.batching import BatchingParameters
from kerasft.serving.models import ModelConfig, Models, ModelsOptions
from kerasft.serving.predict import predict
from kerasft.serving.protos import predict_pb2
from tests.serving import stand_in
from tests.serving.stand_in import spec, until, write

THREADS = 16
BATCHING = BatchingParameters(32, 500, 1000, 4, (4, 32))


def hammer(ask, swap) -> tuple[int, list]:
    """Lets 16 threads ask again and again while `swap` runs; gives how many requests there were, and what failed."""
    stop, counts, failures = threading.Event(), [0] * THREADS, []

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                ask(number)
                counts[number] += 1
            except Exception as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        swap(lambda: sum(counts))
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    return sum(counts), failures


@pytest.mark.parametrize("batching", [None, BATCHING], ids=["alone", "batched"])
def test_no_request_fails_while_versions_come_and_go(tmp_path, batching):
    write(tmp_path, 1)
    loads = []

    def load(name, version, folder):
        loads.append(stand_in.load(name, version, folder))
        return loads[-1]

    options = ModelsOptions(0.005, enable_model_warmup=False, batching=batching, load_retry_interval_micros=0)
    models = Models([ModelConfig("half", str(tmp_path))], options, load)
    models.start()

    def ask(number: int) -> None:
        with models.lease(spec()) as loaded:
            found = models.run(loaded, "serving_default", {"x": np.full(2, number, float)}, ["y"])
        assert found["y"].tolist() == [number / 2 + loaded.version] * 2

    def swap(done) -> None:
        for version in range(2, 30):
            before = done()
            (tmp_path / str(version)).mkdir()  # half copied: the version before goes on
            until(lambda version=version: models.status(spec())[0].version == version)
            until(lambda before=before: done() >= before + THREADS)
            (tmp_path / str(version) / "model").touch()
            until(lambda version=version: models.status(spec())[0][:2] == (version, "AVAILABLE"))
            if version % 5 == 0:  # rolled back
                shutil.rmtree(tmp_path / str(version))
                until(lambda version=version: models.status(spec("half", version))[0].state == "END")
            else:
                shutil.rmtree(tmp_path / str(version - 1), ignore_errors=True)

    count, failures = hammer(ask, swap)
    models.close()
    assert failures == []
    assert count >= 28 * THREADS
    assert all(loaded.closed for loaded in loads)
    assert len(loads) >= 29


@pytest.mark.parametrize("batching", [None, BATCHING], ids=["alone", "batched"])
def test_nor_with_tensorflows_session(half_plus_two, tmp_path, batching):
    """Copied, not renamed into place, so that the loader sees halves too."""
    source = half_plus_two / "00000123"
    shutil.copytree(source, tmp_path / "1")
    models = Models([ModelConfig("half", str(tmp_path))], ModelsOptions(0.01, batching=batching))
    models.start()

    def ask(number: int) -> None:
        request = predict_pb2.PredictRequest(model_spec=spec())
        x = request.inputs["x"]
        x.dtype = 1
        x.tensor_shape.dim.add(size=2)
        x.float_val.extend([number, -number])
        answer = predict(models, request)
        assert list(answer.outputs["y"].float_val) == [number / 2 + 2, 2 - number / 2]

    def swap(done) -> None:
        for version in range(2, 6):
            before = done()
            (tmp_path / str(version)).mkdir()
            until(lambda version=version: models.status(spec())[0].version == version)
            until(lambda before=before: done() >= before + THREADS)
            shutil.copytree(source, tmp_path / str(version), dirs_exist_ok=True)
            until(lambda version=version: models.status(spec())[0][:2] == (version, "AVAILABLE"))
            shutil.rmtree(tmp_path / str(version - 1))

    count, failures = hammer(ask, swap)
    models.close()
    assert failures == []
    assert count >= 4 * THREADS
