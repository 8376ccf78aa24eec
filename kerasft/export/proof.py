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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from kerasft.errors import KerasftError
from kerasft.export import prover
from kerasft.export.capi import SessionError, as_array

ROWS_ALONE = 32
_PADDING = (b"", 0, -1)


@dataclass(frozen=True)
class Case:
    """Rows and the answers they must get.

    Attributes:
        signature: the signature's name.
        feeds: alias -> one value a row: a list of bytes or str, or an array with the rows first.
        expected: alias -> array with the rows first; strings as object arrays of bytes. Outputs not named here are
            not compared.
        what: names the rows in messages, as in "evaluation rows".
    """

    signature: str
    feeds: Mapping[str, Sequence | np.ndarray]
    expected: Mapping[str, np.ndarray]
    what: str


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


def prove(folder: Path, cases: Sequence[Case], tolerance: float = 1e-5) -> dict:
    """Compares an export's answers with the expected ones, whatever the batch.

    Every case runs as one batch, with no row at all, and each of its first `ROWS_ALONE` rows by itself. Strings and
    integers must be equal, floats within `tolerance`, times the largest of their output where that is above 1. One
    exception: a string per row may differ where the row's two best values in a float output [B, C] are tied within
    `tolerance`, and so may a string in a ranked list beside scores [B, M, K]; such rows are counted in the record.

    Args:
        folder: the version folder, not yet published.
        cases: rows with the Keras model's own answers.
        tolerance: the largest absolute difference of two floats.

    Returns:
        A JSON-able record: cases, rows, requests, the largest difference, ties, loader, versions, seconds.

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
        pieces = [slice(0, 0)] + [slice(row, row + 1) for row in range(min(rows.pop(), ROWS_ALONE))]
        for piece in pieces:
            requests.append((case.signature, {alias: value[piece] for alias, value in feeds.items()}))
            what = f"{case.what}, row {piece.start} alone" if piece.stop else f"{case.what}, a batch of no rows"
            plans.append((case, what, piece, True))
    answers, record = ask(folder, requests)
    largest, ties = 0.0, 0
    for (case, what, piece, alone), answer in zip(plans, answers, strict=True):
        if answer.error is not None:
            raise KerasftError(f"{what}: signature {case.signature} failed in the C++ runtime: {answer.error[:500]}")
        expected = {alias: value[piece] for alias, value in case.expected.items()}
        try:
            difference, tied = compare(
                *(expected, answer.outputs, tolerance),
                padded=alone,
                first_row=piece.start or 0,
                sizes=sizes(case.expected),
            )
        except Difference as error:
            raise KerasftError(f"{what}: {error} Nothing is published.") from None
        largest, ties = max(largest, difference), ties + (0 if alone else tied)
    rows = [len(next(iter(case.expected.values()))) for case in cases]
    listed = [
        {"what": case.what, "signature": case.signature, "rows": count} for case, count in zip(cases, rows, strict=True)
    ]
    totals = {"cases": listed, "rows": sum(rows), "requests": len(requests), "tolerance": tolerance}
    totals |= {"max_difference": largest, "ties": ties}
    return {**totals, **record, "seconds": round(time.monotonic() - start, 3)}


class Difference(Exception):
    """Two answers differ; the message names output, row, expected and found."""


def sizes(outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The largest size of each output of floats: what rounding is measured against."""
    return {
        alias: float(np.max(np.abs(value), initial=0.0, where=np.isfinite(value)))
        for alias, value in outputs.items()
        if value.dtype.kind == "f"
    }


def compare(
    expected: Mapping,
    found: Mapping,
    tolerance: float,
    padded=False,
    first_row=0,
    sizes: Mapping[str, float] = MappingProxyType({}),
) -> tuple[float, int]:
    """Compares two answers, output by output.

    Args:
        expected: alias -> array.
        found: alias -> array; may hold more outputs.
        tolerance: the largest absolute difference of two floats of a size up to 1.
        padded: let `found` be narrower than `expected` where only padding (b"", 0, -1) is missing: a row alone is
            padded to its own length, not to the longest of its batch.
        first_row: the number of the first row, for the message.
        sizes: of the outputs that may be larger than 1, such as numbers in the data's own units.

    Returns:
        The largest difference of floats, as a share of its output's size where that is above 1; and in how many rows a
        tie explains another string.

    Raises:
        Difference: the first one found.
    """
    tied = np.zeros(max((len(value) for value in expected.values()), default=0), dtype=bool)
    ranked = _ranked_ties(expected, tolerance)
    for value in expected.values():
        if value.dtype.kind == "f" and value.ndim == 2 and value.shape[1] > 1 and len(value) == len(tied):
            best = np.sort(value, axis=1)[:, -2:]
            # Two places that only fill a list up are no tie.
            tied |= (best[:, 1] - best[:, 0] <= tolerance) & (best[:, 1] != 0)
    for places in ranked.values():
        if len(places) == len(tied):
            tied |= np.any(places[:, :, 0], axis=1)
    largest, ties = 0.0, 0
    for alias, want in expected.items():
        if alias not in found:
            raise Difference(f"output {alias} is missing; found {', '.join(found) or 'none'}.")
        have = found[alias]
        if padded and have.ndim == want.ndim:
            want = _unpad(want, have)
        if have.shape != want.shape or have.dtype != want.dtype:
            shapes = f"expected {want.dtype} {list(want.shape)}, found {have.dtype} {list(have.shape)}"
            raise Difference(f"output {alias}: {shapes}.")
        if want.dtype.kind in "fcV":
            with np.errstate(invalid="ignore"):
                gap = np.abs(want.astype(np.complex128) - have.astype(np.complex128))
            same = (want == have) | (np.isnan(want) & np.isnan(have))
            gap = gap / max(1.0, sizes.get(alias, 0.0))
            wrong = ~same & ~(gap <= tolerance)
            largest = max(largest, float(np.max(gap[~same & ~wrong], initial=0.0)))
        else:
            wrong = want != have
            if want.dtype == object and want.ndim == 1:
                ties = max(ties, int(np.sum(wrong & tied)))
                wrong = wrong & ~tied
            elif want.dtype == object and expected[alias].shape in ranked:
                places = ranked[expected[alias].shape][tuple(slice(size) for size in want.shape)]
                ties = max(ties, int(np.sum(np.any(wrong & places, axis=(1, 2)))))
                wrong = wrong & ~places
        if np.any(wrong):
            place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            row = f"row {place[0] + first_row}" if place else "its one value"
            at = f" at {list(place[1:])}" if place[1:] else ""
            raise Difference(f"output {alias}, {row}{at}: expected {_shown(want[place])}, found {_shown(have[place])}.")
    return largest, ties


def _ranked_ties(expected: Mapping, tolerance: float) -> dict[tuple[int, ...], np.ndarray]:
    """Where ranked lists may have other strings: of each shape [B, M, K] of scores, best first, bool[B, M, K].

    A score that is within `tolerance` of the one above or below it is tied. So is the last one, for what was below it
    is not told. A place that only fills a list up has the score 0, and no tie.
    """
    found = {}
    for value in expected.values():
        if value.dtype.kind == "f" and value.ndim == 3 and value.shape[2] > 1:
            close = np.abs(np.diff(value, axis=2)) <= tolerance
            ends = np.zeros((*value.shape[:2], 1), bool)
            near = np.concatenate([ends, close], axis=2) | np.concatenate([close, ~ends], axis=2)
            found[value.shape] = near & (value > 0)
    return found


def _shown(value) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _unpad(want: np.ndarray, have: np.ndarray) -> np.ndarray:
    """Cuts `want` to the shape of `have` if only padding is lost; else gives `want` as it was."""
    if len(want) != len(have) or any(w < h for w, h in zip(want.shape, have.shape, strict=True)):
        return want
    kept = want[tuple(slice(size) for size in have.shape)]
    for pad in _PADDING:
        if np.sum(want != pad) == np.sum(kept != pad):
            return kept
    return want
