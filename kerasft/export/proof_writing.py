"""What the export of a task that writes must answer: every signature, on held-out rows and on hostile texts."""

import base64
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kerasft.errors import KerasftError
from kerasft.export.hostile import HOSTILE_TEXTS
from kerasft.export.own_words import TOLERANCES, Words, check_words
from kerasft.export.proof import Case
from kerasft.run import Run, read_json

TIMEOUT = 3600.0
Ask = Callable[[str, Mapping[str, Any]], dict[str, np.ndarray]]
_ROWS = 16  # of a batch: each takes a cache as long as the context
_ALONE = 4
_FEW = 8  # tokens of an answer, where the recipe does not say how many
_STORED_BYTES = 1000  # of a hostile text that the proof keeps

# Precision of the weights -> what two batches of different sizes may differ by, as a share of an output's largest
# number; and the share of answers that go elsewhere for it (of 32 answers of 32 tokens by random models, none in
# float32 and one in bf16; more blocks and longer answers have more).
_ROUNDING = {"float32": (1e-5, 0.1), "bf16": (2e-2, 0.5)}

_SAMPLING: Mapping[str, Sequence[Any]] = {
    "temperature": (0.0, 0.7, 1.0, 1.5, 1.0),
    "top_k": (0, 40, 0, 5, 0, 1, 0),
    "top_p": (1.0, 0.9, 1.0),
    "min_p": (0.0, 0.0, 0.05, 0.0),
    "repetition_penalty": (1.0, 1.2),
    "stop_string": (b"", b"e", b"never met"),
}
_WRONG: Mapping[str, tuple[int, Any]] = {
    # Knob -> the row that has a wrong one, and that.
    "temperature": (1, float("nan")),
    "top_k": (3, -1),
    "max_new_tokens": (5, -7),
    "stop_string": (7, b"x" * 1000),
}


def writing_proof(run: Run, service) -> tuple[list[Case], dict[str, Any], dict[str, Any]]:
    """Asks a service, checks its words against the trained layers, and makes of it what the export is proven by.

    Args:
        run: whose network it was made of.
        service: `kerasft.generation.service.Service`, which is what will be exported.

    Returns:
        The cases; some hostile texts and their answers, for `kerasft check`; and what `proof.json` says of how the
        export writes.

    Raises:
        KerasftError: the service does not write as the layers do.
    """
    precision = run.scheme.numbers["export_weights"]
    tolerance, strays = _ROUNDING[precision]
    asked = _asker(service)

    def case(name: str, feeds: Mapping[str, Any], what: str) -> Case:
        return Case(name, feeds, asked(name, feeds), what, alone=_ALONE, tolerance=tolerance, strays=strays)

    with on_cpu():
        held_out, hostile = _held_out(run), _hostile(run)
        known = case("serving_default", held_out, "held-out rows")
        network = _check_network(run, service, asked, held_out, known.expected, TOLERANCES[precision])
        cases = [known]
        for part in range(0, len(HOSTILE_TEXTS), _ROWS):
            some = _rows(hostile, slice(part, part + _ROWS))
            cases.append(case("serving_default", some, f"hostile texts from {part} on"))
        mixed = _joined(_rows(held_out, slice(0, 8)), _rows(hostile, slice(0, None, 6)))
        knobs = _knobs(len(next(iter(mixed.values()))))
        cases.append(case("generate", {**mixed, **knobs}, "knobs of every kind, and wrong ones"))
        cases.append(case("generate", _rows(held_out, slice(0, 2)), "no knobs"))
        begun = _begun(known.expected["text"], len(next(iter(mixed.values()))))
        cases.append(case("continue", {**mixed, **knobs, "so_far": begun}, "texts that go on"))
        cases.append(case("score", {**mixed, "answer": begun}, "answers to score"))
        stored = _stored(asked, hostile)
    return cases, stored, _record(run, service, network, tolerance, strays)


def on_cpu() -> contextlib.AbstractContextManager:
    """Where the expected answers are made: on the processor, as in the process that proves an export.

    Nothing where there is no other device: what a function traced within is traced once more without, to be written.
    """
    import tensorflow as tf

    others = any(device.device_type != "CPU" for device in tf.config.list_logical_devices())
    return tf.device("CPU:0") if others else contextlib.nullcontext()


def _asker(service) -> Ask:
    """(signature, feeds) -> the service's own answer, as arrays; knobs that are not there have their defaults."""
    import tensorflow as tf

    def ask(name: str, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        signature = service.signatures[name]
        tensors = {alias: tf.constant(value, signature.inputs[alias].dtype) for alias, value in feeds.items()}
        return {alias: value.numpy() for alias, value in signature.function(**tensors).items()}

    return ask


def _held_out(run: Run) -> dict[str, list[bytes]]:
    rows = read_json(run.folder / "proof_rows.json")[:_ROWS]
    return {name: [row[name].encode() for row in rows] for name in run.task.text_columns}


def _hostile(run: Run) -> dict[str, list[bytes]]:
    texts = [text for _, text in HOSTILE_TEXTS]
    return {name: texts[shift:] + texts[:shift] for shift, name in enumerate(run.task.text_columns)}


def _rows(feeds: Mapping[str, list[bytes]], part: slice) -> dict[str, list[bytes]]:
    return {name: values[part] for name, values in feeds.items()}


def _joined(*parts: Mapping[str, list[bytes]]) -> dict[str, list[bytes]]:
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def _knobs(rows: int) -> dict[str, Any]:
    """Each knob in turns of its own length, so that they meet in many ways; and some rows with a wrong one."""
    found: dict[str, list] = {
        name: [values[row % len(values)] for row in range(rows)] for name, values in _SAMPLING.items()
    }
    found |= {"seed": [row * 7919 for row in range(rows)], "max_new_tokens": [_FEW] * rows}
    for name, (row, wrong) in _WRONG.items():
        if row < rows:
            found[name][row] = wrong
    dtypes = {"top_k": np.int32, "max_new_tokens": np.int32, "seed": np.int64}
    return {
        name: values if name == "stop_string" else np.array(values, dtypes.get(name, np.float32))
        for name, values in found.items()
    }


def _begun(texts: np.ndarray, rows: int) -> list[bytes]:
    """Halves of what was written, perhaps to within a character; every third one empty."""
    halves = [text[: (len(text) + 1) // 2] for text in texts.tolist()] or [b""]
    return [b"" if row % 3 == 0 else halves[row % len(halves)] for row in range(rows)]


# --- the network ------------------------------------------------------------------------------------------------------


def _check_network(
    run: Run, service, asked: Ask, held_out: Mapping[str, list[bytes]], served: Mapping, tolerance: float
) -> dict[str, float]:
    """Greedy words must be the network's best; whatever is served must have its log-probabilities."""
    rows = len(next(iter(held_out.values())))
    greedy = asked("generate", {**held_out, **_greedy(rows)})
    found = {}
    for what, answers, most, are_best in (
        ("greedy", greedy, _FEW, True),
        ("serving_default", served, run.scheme.numbers["max_new_tokens"], False),
    ):
        words = _words(run, service, held_out, answers, most)
        if not any(row.tokens for row in words):
            raise KerasftError(
                f"Not published: nothing was written behind {rows} held-out prompts, so nothing is proven."
            )
        found[what] = round(check_words(run.network.backbone, words, tolerance, are_best), 7)
    return found


def _greedy(rows: int) -> dict[str, Any]:
    """All knobs but those that leave the network's best token the best."""
    off = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    dtypes = {"top_k": np.int32}
    knobs = {name: np.full(rows, value, dtypes.get(name, np.float32)) for name, value in off.items()}
    return {**knobs, "max_new_tokens": np.full(rows, _FEW, np.int32), "stop_string": [b""] * rows}


def _words(run: Run, service, feeds: Mapping[str, list[bytes]], answers: Mapping, most: int) -> list[Words]:
    """The prompts as they were read, and what was written behind them."""
    import tensorflow as tf

    from kerasft.generation.prompts import place_prompts

    generator = service.generator

    @tf.function
    def read(inputs):
        prompts, _ = run.task.writes.prompts(run.text, run.scheme, inputs)
        wanted = tf.fill([tf.cast(prompts.nrows(), tf.int32)], most)
        laid = place_prompts(prompts, wanted, generator.end, generator.decoder.context)
        return laid.tokens, laid.starts

    tokens, starts = (value.numpy() for value in read({name: tf.constant(texts) for name, texts in feeds.items()}))
    counts = (answers["tokens"] >= 0).sum(axis=1)
    return [
        Words(
            read=tokens[row, starts[row] :].tolist(),
            tokens=answers["tokens"][row, :count].tolist(),
            logprob=answers["logprob"][row, :count].tolist(),
        )
        for row, count in enumerate(counts)
    ]


# --- what the proof keeps ---------------------------------------------------------------------------------------------


def _stored(asked: Ask, hostile: Mapping[str, list[bytes]]) -> dict[str, Any]:
    count = len(HOSTILE_TEXTS)
    short = [row for row in range(count) if all(len(texts[row]) <= _STORED_BYTES for texts in hostile.values())]
    chosen = {name: [texts[row] for row in short[:_ROWS]] for name, texts in hostile.items()}
    outputs = asked("serving_default", chosen)
    return {
        "signature": "serving_default",
        "texts_base64": {name: [base64.b64encode(text).decode() for text in texts] for name, texts in chosen.items()},
        "outputs": {name: _storable(value.tolist()) for name, value in outputs.items()},
    }


def _storable(value: Any) -> Any:
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def _record(run: Run, service, network: Mapping[str, float], tolerance: float, strays: float) -> dict[str, Any]:
    numbers = run.scheme.numbers
    decoding = "beam search" if numbers["beams"] > 1 else "sampling" if numbers["temperature"] > 0 else "greedy"
    return {
        "decoding": decoding,
        "signatures": {
            name: {"inputs": list(signature.inputs), "defaults": dict(signature.defaults)}
            for name, signature in service.signatures.items()
        },
        "context": service.generator.decoder.context,
        "weights": numbers["export_weights"],
        # The largest difference of log-probabilities to those of the network's own layers.
        "network": dict(network),
        "tolerance": tolerance,
        "strays": strays,
        # What `kerasft check` asks with: the recipe's answers may be long.
        "sparing": {name: {"max_new_tokens": _FEW} for name in ("generate", "continue")},
    }
