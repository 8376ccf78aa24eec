"""Sample requests and their answers: what a client sends, and what it gets back, byte for byte.

In `assets.extra/kerasft/samples/`, named by the signature:

- `NAME.row.json`, `NAME.columnar.json`: bodies for `POST /v1/models/MODEL:predict`, in the two formats;
- `NAME.examples.json`: a body for `:classify` or `:regress`, of the signatures for these;
- `NAME.….response.json`: the reply's body to each;
- `NAME.grpc.json`: the same request for gRPC, its message as JSON.

The answers come from the proof's fresh process, and the server's own code writes them.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from kerasft.export.servable import read
from kerasft.export.warm_file import Request, as_log

SAMPLES = Path("assets.extra") / "kerasft" / "samples"


def write_samples(folder: Path, model: str, answered: list[tuple[Request, Mapping[str, np.ndarray]]]) -> None:
    """Writes the samples of a version folder: of each signature the first request.

    An answer that REST has no words for, as of a task of the user's own with outputs of an unusual type, has no file.

    Args:
        folder: with `saved_model.pb`.
        model: the name that the gRPC requests have.
        answered: requests, and the outputs that the model gave to each.
    """
    from google.protobuf import json_format

    from kerasft.serving.rest_handler import answer

    first: dict[str, tuple[Request, Mapping[str, np.ndarray]]] = {}
    for request, outputs in answered:
        first.setdefault(request.signature, (request, outputs))
    models = _Answered(folder, {name: outputs for name, (_, outputs) in first.items()})
    (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
    for name, (request, _) in first.items():
        asked = getattr(as_log(request), f"{request.api}_log").request
        asked.model_spec.name = model
        text = json_format.MessageToJson(asked, preserving_proto_field_name=True, indent=1)
        (folder / SAMPLES / f"{name}.grpc.json").write_text(f"{text}\n")
        for form, body in _bodies(request, asked).items():
            encoded = f"{json.dumps({'signature_name': name, **body}, indent=1, ensure_ascii=False)}\n".encode()
            reply = answer(models, "POST", f"/v1/models/model:{request.api}", encoded)
            if reply.status == 200:
                (folder / SAMPLES / f"{name}.{form}.json").write_bytes(encoded)
                (folder / SAMPLES / f"{name}.{form}.response.json").write_bytes(reply.body)


def _bodies(request: Request, asked) -> dict[str, dict[str, Any]]:
    if request.api == "predict":
        columns = {alias: _plain(array) for alias, array in request.feeds.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return {"row": {"instances": rows}, "columnar": {"inputs": columns}}
    rows = [
        {key: _feature(feature) for key, feature in sorted(example.features.feature.items())}
        for example in asked.input.example_list.examples
    ]
    return {"examples": {"examples": rows}}


def _plain(array: np.ndarray) -> list:
    if array.dtype == object:
        return [value.decode() for value in array]
    # The fewest digits that read back as this number: 0.9, and not 0.8999999761581421.
    return [float(str(value)) for value in array] if array.dtype.kind == "f" else array.tolist()


def _feature(feature) -> str | int:
    if feature.WhichOneof("kind") == "bytes_list":
        return feature.bytes_list.value[0].decode()
    return feature.int64_list.value[0]


class _Answered:
    """Stands in for the server's `Models`: its one version knows the signatures, and the answers are there already."""

    def __init__(self, folder: Path, answers: Mapping[str, Mapping[str, np.ndarray]]):
        from kerasft.serving.loaded import LoadedVersion

        signatures = read(folder).signature_def
        definitions = {name: signatures[name].SerializeToString() for name in answers}
        self._loaded = LoadedVersion("", 0, SimpleNamespace(signature_defs=definitions))
        self._answers = answers

    @contextlib.contextmanager
    def lease(self, model_spec) -> Iterator:
        yield self._loaded

    def run(self, loaded, signature_name, feeds, outputs, deadline=None) -> dict[str, np.ndarray]:
        return {alias: self._answers[signature_name][alias] for alias in outputs}
