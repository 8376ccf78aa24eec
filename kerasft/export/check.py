"""`kerasft check`: the proof's static and dynamic parts again, on any SavedModel, ours or not."""

import base64
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kerasft.errors import KerasftError
from kerasft.export.check_files import judge_files, judge_replay
from kerasft.export.compare import Difference, compare, sizes
from kerasft.export.contracts import FAILED, NOTE, OK, judge
from kerasft.export.examples import serialized_example
from kerasft.export.hostile import HOSTILE_TEXTS, hostile_numbers
from kerasft.export.proof import Answer, ask
from kerasft.export.prover import unpack
from kerasft.export.servable import Inspection, inspect
from kerasft.export.session import Signature
from kerasft.export.strays import most_strays, with_strays
from kerasft.export.versions import PROOF, version_folder

TOLERANCE = 1e-5
_MORE = 8
_FAST, _SLOW = 900.0, 3600.0  # seconds for all requests: a text is written a token at a time


@dataclass(frozen=True)
class Finding:
    """One line of the report. `status` is `ok`, `failed` (the export is not servable) or `note`."""

    status: str
    check: str
    detail: str


def check_export(path: str | Path) -> dict:
    """Checks that a stock TensorFlow Serving loads a SavedModel and answers any text with it.

    Args:
        path: the version folder, or the model's folder, of which the highest version is taken.

    Returns:
        A JSON-able report: `export`, `servable`, `lowest_release`, `findings` (status, check, detail), `size`
        (bytes), `signatures`, `loader`.

    Raises:
        KerasftError: not a SavedModel.
    """
    folder = version_folder(Path(path))
    inspection = inspect(folder)
    kept = _kept_proof(folder)
    findings = _static(inspection, own=kept is not None)
    record: dict = {}
    try:
        dynamic, record = _dynamic(folder, inspection, kept or {})
        findings += dynamic
    except KerasftError as error:
        findings.append(Finding(FAILED, "loads in the C++ loader", str(error)))
    size = {"folder": inspection.folder_bytes, "weights": inspection.weights_bytes}
    size["ratio"] = round(inspection.folder_bytes / inspection.weights_bytes, 3) if inspection.weights_bytes else None
    return {
        "export": str(folder),
        "servable": all(finding.status != FAILED for finding in findings),
        "lowest_release": inspection.lowest_release,
        "findings": [asdict(finding) for finding in findings],
        "size": size,
        "signatures": {name: _signature_record(found) for name, found in inspection.signatures.items()},
        "written_by_tensorflow": inspection.tensorflow,
        "checked_with": record,
    }


def _signature_record(signature: Signature) -> dict:
    sides = {"inputs": signature.inputs, "outputs": signature.outputs}
    return {
        side: {alias: {"dtype": info.dtype, "shape": info.shape and list(info.shape)} for alias, info in infos.items()}
        for side, infos in sides.items()
    }


def _kept_proof(folder: Path) -> dict | None:
    if not (folder / PROOF).is_file():
        return None
    try:
        return json.loads((folder / PROOF).read_text())
    except (OSError, ValueError) as error:
        raise KerasftError(f"{folder / PROOF} cannot be read: {error}. Export the run again.") from None


# --- static -----------------------------------------------------------------------------------------------------------


def _static(inspection: Inspection, own: bool) -> list[Finding]:
    findings = [Finding(FAILED, "ops", problem) for problem in inspection.problems]
    if not findings:
        findings.append(Finding(OK, "ops", f"{len(inspection.ops)} different ops, all in a stock server, none mutable"))
    because = f", for {inspection.because}" if inspection.because else ""
    release = f"TensorFlow Serving {inspection.lowest_release}{because}"
    findings.append(Finding(OK, "lowest release", release if because else f"{release} (older ones were not looked at)"))
    if inspection.oversize:
        findings.append(Finding(FAILED if own else NOTE, "size", inspection.oversize))
    else:
        sizes = f"{inspection.folder_bytes / 1e6:.1f} MB, weights {inspection.weights_bytes / 1e6:.1f} MB"
        findings.append(Finding(OK, "size", sizes))
    for name, signature in inspection.signatures.items():
        findings += [Finding(status, f"signature {name}", detail) for status, detail in judge(signature, strict=own)]
    return findings


# --- dynamic ----------------------------------------------------------------------------------------------------------


def _dynamic(folder: Path, inspection: Inspection, kept: Mapping) -> tuple[list[Finding], dict]:
    texts = [text for _, text in HOSTILE_TEXTS]
    fields, numbers, writing = _text_fields(inspection), kept.get("number_columns", []), kept.get("writing", {})
    replayed, beside = judge_files(folder)
    requests, jobs = [*replayed], []
    for name, signature in inspection.signatures.items():
        # What a request may leave out: of another model nobody knows for how many rows the default is.
        optional = signature.defaults if kept else {}
        feeds = _hostile_feeds(signature, inspection, texts, fields, numbers, optional)
        if feeds is not None:
            sparing = writing.get("sparing", {}).get(name, {})
            feeds |= {alias: np.full(len(texts), value, np.int32) for alias, value in sparing.items()}
            jobs.append((name, len(requests)))
            pieces = [slice(None), slice(0, 0), *(slice(row, row + 1) for row in range(len(texts)))]
            requests += [(name, {alias: value[piece] for alias, value in feeds.items()}) for piece in pieces]
    stored = _stored_case(kept)
    if stored:
        requests.append(stored[0])
    answers, record = ask(folder, requests, timeout=_SLOW if writing else _FAST)
    loads = Finding(OK, "loads in the C++ loader", f"in {record['load_seconds']:.1f} s, XLA off, fresh process")
    beside += judge_replay(replayed, [answer.error for answer in answers[: len(replayed)]])
    findings = [loads, *(Finding(*found) for found in beside)]
    for name, start in jobs:
        whole, none, *alone = answers[start : start + 2 + len(texts)]
        findings += _answers_findings(f"hostile texts to {name}", whole, none, alone, writing)
    skipped = sorted(set(inspection.signatures) - {name for name, _ in jobs})
    if skipped:
        detail = f"{', '.join(skipped)}: not sent hostile texts, for not every input is string[batch]"
        findings.append(Finding(NOTE, "signatures", detail))
    if stored:
        findings.append(_stored_finding(answers[-1], stored[1], writing))
    return findings, record


def _text_fields(inspection: Inspection) -> list[str]:
    """Gives the names of the texts: the inputs of the default signature, which are also the features of tf.Examples."""
    signature = inspection.signatures.get("serving_default")
    return [alias for alias, info in signature.inputs.items() if info.dtype == "string"] if signature else []


def _hostile_feeds(
    signature: Signature,
    inspection: Inspection,
    texts: Sequence[bytes],
    fields: Sequence[str],
    numbers: Sequence[str],
    optional: Container[str],
):
    """Gives feeds of hostile texts, every input but the `optional` ones with its own order of them; None if it takes
    other things.

    Whole numbers are sent as well, but only to inputs that an export of ours says are `numbers`: what those of another
    model may be is not known.
    """
    asked = {alias: info for alias, info in signature.inputs.items() if alias not in optional}
    expected = {alias: "int32" if alias in numbers else "string" for alias in asked}
    infos = asked.items()
    if not infos or any(info.dtype != expected[alias] or len(info.shape or ()) != 1 for alias, info in infos):
        return None
    examples = any(op.startswith("ParseExample") for op in inspection.reached[signature.name])
    if examples and not (fields and len(signature.inputs) == 1):
        return None
    names = fields if examples else [alias for alias in asked if alias not in numbers]
    rotated: dict = {name: [*texts[shift:], *texts[:shift]] for shift, name in enumerate(names)}
    odd = hostile_numbers(rotated[names[-1]]) if names else []
    rotated |= {name: np.array(odd, np.int32) for name in numbers if examples or name in signature.inputs}
    if examples:
        rows = zip(*rotated.values(), strict=True)
        serialized = [serialized_example(dict(zip(rotated, row, strict=True))) for row in rows]
        return {next(iter(signature.inputs)): serialized}
    return rotated


def _answers_findings(
    check: str, whole: Answer, none: Answer, alone: Sequence[Answer], writing: Mapping
) -> list[Finding]:
    named = [f"text {row} ({what})" for row, (what, _) in enumerate(HOSTILE_TEXTS)]
    broken = [f"{what}: {answer.error[:300]}" for what, answer in zip(named, alone, strict=True) if answer.error]
    if whole.error or broken:
        return [Finding(FAILED, check, detail) for detail in (broken or [f"as one batch: {whole.error[:300]}"])[:_MORE]]
    problems = []
    if none.error:
        problems.append(f"a batch of no rows: {none.error[:300]}")
    tolerance, share, strays = writing.get("tolerance", TOLERANCE), writing.get("strays", 0.0), 0
    for row, answer in enumerate(alone):
        try:
            expected = {alias: value[row : row + 1] for alias, value in whole.outputs.items()}
            found = answer.outputs
            if share:
                expected, found, astray = with_strays(expected, found)
                strays += astray
            compare(expected, found, tolerance, padded=True, first_row=row, sizes=sizes(whole.outputs))
        except (Difference, IndexError) as error:
            problems.append(f"{named[row]} alone and in a batch: {error}")
    if strays > most_strays(share, len(alone)):
        problems.append(f"{strays} of {len(alone)} texts are answered otherwise alone than in a batch")
    for alias, value in whole.outputs.items():
        if value.shape[:1] != (len(alone),):
            problems.append(f"output {alias} has shape {list(value.shape)} for {len(alone)} rows")
        elif value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            problems.append(f"output {alias} is not finite for {named[int(np.nonzero(~np.isfinite(value))[0][0])]}")
        elif value.dtype == object and not alias.endswith("_bytes"):
            row = next((row for row in range(len(value)) if not _is_utf8(value[row])), None)
            if row is not None:
                problems.append(f"output {alias} is not UTF-8 for {named[row]}: a REST answer would be invalid JSON")
    if problems:
        return [Finding(FAILED, check, problem) for problem in problems[:_MORE]]
    but = f", but {strays} that rounding led elsewhere" if strays else ""
    return [Finding(OK, check, f"{len(alone)} texts, each alone as in one batch{but}; a batch of no rows")]


def _is_utf8(value) -> bool:
    try:
        return all(isinstance(item.decode(), str) for item in np.asarray(value, dtype=object).reshape(-1))
    except UnicodeDecodeError:
        return False


def _stored_case(kept: Mapping) -> tuple[tuple[str, dict], dict[str, np.ndarray]] | None:
    """Reads the hostile rows and answers that the proof kept; None when it kept none."""
    stored = kept.get("hostile")
    if not stored:
        return None
    try:
        feeds: dict = {
            name: [base64.b64decode(text) for text in texts] for name, texts in stored["texts_base64"].items()
        }
        feeds |= {name: np.array(of, np.int32) for name, of in stored.get("numbers", {}).items()}
        outputs = {alias: _stored_array(value) for alias, value in stored["outputs"].items()}
        return (stored["signature"], feeds), outputs
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KerasftError(f"{PROOF} in the export is damaged ({error!r}). Export the run again.") from None


def _stored_array(value) -> np.ndarray:
    if isinstance(value, dict):
        return unpack(value)
    array = np.asarray(value)
    if array.dtype.kind == "U":
        # Not through NumPy's own strings: they lose a NUL at the end.
        items = np.asarray(value, dtype=object).reshape(-1)
        return np.asarray([item.encode() for item in items], dtype=object).reshape(array.shape)
    return array


def _stored_finding(answer: Answer, expected: Mapping[str, np.ndarray], writing: Mapping) -> Finding:
    check = "the answers of the proof"
    if answer.error:
        return Finding(FAILED, check, answer.error[:300])
    # JSON knows neither float32 nor int32: the stored numbers take the type of those found.
    typed = {
        alias: value.astype(answer.outputs[alias].dtype) if alias in answer.outputs and value.dtype != object else value
        for alias, value in expected.items()
    }
    rows = max(len(value) for value in expected.values())
    found, share, strays = answer.outputs, writing.get("strays", 0.0), 0
    if share:
        typed, found, strays = with_strays(typed, found)
    try:
        if strays > most_strays(share, rows):
            raise Difference(f"{strays} of {rows} answers are other ones.")
        largest, _ = compare(typed, found, writing.get("tolerance", TOLERANCE), sizes=sizes(typed))
    except Difference as error:
        return Finding(FAILED, check, str(error))
    return Finding(OK, check, f"{rows} rows answered as when it was published (largest difference {largest:.1e})")
