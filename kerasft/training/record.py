"""What a run writes down beside its weights."""

import csv
import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kerasft.atomic import new_file
from kerasft.data.inputs import inputs_of
from kerasft.data.prepare import Sets
from kerasft.data.rows import Rows
from kerasft.run import write_json
from kerasft.tasks.task import Task

PROOF_ROWS = 64
_PACKAGES = ("kerasft", "tensorflow", "tensorflow-text", "keras", "keras-nlp", "numpy")


def describe_run(sets: Sets, replicas: int) -> dict[str, Any]:
    """`run.json`: scheme, data fingerprints, what was said of the data, versions."""
    rows = {"train": sets.train, "eval": sets.held_out, "test": sets.test}
    return {
        "task": sets.task.name,
        "text_columns": list(sets.task.text_columns),
        "scheme": sets.scheme.as_json(),
        "data": {
            name: {"rows": len(part), "sha256": part.fingerprint()} for name, part in rows.items() if part is not None
        },
        "notes": list(sets.notes),
        "warnings": list(sets.warnings),
        "skipped_rows": len(sets.skipped),
        "replicas": replicas,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """`history.csv`: one line an epoch."""
    with new_file(folder / "history.csv") as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)


def write_skipped(folder: Path, sets: Sets) -> None:
    """`skipped.jsonl`: place and reason of each row left out; no file when there are none."""
    if sets.skipped:
        with new_file(folder / "skipped.jsonl") as beside:
            lines = (json.dumps(dataclasses.asdict(skipped), ensure_ascii=False) for skipped in sets.skipped)
            beside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_proof_rows(folder: Path, task: Task, held_out: Rows) -> None:
    """Some held-out inputs, as they can be asked, stay with the run: an export is proven on them."""
    held_out = held_out.take(range(min(PROOF_ROWS, len(held_out))))
    inputs = task.writes.requests(held_out) if task.writes else inputs_of(held_out, task)
    if task.asks:
        for name in task.text_columns:
            posed = map(task.asks.pose, [text.encode() for text in inputs[name]], range(len(inputs[name])))
            inputs[name] = [text.decode() for text in posed]
    columns = [values.tolist() if isinstance(values, np.ndarray) else values for values in inputs.values()]
    rows = [dict(zip(inputs, values, strict=True)) for values in zip(*columns, strict=True)]
    write_json(folder / "proof_rows.json", rows)
