"""What lies beside a graph and can keep a server from loading it: warm-up requests and batching parameters."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kerasft.errors import KerasftError
from kerasft.export.contracts import FAILED, OK
from kerasft.export.warm_file import read_warm_file
from kerasft.serving.config_files import own_batching_parameters
from kerasft.serving.status import ServingError

_WARM, _BATCHING = "warm-up requests", "batching parameters"
Found = tuple[str, str, str]
"""Status, check and detail of a finding."""


def judge_files(folder: Path) -> tuple[list[tuple[str, Mapping]], list[Found]]:
    """Reads both files of a version folder.

    Returns:
        The requests to replay, pairs of signature and feeds; and what was found. A file that is not there is none.
    """
    requests, found = [], []
    try:
        requests = read_warm_file(folder)
    except KerasftError as error:
        found.append((FAILED, _WARM, str(error)))
    try:
        if parameters := own_batching_parameters(folder):
            rows = f"runs of up to {parameters.max_execution_batch_size} rows"
            found.append((OK, _BATCHING, f"{rows}, with --enable_per_model_batching_parameters"))
    except ServingError as error:
        found.append((FAILED, _BATCHING, f"{error.message} (with --enable_per_model_batching_parameters)"))
    return requests, found


def judge_replay(requests: Sequence[tuple[str, Mapping]], errors: Sequence[str | None]) -> list[Found]:
    """Judges the answers to warm-up requests: after one that fails a server would not serve the version.

    Args:
        requests: pairs of signature and feeds.
        errors: of each answer, None where there was none.
    """
    for number, ((name, _), error) in enumerate(zip(requests, errors, strict=True)):
        if error:
            return [(FAILED, _WARM, f"number {number}, to {name}, fails: {error[:300]}")]
    return [(OK, _WARM, f"{len(requests)}, replayed")] if requests else []
