"""Requests as bytes, made before the load begins: while it runs, sending is all that is left to do."""

import json
from collections.abc import Sequence

import numpy as np

from kerasft.errors import KerasftError
from kerasft.serving.load.endpoint import Asked
from kerasft.serving.load.rows import Row
from kerasft.serving.load.signature import STRING, Input

ROW, COLUMNAR = "row", "columnar"


def grpc_payloads(requests: Sequence[Sequence[Row]], inputs: Sequence[Input], asked: Asked) -> list[bytes]:
    """Writes each request as a PredictRequest.

    Args:
        requests: the rows of each. An input that the rows do not have is left out: it has a default.
        inputs: of the signature.
        asked: the model.

    Returns:
        Serialized messages.
    """
    from kerasft.export.capi import DTYPES, numpy_type
    from kerasft.serving.arrays import to_proto
    from kerasft.serving.protos import predict_pb2, types_pb2

    spec = model_spec(asked)
    payloads = []
    for rows in requests:
        request = predict_pb2.PredictRequest(model_spec=spec)
        for one in inputs:
            if one.name not in rows[0]:
                continue
            values = [row[one.name] for row in rows]
            if one.dtype == STRING:
                values = [value.encode() for value in values]
            dtype = numpy_type(DTYPES[types_pb2.DataType.Value(one.dtype)])
            to_proto(_shaped(np.asarray(values, dtype), one), request.inputs[one.name])
        payloads.append(request.SerializeToString())
    return payloads


def rest_payloads(requests: Sequence[Sequence[Row]], inputs: Sequence[Input], asked: Asked, body: str) -> list[bytes]:
    """Writes each request as the JSON body of a POST.

    Args:
        requests: the rows of each.
        inputs: of the signature.
        asked: the model.
        body: `row` (`instances`) or `columnar` (`inputs`).

    Raises:
        KerasftError: the rows lack an input. REST names every one, those with a default too.
    """
    missing = [one.name for one in inputs if one.name not in requests[0][0]]
    if missing:
        raise KerasftError(
            f"Over REST a request has every input, and there is no value for: {', '.join(missing)}. Pass --data with "
            "columns of these names, or use gRPC, where they have defaults."
        )
    named = {} if asked.signature == "serving_default" else {"signature_name": asked.signature}
    return [json.dumps(named | _body(rows, inputs, body), ensure_ascii=False).encode() for rows in requests]


def model_spec(asked: Asked):
    """Gives the ModelSpec of what is asked for."""
    from kerasft.serving.protos import model_pb2

    spec = model_pb2.ModelSpec(name=asked.model, signature_name=asked.signature)
    if asked.version is not None:
        spec.version.value = asked.version
    elif asked.label is not None:
        spec.version_label = asked.label
    return spec


def _body(rows: Sequence[Row], inputs: Sequence[Input], body: str) -> dict:
    columns = {
        one.name: _shaped(np.asarray([row[one.name] for row in rows], dtype=object), one).tolist() for one in inputs
    }
    alone = next(iter(columns)) if len(columns) == 1 else None
    if body == COLUMNAR:
        return {"inputs": columns[alone] if alone else columns}
    if alone:
        return {"instances": columns[alone]}
    return {"instances": [{name: values[index] for name, values in columns.items()} for index in range(len(rows))]}


def _shaped(values: np.ndarray, one: Input) -> np.ndarray:
    """A value a row, as a tensor of the shape that the input has: repeated along the dimensions behind the first."""
    if one.shape == ():
        return values[0:1].reshape(())
    inner = tuple(max(size, 1) for size in (one.shape or ())[1:])
    return np.broadcast_to(values.reshape(len(values), *(1 for _ in inner)), (len(values), *inner))
