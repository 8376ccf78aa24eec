"""The peer of bench_language.py: a `transformers` GPT-2 from scratch, on sequences that kerasft has cut and tokenised.

    peer/bin/python tests/benchmarks/peer_language.py --rows rows.json --layers 4 --hidden 256 --heads 4 --epochs 10

Same tokens, sequences, batches' size, epochs, optimizer (AdamW), rates and schedule; loss on the same tokens alone. The
order of the rows is its own. Held-out sequences are measured after training, and prompts answered greedily with the
cache. Prints one line of JSON.
"""

import argparse
import json
import math
import time

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup, set_seed

IGNORED = -100


def batch_of(sequences: list[dict]) -> dict[str, torch.Tensor]:
    """Padded on the right: ids, mask, and labels that are the ids themselves where a token is learnt."""
    width = max(len(each["ids"]) for each in sequences)
    ids, mask, labels = (np.full((len(sequences), width), fill) for fill in (0, 0, IGNORED))
    for row, each in enumerate(sequences):
        count = len(each["ids"])
        ids[row, :count], mask[row, :count] = each["ids"], 1
        learnt = np.array(each["targets"])  # 1 + the next token; 0 for none
        labels[row, :count] = np.where(learnt > 0, learnt - 1, IGNORED)
    return {"ids": torch.tensor(ids), "mask": torch.tensor(mask), "labels": torch.tensor(labels)}


def losses(model, batch) -> torch.Tensor:
    """The loss of each learnt token."""
    logits = model(input_ids=batch["ids"], attention_mask=batch["mask"]).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), batch["labels"].flatten(), ignore_index=IGNORED, reduction="none"
    )[batch["labels"].flatten() != IGNORED]


def batches(sequences: list[dict], size: int, generator: np.random.Generator) -> list[list[dict]]:
    """Of like lengths, in another order each time."""
    order = sorted(generator.permutation(len(sequences)), key=lambda row: len(sequences[row]["ids"]))
    cut = [[sequences[row] for row in order[start : start + size]] for start in range(0, len(order), size)]
    return [cut[number] for number in generator.permutation(len(cut))]


def train(model, sequences: list[dict], options: argparse.Namespace) -> None:
    generator = np.random.default_rng(options.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.01, eps=1e-7)
    steps = options.epochs * math.ceil(len(sequences) / options.batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * steps), steps)
    model.train()
    for _ in range(options.epochs):
        for some in batches(sequences, options.batch_size, generator):
            losses(model, batch_of(some)).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


@torch.inference_mode()
def held_out_loss(model, sequences: list[dict]) -> float:
    """The mean of all learnt tokens."""
    model.eval()
    total, count = 0.0, 0
    for start in range(0, len(sequences), 32):
        found = losses(model, batch_of(sequences[start : start + 32]))
        total, count = total + float(found.sum()), count + len(found)
    return total / max(count, 1)


@torch.inference_mode()
def answered(model, prompts: list[list[int]], end: int, most: int) -> list[list[int]]:
    """Greedy answers, prompts of one length at a time."""
    found: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    for start in range(0, len(order), 32):
        rows = order[start : start + 32]
        width = max(len(prompts[row]) for row in rows)
        ids = torch.tensor([[end] * (width - len(prompts[row])) + prompts[row] for row in rows])
        mask = torch.tensor([[0] * (width - len(prompts[row])) + [1] * len(prompts[row]) for row in rows])
        written = model.generate(
            ids, attention_mask=mask, max_new_tokens=most, do_sample=False, eos_token_id=end, pad_token_id=end
        )
        for row, line in zip(rows, written[:, width:].tolist(), strict=True):
            found[row] = line[: line.index(end)] if end in line else line
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True)
    for name in ("layers", "hidden", "heads", "epochs"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with open(options.rows, encoding="utf-8") as file:
        data = json.load(file)
    set_seed(options.seed)
    began = time.monotonic()
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=data["vocabulary"],
            n_positions=options.context,
            n_embd=options.hidden,
            n_layer=options.layers,
            n_head=options.heads,
            bos_token_id=data["end"],
            eos_token_id=data["end"],
        )
    )
    train(model, data["train"], options)
    trained = time.monotonic() - began
    loss = held_out_loss(model, data["held_out"])
    texts = answered(model, data["prompts"], data["end"], options.max_new_tokens) if data["prompts"] else []
    print(json.dumps({"log_loss": loss, "perplexity": math.exp(loss), "train_seconds": trained, "answers": texts}))


if __name__ == "__main__":
    main()
