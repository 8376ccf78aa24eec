"""Greedy decoding: kerasft's SavedModel in TensorFlow's C++ session against `transformers` generate with its cache.

    python tests/benchmarks/bench_generate.py --peer-python peer/bin/python --models 4x256 12x768

Random models of the same sizes, 50,257 pieces, prompts of the same lengths, no end token: as many tokens for each.
Each side is a process of its own that loads once and then waits; the parent asks them in turn, so that a busy moment
of the machine meets all of them. Prints tokens per second (all rows together, the prompt's pass included), the median
of the rounds, and writes generate.json. `--precisions bfloat16` adds exports with matrices in bfloat16, `--new 64 512`
answers of two lengths.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]


def sizes_of(model: str) -> SimpleNamespace:
    """4x256 -> 4 blocks of 256, with heads of 64."""
    blocks, hidden = map(int, model.split("x"))
    return SimpleNamespace(blocks=blocks, hidden=hidden, heads=max(hidden // 64, 1))


# --- the processes ----------------------------------------------------------------------------------------------------


def export(model: str, precision: str, vocabulary: int, folder: str) -> None:
    """Writes a random generator: `tokens` int32[B, T] and `count` int32[B] -> `tokens`, `text` and so on."""
    import keras
    import keras_nlp
    import tensorflow as tf

    from kerasft.backbones.gpt2 import view
    from kerasft.backbones.view import Spelling
    from kerasft.generation.generator import generate, make_generator

    keras.utils.set_random_seed(0)
    sizes = sizes_of(model)
    backbone = keras_nlp.models.GPT2Backbone(
        vocabulary_size=vocabulary,
        num_layers=sizes.blocks,
        num_heads=sizes.heads,
        hidden_dim=sizes.hidden,
        intermediate_dim=4 * sizes.hidden,
        max_sequence_length=1024,
    )
    # The end is a piece that the model does not have: every answer is as long as it may be.
    pieces = [b"%d " % number for number in range(vocabulary)]
    text = SimpleNamespace(spelling=Spelling(pieces, vocabulary))
    generator = make_generator(view(backbone), text, precision)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32, name="tokens"),
            tf.TensorSpec([None], tf.int32, name="count"),
        ]
    )
    def serve(tokens, count):
        return generate(generator, tf.RaggedTensor.from_tensor(tokens), max_new_tokens=count)

    module = tf.Module()
    module.weights = list(generator.weights.values())
    tf.saved_model.save(module, folder, signatures={"generate": serve})


def answer_requests(run) -> None:
    """Reads `{"rows", "prompt", "new"}` a line and answers each with the seconds that it took."""
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        count = run(request["rows"], request["prompt"], request["new"])
        seconds = time.perf_counter() - start
        if count != request["rows"] * request["new"]:
            raise ValueError(f"expected {request['rows']} x {request['new']} tokens, found {count}")
        print(seconds, flush=True)


def prompt_tokens(rows: int, length: int, vocabulary: int):
    """int32[rows, length], any tokens."""
    import numpy as np

    # No numpy.random: NumPy loads it late, and beside TensorFlow's C++ library alone that ends the process.
    return (np.arange(1, rows * length + 1, dtype=np.int64) * 7919 % vocabulary).astype(np.int32).reshape(rows, length)


def run_ours(folder: str, vocabulary: int) -> None:
    """A server's process: TensorFlow's C++ library, XLA off."""
    import numpy as np

    from kerasft.export.session import Session

    session = Session(folder)

    def run(rows, prompt, new):
        feeds = {"tokens": prompt_tokens(rows, prompt, vocabulary), "count": np.full(rows, new, np.int32)}
        return int((session.run("generate", feeds)["tokens"] >= 0).sum())

    answer_requests(run)


def run_peer(model: str, vocabulary: int, threads: int) -> None:
    """`transformers` on PyTorch's CPU."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    sizes = sizes_of(model)
    config = transformers.GPT2Config(
        vocab_size=vocabulary, n_embd=sizes.hidden, n_layer=sizes.blocks, n_head=sizes.heads, n_positions=1024,
        bos_token_id=0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    network = transformers.GPT2LMHeadModel(config).eval()

    def run(rows, prompt, new):
        ids = torch.tensor(prompt_tokens(rows, prompt, vocabulary)).long()
        with torch.inference_mode():
            found = network.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True, max_new_tokens=new
            )
        return found[:, prompt:].numel()

    answer_requests(run)


# --- the parent -------------------------------------------------------------------------------------------------------


class Worker:
    """One of the processes."""

    def __init__(self, python: str, *arguments: object):
        command = [python, __file__, "--worker", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, bufsize=1
        )
        self._read("ready")

    def _read(self, expected: str | None = None) -> str:
        line = self.process.stdout.readline().strip()
        if not line or (expected and line != expected):
            raise RuntimeError(f"the worker said {line!r} and ended with status {self.process.wait(60)}")
        return line

    def seconds(self, **request: int) -> float:
        """How long one request takes."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait(60)


def measure(model: str, options: argparse.Namespace, scratch: Path) -> list[dict]:
    """One line for each side, batch size and length."""
    workers = {"transformers": Worker(options.peer_python, "peer", model, options.vocabulary, options.threads)}
    for precision in options.precisions:
        folder = scratch / f"{model}-{precision}"
        command = [
            sys.executable,
            __file__,
            "--worker",
            "export",
            model,
            precision,
            str(options.vocabulary),
            str(folder),
        ]
        subprocess.run(command, check=True, cwd=ROOT)
        workers[f"kerasft {precision}"] = Worker(sys.executable, "ours", folder, options.vocabulary)
    found = []
    try:
        for new in options.new:
            for rows in options.rows:
                request = {"rows": rows, "prompt": options.prompt, "new": new}
                for worker in workers.values():
                    worker.seconds(**request)
                seconds = {name: [] for name in workers}
                for _ in range(options.rounds):
                    for name, worker in workers.items():
                        seconds[name].append(worker.seconds(**request))
                found += [line(model, name, request, values, seconds) for name, values in seconds.items()]
    finally:
        for worker in workers.values():
            worker.close()
    return found


def line(model: str, name: str, request: dict, values: list[float], seconds: dict) -> dict:
    """Prints what one side did and gives it for the file."""
    median = statistics.median(values)
    speed = request["rows"] * request["new"] / median
    ratio = statistics.median(seconds["transformers"]) / median
    what = f"{model}  {request['rows']} x {request['new']} tokens"
    print(f"{what}  {name:17s} {speed:8.1f} tokens/s  {ratio:5.2f} x", flush=True)
    figures = {"tokens_per_second": round(speed, 1), "ratio": round(ratio, 3)}
    return {"model": model, "side": name, **request, **figures, "seconds": [round(value, 4) for value in values]}


def main() -> None:
    """Measures every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="python with torch and transformers")
    parser.add_argument("--models", nargs="+", default=["4x256", "12x768"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--new", nargs="+", type=int, default=[64])
    parser.add_argument("--prompt", type=int, default=16, help="tokens of each prompt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="PyTorch's; TensorFlow takes the machine's cores")
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--output", default="generate.json")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in options.models:
            found += measure(model, options, Path(scratch))
            Path(options.output).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        sys.path.insert(0, str(ROOT))
        kind, *rest = sys.argv[2:]
        if kind == "export":
            export(rest[0], rest[1], int(rest[2]), rest[3])
        elif kind == "ours":
            run_ours(rest[0], int(rest[1]))
        else:
            run_peer(rest[0], int(rest[1]), int(rest[2]))
    else:
        main()
