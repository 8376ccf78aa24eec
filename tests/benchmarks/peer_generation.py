"""What `transformers`' GPT-2 writes with the weights of tests/random_gpt2.py: the goldens of tests/generation.

    peer/bin/python tests/benchmarks/peer_generation.py tests/generation/goldens.json

Runs in an environment with PyTorch and transformers alone. The weights come from a seed, so that the file holds
nothing but tokens and a few numbers. Rows of a batch are padded on the left, as transformers wants them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.random_gpt2 import END, TOY, random_arrays, random_prompts

STEPS = 64
SEARCHES = ({"width": 4, "penalty": 1.0}, {"width": 3, "penalty": 0.0}, {"width": 2, "penalty": 2.0})
FILTERS = (
    {"temperature": 1.0, "top_k": 7, "top_p": 1.0, "min_p": 0.0},
    {"temperature": 0.7, "top_k": 0, "top_p": 0.9, "min_p": 0.0},
    {"temperature": 3.0, "top_k": 50, "top_p": 0.8, "min_p": 0.0},
    {"temperature": 3.0, "top_k": 0, "top_p": 1.0, "min_p": 0.05},
    {"temperature": 5.0, "top_k": 120, "top_p": 0.95, "min_p": 0.02},
)


def peer_model(arrays: dict[str, np.ndarray], end: int):
    """A `GPT2LMHeadModel` with these weights, in float32."""
    config = transformers.GPT2Config(
        vocab_size=TOY.vocabulary,
        n_embd=TOY.hidden,
        n_layer=TOY.blocks,
        n_head=TOY.heads,
        n_positions=TOY.places,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    missing, unexpected = model.transformer.load_state_dict(
        {name: torch.tensor(value) for name, value in arrays.items()}, strict=False
    )
    assert not unexpected
    assert all(name.endswith(("attn.bias", "attn.masked_bias")) for name in missing), missing
    model.tie_weights()
    return model


def write(model, prompts: list[list[int]], end: int, **options) -> dict:
    """Tokens behind each prompt, cut behind the end token, and their log-probabilities."""
    width = max(map(len, prompts))
    ids = torch.tensor([[end] * (width - len(row)) + row for row in prompts])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
    with torch.no_grad():
        found = model.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            return_dict_in_generate=True,
            **{"max_new_tokens": STEPS} | options,
        )
    rows = [row[width:].tolist() for row in found.sequences]
    rows = [row[: row.index(end) + 1] if end in row else row for row in rows]
    likely = []
    for prompt, row in zip(prompts, rows, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + row])).logits[0, len(prompt) - 1 : -1]
        likely.append(torch.log_softmax(logits, -1)[range(len(row)), row].tolist())
    scores = found.sequences_scores.tolist() if "sequences_scores" in found else None
    return {"tokens": rows, "logprob": [[round(one, 5) for one in row] for row in likely], "scores": scores}


def kept(logits: torch.Tensor, numbers: dict) -> list[int]:
    """How many tokens of each row the filters leave."""
    scores = TemperatureLogitsWarper(numbers["temperature"])(None, logits)
    if numbers["top_k"]:
        scores = TopKLogitsWarper(numbers["top_k"])(None, scores)
    if numbers["top_p"] < 1:
        scores = TopPLogitsWarper(numbers["top_p"])(None, scores)
    if numbers["min_p"]:
        scores = MinPLogitsWarper(numbers["min_p"])(None, scores)
    return torch.isfinite(scores).sum(-1).tolist()


def main(path: str) -> None:
    """Writes the file."""
    arrays, prompts = random_arrays(), random_prompts(5, 20, seed=11)
    model = peer_model(arrays, END)
    with torch.no_grad():
        logits = torch.stack([model(torch.tensor([prompt])).logits[0, -1] for prompt in prompts])
    greedy = write(model, prompts, END)
    end = greedy["tokens"][0][9]  # a token that answers come to
    ending = peer_model(arrays, end)
    goldens = {
        "made_with": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "prompts": prompts,
        "end": end,
        "logits": [[round(one, 5) for one in row] for row in logits[:2].tolist()],
        "greedy": greedy,
        "ending": write(ending, prompts, end),
        "penalty": {"penalty": 1.4, **write(model, prompts, END, repetition_penalty=1.4)},
        "searches": [
            {**one, **write(ending, prompts, end, num_beams=one["width"], length_penalty=one["penalty"])}
            for one in SEARCHES
        ],
        "whole_searches": [
            {**one, **write(model, prompts, END, num_beams=one["width"], length_penalty=one["penalty"])}
            for one in SEARCHES[:1]
        ],
        "filters": [{**one, "kept": kept(logits, one)} for one in FILTERS],
    }
    lines = ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in goldens.items())
    Path(path).write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
