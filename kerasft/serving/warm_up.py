"""Replays recorded requests on a version before it is available, so that the first client does not wait.

The file, its format, its limit and the messages are those of servables/tensorflow/saved_model_warmup*.cc.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from kerasft.serving.status import DATA_LOSS, INVALID_ARGUMENT, UNIMPLEMENTED, ServingError
from kerasft.serving.tf_record import read_records

REQUESTS = Path("assets.extra") / "tf_serving_warmup_requests"
MOST_RECORDS = 1000

log = logging.getLogger(__name__)


class _OneVersion:
    """Stands in for `Models`: whatever is asked for, this version runs it, and no batch is waited for."""

    def __init__(self, loaded):
        self._loaded = loaded

    @contextlib.contextmanager
    def lease(self, model_spec) -> Iterator:
        yield self._loaded

    def run(self, loaded, signature_name, feeds, outputs):
        return loaded.run(signature_name, feeds, outputs)


def warm_up(loaded, folder: str | Path, iterations: int = 1) -> int:
    """Replays a version's warm-up requests, if it has some.

    Args:
        loaded: the version.
        folder: where it lies, the one with `saved_model.pb`.
        iterations: how often each record is replayed.

    Returns:
        How many records there were.

    Raises:
        ServingError: a request fails, or the file is not what it should be. The version must not be served then.
    """
    from kerasft.serving.protos import prediction_log_pb2

    path = Path(folder) / REQUESTS
    if not path.is_file():
        return 0
    started, count, models = time.monotonic(), 0, _OneVersion(loaded)
    try:
        for record in read_records(path):
            try:
                found = prediction_log_pb2.PredictionLog.FromString(record)
            except DecodeError:
                words = f"Failed to parse warmup record: {record.decode('utf-8', 'replace')} from {path}"
                raise ServingError(INVALID_ARGUMENT, words) from None
            for _ in range(iterations):
                _replay(models, found)
            count += 1
            if count > MOST_RECORDS:
                words = f"Number of warmup records exceeds the maximum ({MOST_RECORDS}) at {path}"
                raise ServingError(INVALID_ARGUMENT, words)
    except ServingError as error:
        if error.code != DATA_LOSS:
            raise
        words = f"{error.message}. Please verify your warmup data is in TFRecord format."
        raise ServingError(DATA_LOSS, words) from None
    log.info(
        "%d warm-up requests of version %s of model %s replayed in %.1f s",
        count,
        loaded.version,
        loaded.name,
        time.monotonic() - started,
    )
    return count


def _replay(models: _OneVersion, record) -> None:
    from kerasft.serving.classify import classify
    from kerasft.serving.multi_inference import multi_inference
    from kerasft.serving.predict import predict
    from kerasft.serving.regress import regress

    kind = record.WhichOneof("log_type")
    if kind is None:
        return
    answer = {"predict_log": predict, "classify_log": classify, "regress_log": regress}.get(kind)
    if answer is not None:
        request = getattr(record, kind).request
        request.model_spec.SetInParent()  # whose model it was recorded on does not matter, nor whether it says so
    elif kind == "multi_inference_log":
        answer, request = multi_inference, record.multi_inference_log.request
    else:
        number = record.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
    answer(models, request)
