"""A batch of mixed lengths in one piece, and in slices of like length as exports run it (kerasft/export/slices.py).

    python tests/benchmarks/bench_slices.py runs/sentiment-1 [--rounds 7]

The run's network, in graphs that differ in that alone; the two take turns, batch by batch. Prints milliseconds a batch.
"""

import argparse
import random
import statistics
import time

from kerasft import load_run
from kerasft.export.slices import in_slices
from kerasft.network import full_model
from kerasft.serving.load.sentences import SENTENCES, SHORT
from kerasft.start import start_tensorflow

CASES = (("short", 1), ("mixed", 1), ("short", 16), ("mixed", 8), ("mixed", 16), ("mixed", 32))
BATCHES = 8  # of a case, each of other texts
TOKENS = 8192


def graphs(run) -> dict:
    """Name -> graph from texts to logits."""
    import tensorflow as tf

    model = full_model(run.network)

    def network(inputs):
        return model(inputs, training=False)

    def graph(logits_of):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def answer(texts):
            return logits_of(dict(run.text.pack([run.text.tokenize(texts).ids], max_length=run.recipe.max_length)))

        return answer

    return {
        "in one piece": graph(network),
        "in slices": graph(lambda inputs: in_slices(network, inputs, set(inputs), TOKENS)),
    }


def batches(kind: str, rows: int) -> list[list[str]]:
    texts = list(SHORT if kind == "short" else SENTENCES)
    random.Random(0).shuffle(texts)
    return [[texts[(number * rows + row) % len(texts)] for row in range(rows)] for number in range(BATCHES)]


def milliseconds(answer, texts) -> float:
    began = time.perf_counter()
    answer(texts).numpy()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="run folder of a task that reads one text")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    start_tensorflow()
    import tensorflow as tf

    answers = graphs(load_run(options.run))
    print(f"| texts | {' | '.join(f'{name}, ms' for name in answers)} | ratio |\n|---|---|---|---|")
    for kind, rows in CASES:
        some = [tf.constant(texts) for texts in batches(kind, rows)]
        taken: dict[str, list[float]] = {name: [] for name in answers}
        for turn in range(options.rounds + 1):
            for texts in some:
                for name, answer in answers.items():
                    found = milliseconds(answer, texts)
                    if turn:  # the first one traces and settles
                        taken[name].append(found)
        one, sliced = (statistics.median(taken[name]) for name in answers)
        print(f"| {rows} {kind} | {one:.1f} | {sliced:.1f} | {one / sliced:.2f} |", flush=True)


if __name__ == "__main__":
    main()
