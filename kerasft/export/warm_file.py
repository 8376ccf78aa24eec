"""`assets.extra/tf_serving_warmup_requests`: requests as TensorFlow Serving replays them, written and read.

The records are `PredictionLog`s (servables/tensorflow/saved_model_warmup.cc). They name a signature and no model: a
server does not compare the name, and a version may be served under any.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasft.errors import KerasftError
from kerasft.serving.status import ServingError
from kerasft.serving.tf_record import read_records, write_records
from kerasft.serving.warm_up import MOST_RECORDS, REQUESTS


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        signature: the signature's name.
        api: `predict`, `classify` or `regress`.
        feeds: alias -> array, as the session is fed; strings as objects of type bytes.
    """

    signature: str
    api: str
    feeds: Mapping[str, np.ndarray]


def write_warm_file(folder: Path, requests: Iterable[Request]) -> None:
    """Writes the file into a version folder."""
    (folder / REQUESTS).parent.mkdir(exist_ok=True)
    write_records(folder / REQUESTS, (as_log(request).SerializeToString(deterministic=True) for request in requests))


def as_log(request: Request):
    """Gives the `PredictionLog` of a request, without an answer."""
    from kerasft.serving.arrays import to_proto
    from kerasft.serving.protos import example_pb2, prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    asked = getattr(log, f"{request.api}_log").request
    asked.model_spec.signature_name = request.signature
    if request.api == "predict":
        for alias, array in request.feeds.items():
            to_proto(array, asked.inputs[alias])
    else:
        parse = example_pb2.Example.FromString
        asked.input.example_list.examples.extend(map(parse, request.feeds["inputs"]))
    return log


def read_warm_file(folder: Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Reads the file of a version folder, of ours or another's, as the session is fed.

    Returns:
        Pairs of signature and feeds (alias -> array); none where there is no file. MultiInference requests, which ask
        several signatures at once, are left out.

    Raises:
        KerasftError: a server would not load the version, for this file is not what it should be.
    """
    if not (folder / REQUESTS).is_file():
        return []
    try:
        logs = [_parsed(record) for record in read_records(folder / REQUESTS)]
        if len(logs) > MOST_RECORDS:
            raise KerasftError(f"{REQUESTS} has {len(logs):,} records; a server takes {MOST_RECORDS:,} at most.")
        return [asked for log in logs if (asked := _asked(log))]
    except ServingError as error:
        raise KerasftError(f"{REQUESTS} is not what a server replays: {error.message}.") from None


def _parsed(record: bytes):
    from google.protobuf.message import DecodeError

    from kerasft.serving.protos import prediction_log_pb2

    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError:
        raise KerasftError(f"{REQUESTS} has a record that is no PredictionLog.") from None


def _asked(log) -> tuple[str, dict[str, np.ndarray]] | None:
    from kerasft.serving.arrays import from_proto
    from kerasft.serving.classify import serialized_examples
    from kerasft.serving.loaded import signature_name

    kind = log.WhichOneof("log_type")
    if kind in (None, "multi_inference_log"):
        return None
    if kind not in ("predict_log", "classify_log", "regress_log"):
        raise KerasftError(f"{REQUESTS} has a record of type {kind}, which a server does not replay.")
    request = getattr(log, kind).request
    if kind == "predict_log":
        feeds = {alias: from_proto(tensor, alias) for alias, tensor in sorted(request.inputs.items())}
    else:
        feeds = {"inputs": serialized_examples(request.input)}
    return signature_name(request.model_spec), feeds
