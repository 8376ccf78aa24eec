"""The tasks of bench_tasks.py: where their rows are, how both sides read them, and the figures they are judged by.

A new task is one entry in ENTRIES, and one in KINDS of peer_tasks.py if the peer knows nothing like it.
"""

import argparse
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench_training import timed
from role_rows import baselines
from task_rows import count, cut, known, read_rows, split, write_rows
from word_spans import span_figures, spans_of, widened


@dataclass(frozen=True)
class Files:
    """What both sides are given, and the number of rows in each."""

    train: Path
    held_out: Path
    rows: int
    held_out_rows: int


@dataclass(frozen=True)
class Entry:
    """A benchmark task.

    Attributes:
        task: kerasft's name of it, and the peer's.
        data: the training rows, under --data-root; a file `dev` of the same sort beside it has the held-out ones.
        figures: of the table, as both sides call them; the peer's best epoch is the best by the first.
        max_length: tokens a row, or a window of a row, of both.
        batch_size: of the peer.
        most: training and held-out rows, where not all are wanted.
        more: (kerasft's run folder, files, its figures) -> figures that are not in metrics.json; not timed.
        peer: whether the peer knows the task.
        learnt: which training rows both sides learn from; all when None.
    """

    task: str
    data: str
    figures: tuple[str, ...]
    max_length: int = 128
    batch_size: int = 32
    most: tuple[int, int] | None = None
    more: Callable[[Path, Files, dict], dict[str, float]] | None = None
    peer: bool = True
    learnt: Callable[[dict], bool] | None = None


def kerasft_answers(run: Path, files: Files) -> Iterable[tuple[dict, dict]]:
    """The held-out rows, each with kerasft's answer."""
    path = run.with_name("answers.jsonl")
    timed([sys.executable, "-m", "kerasft", "predict", str(run), "--data", str(files.held_out), "--output", str(path)])
    return zip(read_rows(files.held_out), read_rows(path), strict=True)


def f1_at_half(run: Path, files: Files, found: dict) -> dict[str, float]:
    """What kerasft does not say of itself: F1 with one half as the threshold of every label, from its answers."""
    names = list(found["per_label"])  # in the order of the probabilities
    true, given, both = Counter(), Counter(), Counter()
    for row, answer in kerasft_answers(run, files):
        chosen = {name for name, share in zip(names, answer["probabilities"], strict=True) if share >= 0.5}
        true.update(set(row["labels"]))
        given.update(chosen)
        both.update(chosen.intersection(row["labels"]))
    return {
        "micro_f1_at_half": 2 * both.total() / max(true.total() + given.total(), 1),
        "macro_f1_at_half": statistics.mean(2 * both[name] / max(true[name] + given[name], 1) for name in names),
    }


def f1_of_words(run: Path, files: Files, found: dict) -> dict[str, float]:
    """kerasft's spans as the peer gives them, of the file's words: kerasft reads the text, where words are not told.

    Its own `f1` asks for the very characters, so a span that ends within a word of the file is wrong there.
    """
    truth, given = [], []
    for row, answer in kerasft_answers(run, files):
        spans = zip(answer["starts"], answer["ends"], answer["labels"], strict=True)
        truth.append(spans_of(row["tags"]))
        given.append(widened(list(spans)[: answer["count"]], row["tokens"]))
    return {"word_f1": span_figures(truth, given)["f1"]}


def f1_without_a_model(run: Path, files: Files, found: dict) -> dict[str, float]:
    """What two guesses at the nearest nouns reach on the same rows."""
    train, held_out = read_rows(files.train), read_rows(files.held_out)
    roles = sum(len(row["roles"]) for row in held_out)
    if roles != found["roles"]:
        raise ValueError(f"kerasft reads {found['roles']} roles, the file has {roles}")
    return baselines(train, held_out)


TAGS = ("word_f1", "f1")

ENTRIES = {
    "trec": Entry("text-classification", "topic/trec/train.csv", ("accuracy", "macro_f1")),
    "sms": Entry("text-classification", "spam/sms/train.csv", ("macro_f1", "accuracy")),
    "ag_news": Entry("text-classification", "topic/ag_news/train.csv", ("accuracy", "macro_f1")),
    "rte": Entry("text-pair", "pair/rte/train.csv", ("accuracy", "macro_f1")),
    "stsb": Entry("regression", "regression/stsb/train.csv", ("pearson", "spearman")),
    # Pairs of 4 or more, of 5, belong together; all pairs of dev are measured.
    "stsb-vectors": Entry(
        "embedding",
        "regression/stsb/train.csv",
        ("spearman",),
        learnt=lambda row: float(row["score"]) >= 4,
    ),
    # Thresholds tuned for each label on the held-out rows, by both sides; then one half for every label.
    "goemotions": Entry(
        "multi-label",
        "multilabel/goemotions/train.jsonl",
        ("micro_f1", "macro_f1", "micro_f1_at_half", "macro_f1_at_half", "map"),
        more=f1_at_half,
    ),
    # Spans of the file's words; then of characters, which for the peer is the same.
    "wnut17": Entry("token-classification", "token/wnut17/train.conll", TAGS, more=f1_of_words),
    "chunking": Entry("token-classification", "token/chunking/train.conll", TAGS, more=f1_of_words),
    "wikitext2": Entry("masked-lm", "lm/wikitext2.valid.txt", ("accuracy", "perplexity"), peer=False),
    "squad": Entry(
        "question-answering",
        "qa/squad/train.json",
        ("f1", "exact_match"),
        max_length=384,
        batch_size=16,
        most=(2000, 500),
    ),
    "srl": Entry(
        "semantic-role-labeling",
        "srl/up_english_ewt/train.conllu",
        ("f1", "core_f1", "majority_f1", "nearest_noun_f1"),
        more=f1_without_a_model,
        peer=False,
    ),
}


def make_files(entry: Entry, folder: Path, options: argparse.Namespace) -> Files:
    """Writes the training and the held-out rows of a task into a folder."""
    source = Path(options.data_root) / entry.data
    if not source.is_file():
        sys.exit(f"{source} is not there: --data-root is the folder that holds {entry.data}.")
    dev = source.with_stem("dev")
    train, held_out = (read_rows(source), read_rows(dev)) if dev.is_file() else split(read_rows(source))
    if entry.learnt:
        train = [row for row in train if entry.learnt(row)]
    if most := (options.limit, options.limit) if options.limit else entry.most:
        train, held_out = cut(train, held_out, most)
    held_out = known(train, held_out)
    folder.mkdir()
    files = Files(folder / f"train{source.suffix}", folder / f"dev{source.suffix}", count(train), count(held_out))
    write_rows(files.train, train)
    write_rows(files.held_out, held_out)
    return files
