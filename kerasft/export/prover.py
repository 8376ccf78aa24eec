"""Answers a list of requests with TensorFlow's C++ library alone; run as a plain file in a fresh process.

`python prover.py JOB.json ANSWERS.json`. The job is `{"folder", "xla", "requests": [{"signature", "feeds"}]}`;
the answers are one of `{"outputs"}` or `{"error": {"code", "message"}}` a request, with arrays as `pack` writes them.
"""

import base64
import json
import sys
import time
import types
from pathlib import Path

import numpy as np

FORBIDDEN = ("kerasft", "keras", "keras_nlp", "keras_hub", "tensorflow")


def pack(array: np.ndarray) -> dict:
    """Gives an exact JSON form of an array: strings (object arrays of bytes) item by item, numbers as their bytes."""
    if array.dtype == object:
        values = [base64.b64encode(item).decode() for item in array.reshape(-1)]
        return {"dtype": "string", "shape": list(array.shape), "strings": values}
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def unpack(packed: dict) -> np.ndarray:
    """Gives the array that `pack` wrote."""
    if packed["dtype"] == "string":
        array = np.empty(len(packed["strings"]), dtype=object)
        array[:] = [base64.b64decode(item) for item in packed["strings"]]
        return array.reshape(packed["shape"])
    if packed["dtype"] == "bfloat16":
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(packed["dtype"])
    return np.frombuffer(base64.b64decode(packed["data"]), dtype).reshape(packed["shape"])


def _session_module():
    """Imports `session.py`, which lies beside this file, as part of no package of kerasft's."""
    here = Path(__file__).resolve().parent
    # Python puts a script's folder first on the path, where our file names could hide those of other packages.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    package = types.ModuleType("fresh")
    package.__path__ = [str(here)]
    sys.modules["fresh"] = package
    from fresh import capi, session

    return capi, session


def main(job_path: str, answers_path: str) -> None:
    """Runs the job and writes the answers."""
    job = json.loads(Path(job_path).read_text())
    capi, session = _session_module()
    start = time.monotonic()
    answers = {"tensorflow": capi.version(), "loader": capi.library_path().name, "load_error": None, "answers": []}
    try:
        loaded = session.Session(job["folder"], xla=job["xla"])
    except session.SessionError as error:
        answers["load_error"] = {"code": error.code, "message": error.message}
    else:
        answers["load_seconds"] = round(time.monotonic() - start, 3)
        with loaded:
            for request in job["requests"]:
                try:
                    feeds = {alias: unpack(value) for alias, value in request["feeds"].items()}
                    found = loaded.run(request["signature"], feeds)
                    answers["answers"].append({"outputs": {alias: pack(value) for alias, value in found.items()}})
                except session.SessionError as error:
                    answers["answers"].append({"error": {"code": error.code, "message": error.message}})
    answers["forbidden"] = sorted(name for name in FORBIDDEN if name in sys.modules)
    answers["seconds"] = round(time.monotonic() - start, 3)
    Path(answers_path).write_text(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
