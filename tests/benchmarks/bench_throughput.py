"""Full fine-tuning speed of kerasft and Hugging Face Trainer on the very same batches.

    python tests/benchmarks/bench_throughput.py --peer-python peer/bin/python --model MINILM_FOLDER --data train.csv

Everything trains, the embeddings too: AdamW, clipping, dropout 0.1, rows of a batch padded to its longest. kerasft's
own engine trains two epochs of a few hundred rows; the first warms up, the second counts (history.csv). The peer is
given the same rows in the order that kerasft's shuffle gives them, and the same updates count. Blocks of both take
turns; prints the ratio of the medians and writes throughput.json.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = Path(__file__).with_name("peer_trainer.py")
PHASES = "[{unfrozen: all, epochs: 2, learning_rate: 5.0e-5}]"


def write_csv(path: Path, rows: list[dict]) -> None:
    """Writes `text,label` rows."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows({"text": row["text"], "label": row["label"]} for row in rows)


def in_training_order(rows: list[dict], batch_size: int, max_length: int, seed: int, backbone: str) -> list[dict]:
    """The rows of two epochs as kerasft's shuffle orders them."""
    from kerasft.backbones.load import load_text_functions
    from kerasft.backbones.locate import locate
    from kerasft.data.encode import encode
    from kerasft.data.pipeline import shuffled_batches
    from kerasft.start import start_tensorflow

    source = locate(backbone, lambda line: None)
    start_tensorflow()
    lengths = encode(load_text_functions(source), [[row["text"] for row in rows]], max_length).lengths
    batches = [batch for epoch in (0, 1) for batch in shuffled_batches(lengths, batch_size, seed, epoch)]
    return [rows[number] for batch in batches for number in batch]


def kerasft_block(files: dict[str, Path], folder: Path, options: argparse.Namespace) -> float:
    """Rows per second of the second epoch."""
    command = [sys.executable, "-m", "kerasft", "fit", "--task", "sentiment", "--no-export"]
    command += ["--data", str(files["rows"]), "--eval-data", str(files["eval"]), "--output", str(folder)]
    command += ["--backbone", options.backbone, "--seed", str(options.seed)]
    settings = [f"phases={PHASES}", f"batch_size={options.batch_size}", f"max_length={options.max_length}"]
    settings += [*([f"precision={options.precision}"] if options.precision else []), *options.kerasft_set]
    for assignment in settings:
        command += ["--set", assignment]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with open(folder / "history.csv", newline="", encoding="utf-8") as file:
        return float(list(csv.DictReader(file))[1]["rows_per_second"])


def peer_block(files: dict[str, Path], options: argparse.Namespace) -> float:
    """Rows per second over the updates of the second epoch."""
    command = [options.peer_python, str(PEER), "--model", options.model, "--in-order", "--epochs", "1"]
    command += ["--data", str(files["ordered"]), "--eval-data", str(files["eval"]), "--seed", str(options.seed)]
    command += ["--batch-size", str(options.batch_size), "--max-length", str(options.max_length)]
    command += ["--precision", options.precision or "float32"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = json.loads(done.stdout.strip().splitlines()[-1])["step_seconds"]
    return options.steps * options.batch_size / sum(seconds[options.steps :])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="interpreter of the peer's environment")
    parser.add_argument("--model", required=True, help="Hugging Face folder of MiniLM, for the peer")
    parser.add_argument("--backbone", default="minilm", help="the same weights, for kerasft")
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=40, help="updates that count; as many go before them")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["float32", "bf16"], help="of both; kerasft's own default when absent")
    parser.add_argument("--kerasft-set", action="append", default=[], metavar="K=V")
    parser.add_argument("--results", default="throughput.json")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with open(options.data, newline="", encoding="utf-8") as file:
        every = list(csv.DictReader(file))
    wanted = options.steps * options.batch_size
    if len(every) < wanted + options.batch_size:
        sys.exit(f"{options.data} has {len(every)} rows; {wanted + options.batch_size} are needed.")
    rows, held_out = every[:wanted], every[wanted : wanted + options.batch_size]
    blocks: dict[str, list[float]] = {"kerasft": [], "peer": []}
    with tempfile.TemporaryDirectory(prefix="kerasft-bench-") as name:
        folder = Path(name)
        files = {part: folder / f"{part}.csv" for part in ("rows", "ordered", "eval")}
        write_csv(files["rows"], rows)
        write_csv(files["eval"], held_out)
        ordered = in_training_order(rows, options.batch_size, options.max_length, options.seed, options.backbone)
        write_csv(files["ordered"], ordered)
        for number in range(options.rounds):
            blocks["kerasft"].append(kerasft_block(files, folder / f"run-{number}", options))
            blocks["peer"].append(peer_block(files, options))
            print(*(f"{who} {rates[-1]:.1f} rows/s" for who, rates in blocks.items()), flush=True)
    medians = {who: statistics.median(rates) for who, rates in blocks.items()}
    ratio = medians["kerasft"] / medians["peer"]
    print(f"medians {medians['kerasft']:.1f} and {medians['peer']:.1f} rows/s, ratio {ratio:.3f}")
    record = {"options": vars(options), "rows_per_second": blocks, "medians": medians, "ratio": ratio}
    Path(options.results).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
