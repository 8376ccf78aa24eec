"""Resident memory of a served generator over many requests of words that it has never seen.

    python tests/benchmarks/bench_requests.py --export saved_models/text-generation/1 --requests 10000

Runs the SavedModel in TensorFlow's C++ session, as `kerasft check` does, and asks `serving_default`, `generate` or
`score` by turns, one row each, every word of every request a new one. Prints the resident set after each tenth of the
requests, and what it grew by, in bytes a request, over the second half.
"""

import argparse
import gc
import itertools
from pathlib import Path

import numpy as np

from kerasft.export.session import Session, Signature
from kerasft.serving.arrays import from_proto
from kerasft.serving.protos import tensor_pb2

ASKED = ("serving_default", "generate", "score")
WORDS = 6


def resident_kilobytes() -> int:
    """What this process holds in memory now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def feeds_of(signature: Signature, words: itertools.count) -> dict[str, np.ndarray]:
    """A request of one row: its texts made of new words, its knobs the defaults, but for one new token alone."""
    feeds = {}
    for name, info in signature.inputs.items():
        if name == "max_new_tokens":
            feeds[name] = np.array([1], info.dtype)
        elif name in signature.defaults:
            feeds[name] = from_proto(tensor_pb2.TensorProto.FromString(signature.defaults[name]), name)
        else:
            # Of one width: longer words are more tokens, and TensorFlow keeps something for each number of tokens.
            text = " ".join(f"w{next(words) * 7_654_321 % 16**6:06x}q" for _ in range(WORDS))
            feeds[name] = np.array([text.encode()], object)
    return feeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--export", type=Path, required=True, help="version folder of a task that writes")
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    words, found = itertools.count(), []
    with Session(options.export) as session:
        names = [name for name in ASKED if name in session.signatures]
        asked = itertools.cycle(names)
        print(f"signatures {', '.join(names)}; resident after each tenth, MB:")
        for _ in range(10):
            for name in itertools.islice(asked, options.requests // 10):
                session.run(name, feeds_of(session.signatures[name], words))
            gc.collect()
            found.append(resident_kilobytes())
            print(f"{found[-1] / 1024:.1f}", end=" ", flush=True)
    grown = (found[-1] - found[4]) * 1024 / (options.requests / 2)
    print(f"\ngrowth over the second half: {grown:.1f} bytes a request, each of {WORDS} new words or more")


if __name__ == "__main__":
    main()
