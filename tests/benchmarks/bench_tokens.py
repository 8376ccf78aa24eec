"""GPT-2's tokens: megabytes a second on one core, cold, against keras-nlp and `tokenizers`; and that every id is right.

    python tests/benchmarks/bench_tokens.py --vocabulary gpt2/ --text english.txt
    python tests/benchmarks/bench_tokens.py --vocabulary gpt2/ --data-root data/ --random 50000 --no-speed

`--vocabulary` is a folder with `vocab.json` and `merges.txt`. Speed: one process held to one core, TensorFlow with one
thread, by processor time (other work on the machine does not count); each round tokenises the same English once with
each program, taking turns, none of which has seen a text before. kerasft and keras-nlp take `--batch` texts at a time,
in a `tf.function`; kerasft and `tokenizers` also one at a time. Exactness: every text below `--data-root`, `--random`
random strings, as many broken ones, and awkward ones, ids and character offsets. A peer that is not installed is left
out. Writes tokens.json; exits 1 for a difference.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "text")]

Encode = Callable[[Sequence[str]], int]
"""Tokenises texts, and returns the number of tokens."""

BATCH_OF_DIFFERENCES = 4096


def kerasft_tokens(folder: Path):
    """The graph function that training and exports hold."""
    import tensorflow as tf

    from kerasft.text.gpt2 import make_tokenizer
    from kerasft.text.gpt2_vocabulary import read_byte_pairs

    tokenize = make_tokenizer(read_byte_pairs(folder / "vocab.json", folder / "merges.txt").merges)
    return tf.function(tokenize, input_signature=[tf.TensorSpec([None], tf.string)])


def keras_nlp_tokens(folder: Path):
    """keras-nlp's, traced; it keeps every word that it has seen."""
    import keras_nlp
    import tensorflow as tf

    tokenizer = keras_nlp.models.GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    return tf.function(tokenizer.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])


def reference_tokens(folder: Path):
    """The reference, without a table of special tokens: a text is data."""
    import tokenizers

    files = [str(folder / "vocab.json"), str(folder / "merges.txt")]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(*files))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def in_batches(tokenize: Callable, size: int) -> Encode:
    """A graph function, some texts at a time; traced on nothing, so that no word has been seen."""
    import tensorflow as tf

    def ids(texts):
        found = tokenize(texts)
        return getattr(found, "ids", found).flat_values

    ids = tf.function(ids, input_signature=[tf.TensorSpec([None], tf.string)])
    ids(tf.constant([""]))

    def encode(texts: Sequence[str]) -> int:
        return sum(ids(tf.constant(texts[start : start + size])).shape[0] for start in range(0, len(texts), size))

    return encode


def one_by_one(tokenizer) -> Encode:
    """`tokenizers`, a text a call."""
    return lambda texts: sum(len(tokenizer.encode(text).ids) for text in texts)


def measure_speed(folder: Path, texts: Sequence[str], rounds: int, batch: int) -> dict[str, dict]:
    """Megabytes (10^6 bytes of UTF-8) a second of each program in each round."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    few = texts[: max(len(texts) // 10, 1)]  # a call a text costs a graph its overhead: enough of them to see it
    few_megabytes = sum(len(text.encode()) for text in few) / 1e6
    ours = kerasft_tokens(folder)
    # Those without a memory are made once; the others anew in each round.
    programs: dict[str, Callable[[], Encode]] = {"kerasft": lambda: in_batches(ours, batch)}
    if importlib.util.find_spec("tokenizers"):
        programs["tokenizers, one by one"] = lambda: one_by_one(reference_tokens(folder))
    if importlib.util.find_spec("keras_nlp"):
        programs["keras-nlp"] = lambda: in_batches(keras_nlp_tokens(folder), batch)
    rates: dict[str, list[float]] = {}
    tokens: dict[str, int] = {}

    def timed(name: str, encode: Encode, these: Sequence[str], size: float) -> None:
        start = time.process_time()
        tokens[name] = encode(these)
        rates.setdefault(name, []).append(size / (time.process_time() - start))

    for _ in range(rounds):
        for name, make in programs.items():
            encode = make()
            timed(name, encode, texts, megabytes)
            if name == "keras-nlp":
                timed("keras-nlp, warm", encode, texts, megabytes)
        timed("kerasft, one by one", in_batches(ours, 1), few, few_megabytes)
        print("  ".join(f"{name} {found[-1]:.2f}" for name, found in rates.items()), "MB/s", flush=True)
    return {
        name: {"median": statistics.median(found), "rounds": found, "tokens": tokens[name]}
        for name, found in rates.items()
    }


def count_differences(folder: Path, data_root: str | None, random: int) -> dict[str, dict[str, int]]:
    """Of each sort of text, how many there are and how many have other ids or offsets than the reference gives."""
    from random_texts import AWKWARD, broken_strings, random_strings
    from shared_texts import shared_texts

    sorts: dict[str, list[bytes]] = {"awkward": [text.encode() for text in AWKWARD]}
    if random:
        sorts["random Unicode"] = [text.encode() for text in random_strings(random, seed=2026)]
        sorts["not UTF-8"] = broken_strings(random, seed=2027)
    if data_root:
        sorts["data"] = [text.encode() for text in shared_texts(Path(data_root))]
    ours, reference = kerasft_tokens(folder), reference_tokens(folder)
    found = {}
    for name, rows in sorts.items():
        wrong = _differing(ours, reference, rows)
        found[name] = {"texts": len(rows), "bytes": sum(map(len, rows)), "differences": len(wrong)}
        print(f"{name}: {len(rows):,} texts, {len(wrong)} differ", *map(repr, wrong[:3]), flush=True)
    return found


def _differing(ours, reference, rows: Sequence[bytes]) -> list[bytes]:
    import tensorflow as tf
    from reference_tokenizer import difference

    wrong = []
    for start in range(0, len(rows), BATCH_OF_DIFFERENCES):
        batch = rows[start : start + BATCH_OF_DIFFERENCES]
        encodings = reference.encode_batch([row.decode(errors="replace") for row in batch])
        ids, offsets = difference(ours(tf.constant(batch, tf.string)), encodings)
        wrong += [batch[row] for row in ids + offsets]
    return wrong


def english(path: Path, megabytes: float) -> list[str]:
    """The first texts of a file, so many megabytes of them; short ones, such as ids and titles, left out."""
    from shared_texts import texts_of

    texts, size = [], 0
    for text in dict.fromkeys(texts_of(path)):
        if len(text) > 40 and size < megabytes * 1e6:
            texts.append(text)
            size += len(text.encode())
    return texts


def on_one_core() -> None:
    """Holds this process to one core; TensorFlow and `tokenizers` to one thread."""
    import tensorflow as tf

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=Path, required=True, help="folder with vocab.json and merges.txt")
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="files of English; each is measured by itself")
    parser.add_argument("--megabytes", type=float, default=1.0, help="of each file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=512, help="texts a call")
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--data-root", help="folder with texts to compare the ids of")
    parser.add_argument("--random", type=int, default=0, help="random strings to compare the ids of")
    parser.add_argument("--results", default="tokens.json")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    on_one_core()
    record: dict = {"speed": {}, "differences": {}}
    if not options.no_speed:
        for path in options.text:
            print(path.name)
            texts = english(path, options.megabytes)
            speed = record["speed"][path.name] = measure_speed(options.vocabulary, texts, options.rounds, options.batch)
            for name, figures in speed.items():
                print(f"  {name:<24} {figures['median']:.2f} MB/s, {figures['tokens']:,} tokens")
    if options.data_root or options.random:
        record["differences"] = count_differences(options.vocabulary, options.data_root, options.random)
    Path(options.results).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if any(sort["differences"] for sort in record["differences"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
