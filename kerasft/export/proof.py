"""The proof of an export: a fresh process with TensorFlow's C++ library alone must answer as the Keras model did.

Nothing is published before `prove` has returned. XLA is off and no GPU is used, as in a stock TensorFlow Serving.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasft.errors import KerasftError
from kerasft.export import prover
from kerasft.export.capi import SessionError, as_array
from kerasft.export.compare import Difference, compare, sizes
from kerasft.export.strays import most_strays, with_strays

ROWS_ALONE = 32


@dataclass(frozen=True)
class Case:
    """Rows and the answers they must get.

    Attributes:
        signature: the signature's name.
        feeds: alias -> one value a row: a list of bytes or str, or an array with the rows first.
        expected: alias -> array with the rows first; strings as object arrays of bytes. Outputs not named here are
            not compared.
        what: names the rows in messages, as in "evaluation rows".
        alone: how many of the rows are asked by themselves too, the first ones.
        tolerance: the largest difference of two floats; that of the proof when None.
        strays: of a task that writes, the share of answers that rounding may lead elsewhere; see
            `kerasft.export.strays`.
    """

    signature: str
    feeds: Mapping[str, Sequence | np.ndarray]
    expected: Mapping[str, np.ndarray]
    what: str
    alone: int = ROWS_ALONE
    tolerance: float | None = None
    strays: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What a fresh process answered to one request: outputs, or else TensorFlow's error as one line."""

    outputs: dict[str, np.ndarray]
    error: str | None = None


def ask(folder: Path, requests: Sequence[tuple[str, Mapping]], timeout: float = 900.0) -> tuple[list[Answer], dict]:
    """Loads an export in a fresh process and sends it requests, one after another.

    Args:
        folder: the version folder.
        requests: pairs of signature and feeds (alias -> list or array; strings for str, bytes and object arrays).
        timeout: seconds that the process may take in all.

    Returns:
        One answer a request; and a record: the loader, its version and the seconds it took.

    Raises:
        KerasftError: the loader refused the folder, or the process died, hung, or wrote nothing readable.
    """
    packed = [
        {"signature": name, "feeds": {alias: prover.pack(_feed(value)) for alias, value in feeds.items()}}
        for name, feeds in requests
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryDirectory(prefix="kerasft-proof-") as scratch:
        job, answers = Path(scratch, "job.json"), Path(scratch, "answers.json")
        job.write_text(json.dumps({"folder": str(Path(folder).resolve()), "xla": False, "requests": packed}))
        command = [sys.executable, str(Path(prover.__file__).resolve()), str(job), str(answers)]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=timeout, cwd=scratch)
        except subprocess.TimeoutExpired:
            raise KerasftError(f"The fresh process that proves {folder} did not end within {timeout:g} s.") from None
        try:
            if done.returncode:
                raise ValueError(f"status {done.returncode}")
            found = json.loads(answers.read_text())
            replies = [_answer(reply) for reply in found["answers"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            message = f"The fresh process that proves {folder} failed ({error}): {lines[-1][:500]}"
            raise KerasftError(message) from None
    if found["load_error"]:
        reason = " ".join(found["load_error"]["message"].split())
        raise KerasftError(f"TensorFlow's C++ loader, and so TensorFlow Serving, cannot load {folder}: {reason[:700]}")
    if found["forbidden"] or len(replies) != len(packed):
        raise KerasftError(f"The proof of {folder} is void: its process imported {', '.join(found['forbidden'])}.")
    record = {
        "loader": f"{found['loader']} (C API) in a fresh process, without Python's tensorflow, keras or kerasft",
        "xla": False,
        "tensorflow": found["tensorflow"],
        "tensorflow_text": importlib.metadata.version("tensorflow-text"),
        "load_seconds": found["load_seconds"],
        "seconds": found["seconds"],
    }
    return replies, record


def _feed(value) -> np.ndarray:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OSU":
        return value
    first = np.asarray(value, dtype=object).reshape(-1)[:1]
    if len(first) and not isinstance(first[0], str | bytes):
        return np.asarray(value)
    try:
        return as_array(value, "string")
    except SessionError as error:
        raise KerasftError(f"A request cannot be sent: {error.message}") from None


def _answer(reply: dict) -> Answer:
    if "error" in reply:
        return Answer({}, " ".join(reply["error"]["message"].split()))
    return Answer({alias: prover.unpack(value) for alias, value in reply["outputs"].items()})


def prove(
    folder: Path,
    cases: Sequence[Case],
    tolerance: float = 1e-5,
    timeout: float = 900.0,
    also: Sequence[tuple[str, Mapping]] = (),
) -> tuple[dict, list[Answer]]:
    """Compares an export's answers with the expected ones, whatever the batch.

    Every case runs as one batch, with no row at all, and each of its first rows by itself. Strings and
    integers must be equal, floats within `tolerance`, times the largest of their output where that is above 1. One
    exception: a string per row may differ where the row's two best values in a float output [B, C] are tied within
    `tolerance`, and so may a string in a ranked list beside scores [B, M, K]; such rows are counted in the record.

    Args:
        folder: the version folder, not yet published.
        cases: rows with the Keras model's own answers.
        tolerance: the largest absolute difference of two floats.
        timeout: seconds for all of it.
        also: warm-up requests, pairs of signature and feeds: any answer will do, but none may fail.

    Returns:
        A JSON-able record: cases, rows, requests, the largest difference, ties, loader, versions, seconds; and the
        answers to `also`.

    Raises:
        KerasftError: the first difference (case, row, expected, found), or why no answer came.
    """
    start = time.monotonic()
    requests, plans = [], []
    for case in cases:
        feeds = {alias: _feed(value) for alias, value in case.feeds.items()}
        rows = {len(value) for value in (*feeds.values(), *case.expected.values())}
        if len(rows) != 1:
            raise KerasftError(
                f"{case.what}: inputs and expected outputs must have the same rows; found {sorted(rows)}."
            )
        requests.append((case.signature, feeds))
        plans.append((case, f"{case.what}, the whole batch", slice(None), False))
        # NumPy forgets the type of an empty list; a slice of the batch keeps it.
        pieces = [slice(0, 0)] + [slice(row, row + 1) for row in range(min(rows.pop(), case.alone))]
        for piece in pieces:
            requests.append((case.signature, {alias: value[piece] for alias, value in feeds.items()}))
            what = f"{case.what}, row {piece.start} alone" if piece.stop else f"{case.what}, a batch of no rows"
            plans.append((case, what, piece, True))
    answers, record = ask(folder, [*requests, *also], timeout)
    answers, others = answers[: len(requests)], answers[len(requests) :]
    largest, ties, strays = 0.0, 0, Counter()
    for (case, what, piece, alone), answer in zip(plans, answers, strict=True):
        if answer.error is not None:
            raise KerasftError(f"{what}: signature {case.signature} failed in the C++ runtime: {answer.error[:500]}")
        expected = {alias: value[piece] for alias, value in case.expected.items()}
        found = answer.outputs
        if case.strays:
            expected, found, astray = with_strays(expected, found)
            strays[case.what] += astray
        try:
            difference, tied = compare(
                *(expected, found, tolerance if case.tolerance is None else case.tolerance),
                padded=alone,
                first_row=piece.start or 0,
                sizes=sizes(case.expected),
            )
        except Difference as error:
            raise KerasftError(f"{what}: {error} Nothing is published.") from None
        largest, ties = max(largest, difference), ties + (0 if alone else tied)
    _check_strays(cases, strays)
    for (name, _), answer in zip(also, others, strict=True):
        if answer.error is not None:
            raise KerasftError(f"A warm-up request to signature {name} failed in the C++ runtime: {answer.error[:500]}")
    rows = [len(next(iter(case.expected.values()))) for case in cases]
    listed = [
        {"what": case.what, "signature": case.signature, "rows": count} for case, count in zip(cases, rows, strict=True)
    ]
    totals = {"cases": listed, "rows": sum(rows), "requests": len(requests), "tolerance": tolerance}
    totals |= {"max_difference": largest, "ties": ties, "strays": strays.total(), "warm_up_requests": len(others)}
    return {**totals, **record, "seconds": round(time.monotonic() - start, 3)}, others


def _check_strays(cases: Sequence[Case], strays: Mapping[str, int]) -> None:
    """Raises `KerasftError` where more answers went elsewhere than rounding leads there."""
    for case in cases:
        rows = len(next(iter(case.expected.values())))
        answers = rows + min(rows, case.alone)
        if strays[case.what] > most_strays(case.strays, answers):
            raise KerasftError(
                f"{case.what}: {strays[case.what]} of {answers} answers are other ones in the C++ runtime, more than "
                "rounding explains. Nothing is published."
            )
