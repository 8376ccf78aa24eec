"""Networks from scratch that write: kerasft against `transformers` on the same tokens, sizes, epochs and rates.

    python tests/benchmarks/bench_language.py --peer-python peer/bin/python --data-root FOLDER --corpora tatoeba code

Each run is a process of its own, timed from start to end; the two sides take turns. kerasft learns a vocabulary from
the training rows and trains a new GPT-2 by the plan `scratch`, its default; the peer (peer_language.py) is given the
sequences of tokens that kerasft made, and trains on them in batches of like lengths too. The loss is on the answers
alone; in `shakespeare` on all tokens, and there the peer's tokens see the texts before theirs in a block, as they do in
its own example script. Both answer the first held-out prompts greedily, and both are scored by kerasft's own figures.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from bench_training import timed

PEER = Path(__file__).with_name("peer_language.py")
SHOWN = ("perplexity", "bits_per_byte", "bleu", "chrf", "exact_match", "rougeL")


@dataclass(frozen=True)
class Corpus:
    """One line of the table.

    Attributes:
        task: kerasft's.
        rows: (data root, folder for the files, the most rows or None) -> files to learn from and held out.
        epochs: over the training rows.
        vocabulary: pieces to learn.
        max_length: tokens of a sequence.
        written: held-out prompts that are answered.
    """

    task: str
    rows: Callable[[Path, Path, int | None], tuple[Path, Path]]
    epochs: int
    vocabulary: int
    max_length: int
    written: int = 300


def _write(path: Path, names: tuple[str, ...], rows: list[tuple]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


def _tables(folder: Path, rows: list[tuple], held_out: int, names: tuple[str, ...]) -> tuple[Path, Path]:
    """Two CSV files; every so many-th row is held out."""
    every = max(len(rows) // held_out, 2)
    _write(folder / "train.csv", names, [row for number, row in enumerate(rows) if number % every])
    _write(folder / "dev.csv", names, rows[::every])
    return folder / "train.csv", folder / "dev.csv"


def tatoeba(root: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    with open(root / "translation" / "tatoeba_en_zh" / "train.csv", newline="", encoding="utf-8") as file:
        rows = [(row["source"], row["target"]) for row in csv.DictReader(file)]
    return _tables(folder, rows[:most], 500, ("source", "target"))


def multi30k(root: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    data = root / "translation" / "multi30k"
    lines = {name: (data / name).read_text(encoding="utf-8").splitlines() for name in ("train.en", "train.de")}
    return _tables(
        folder, list(zip(lines["train.en"], lines["train.de"], strict=True))[:most], 1000, ("source", "target")
    )


def code(root: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    found = json.loads((root / "code" / "conala" / "train.json").read_text(encoding="utf-8"))
    rows = [(row["intent"], row["code"]) for row in found if row.get("intent") and row.get("code", "").strip()]
    return _tables(folder, rows[:most], 300, ("prompt", "code"))


def shakespeare(root: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    documents = (root / "lm" / "tinyshakespeare.txt").read_text(encoding="utf-8").split("\n\n")[:most]
    kept = round(0.9 * len(documents))
    for name, some in (("train.txt", documents[:kept]), ("dev.txt", documents[kept:])):
        (folder / name).write_text("\n\n".join(some) + "\n", encoding="utf-8")
    return folder / "train.txt", folder / "dev.txt"


def replies(root: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    """A question and its reply a dialogue; the replies to one question stay on one side."""
    lines = (root / "dialogue" / "chatterbot" / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, list[str]] = {}
    for pair in map(json.loads, lines[:most]):
        found.setdefault(" ".join(pair["context"].split()), []).append(" ".join(pair["response"].split()))
    groups = list(found.items())
    sides = {"train": [group for at, group in enumerate(groups) if at % 8], "dev": groups[::8]}
    for side, some in sides.items():
        rows = [(f"{question}\n{reply}",) for question, answers in some for reply in answers]
        _write(folder / f"{side}.csv", ("turns",), rows)
    return folder / "train.csv", folder / "dev.csv"


def abstracts(root: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    for side in ("train", "dev"):
        lines = (root / "summarisation" / "scitldr" / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [(" ".join(row["source"]), row["target"][0]) for row in map(json.loads, lines[:most])]
        _write(folder / f"{side}.csv", ("source", "target"), rows)
    return folder / "train.csv", folder / "dev.csv"


def halves(root: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    """Sentences of an encyclopedia: the first half of the words, and the second."""
    text = (root / "lm" / "wikitext2.valid.txt").read_text(encoding="utf-8")
    words = [sentence.split() for sentence in text.replace("\n", " . ").split(" . ")]
    rows = [(" ".join(some[: len(some) // 2]), " ".join(some[len(some) // 2 :])) for some in words if len(some) > 7]
    return _tables(folder, rows[:most], 500, ("prompt", "completion"))


CORPORA = {
    "tatoeba": Corpus("translation", tatoeba, 4, 6000, 96),
    "multi30k": Corpus("translation", multi30k, 4, 6000, 128),
    "code": Corpus("code-generation", code, 12, 2000, 160),
    "shakespeare": Corpus("causal-lm", shakespeare, 4, 2000, 128, written=0),
    "replies": Corpus("dialogue", replies, 10, 2000, 96),
    "halves": Corpus("text-generation", halves, 4, 4000, 96, written=100),
    "abstracts": Corpus("summarization", abstracts, 4, 4000, 256, written=100),
}


def run_kerasft(corpus: Corpus, train: Path, held_out: Path, run: Path, options: argparse.Namespace) -> dict:
    name = f"new:gpt2?layers={options.layers}&hidden={options.hidden}&heads={options.heads}&context=256&dropout=0.1"
    settings = [f"epochs={corpus.epochs}", f"vocabulary={corpus.vocabulary}", f"max_length={corpus.max_length}"]
    settings += ["batch_size=32", "precision=float32", f"eval_texts={corpus.written}"]
    command = [sys.executable, "-m", "kerasft", "fit", "--task", corpus.task, "--no-export", "--backbone", name]
    command += ["--data", str(train), "--eval-data", str(held_out), "--output", str(run), "--seed", str(options.seed)]
    for setting in settings:
        command += ["--set", setting]
    _, seconds, peak = timed(command)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {
        **metrics["metrics"],
        "wall_seconds": seconds,
        "train_seconds": sum(metrics["seconds"]["phases"]),
        "mb": peak,
    }


def sequences(run: Path, data: Path, count: int, folder: Path, train: Path) -> tuple[Path, Callable[[list], dict]]:
    """What kerasft has learnt from, for the peer; and how the peer's answers are scored."""
    import tensorflow as tf

    import kerasft
    from kerasft.data.prepare import read_for
    from kerasft.tasks.task import Drawing

    opened = kerasft.load_run(run)
    task, text, scheme, length = opened.task, opened.text, opened.scheme, opened.recipe.max_length

    def drawn(rows) -> list[dict]:
        encoded, targets = task.draws.draw(rows, text, scheme, Drawing(length))(0)
        learnt = np.zeros(encoded.starts[-1], int)
        places = encoded.inputs["chosen"].places
        learnt[places.flat + np.repeat(encoded.starts[:-1], places.lengths)] = targets.tokens.flat
        parts = (np.split(flat, encoded.starts[1:-1]) for flat in (encoded.inputs["token_ids"], learnt))
        return [{"ids": ids.tolist(), "targets": wanted.tolist()} for ids, wanted in zip(*parts, strict=True)]

    held_out = read_for(task, str(data)).rows
    asked = held_out.take(range(min(count, len(held_out))))
    requests = {name: tf.constant(of) for name, of in task.writes.requests(asked).items()}
    prompts = task.writes.prompts(text, scheme, requests)[0].to_list() if count else []
    made = {"train": drawn(read_for(task, str(train)).rows), "held_out": drawn(held_out), "prompts": prompts}
    file = folder / "rows.json"
    file.write_text(json.dumps({**made, "vocabulary": len(text.vocabulary), "end": text.spelling.end}))

    def score(answers: list[list[int]]) -> dict:
        if not answers:
            return {}
        written = [b"".join(text.spelling.pieces[token] for token in answer) for answer in answers]
        spoken = task.writes.spoken(scheme, tf.constant(written)).numpy()
        return task.measure(asked, {"text": spoken}, scheme)

    return file, score


def run_peer(corpus: Corpus, rows: Path, options: argparse.Namespace) -> dict:
    command = [options.peer_python, str(PEER), "--rows", str(rows), "--epochs", str(corpus.epochs)]
    for name in ("layers", "hidden", "heads", "seed"):
        command += [f"--{name}", str(getattr(options, name))]
    printed, seconds, peak = timed(command)
    return {**json.loads(printed.strip().splitlines()[-1]), "wall_seconds": seconds, "mb": peak}


def table(results: dict) -> str:
    lines = ["| corpus | figure | kerasft | transformers |", "|---|---|---|---|"]
    for name, sides in results.items():
        for figure in (*SHOWN, "wall_seconds", "mb"):
            if figure in sides["kerasft"]:
                values = [sides[side].get(figure) for side in ("kerasft", "peer")]
                lines.append(
                    f"| {name} | {figure} | " + " | ".join("" if v is None else f"{v:.4g}" for v in values) + " |"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="without it kerasft runs alone")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=list(CORPORA))
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of each corpus' own")
    parser.add_argument("--limit", type=int, help="rows of a corpus, to try the script out")
    parser.add_argument("--results", type=Path, default=Path("language.json"))
    options = parser.parse_args()
    results = {}
    for name in options.corpora:
        corpus = CORPORA[name]
        corpus = replace(corpus, epochs=options.epochs or corpus.epochs)
        with tempfile.TemporaryDirectory(prefix="kerasft-language-") as made:
            folder = Path(made)
            train, held_out = corpus.rows(options.data_root, folder, options.limit)
            ours = run_kerasft(corpus, train, held_out, folder / "run", options)
            results[name] = {"kerasft": ours, "peer": {}}
            if options.peer_python:
                rows, score = sequences(folder / "run", held_out, corpus.written, folder, train)
                theirs = run_peer(corpus, rows, options)
                answers = theirs.pop("answers")
                results[name]["peer"] = {**theirs, **score(answers)}
        options.results.write_text(json.dumps(results, indent=2) + "\n")
        print(table(results), flush=True)


if __name__ == "__main__":
    main()
