"""GPT-2 with random weights from a seed, in NumPy alone: the arrays under the names of the original checkpoint, and the
plainest forward pass. The peers of tests/benchmarks read this file too, in an environment without TensorFlow.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sizes:
    """What a model is made of."""

    vocabulary: int = 300
    hidden: int = 32
    blocks: int = 2
    heads: int = 4
    places: int = 96


TOY = Sizes()
END = 299  # of the toy's vocabulary


def random_arrays(sizes: Sizes = TOY, seed: int = 0, spread: float = 0.3) -> dict[str, np.ndarray]:
    """Arrays by name, as `transformers` names them; kernels are [in, out]. A large spread makes logits that differ by
    far more than rounding."""
    draw = np.random.default_rng(seed)
    hidden = sizes.hidden

    def normal(*shape, centre=0.0):
        return (centre + spread * draw.standard_normal(shape)).astype(np.float32)

    arrays = {"wte.weight": normal(sizes.vocabulary, hidden), "wpe.weight": normal(sizes.places, hidden)}
    for block in range(sizes.blocks):
        arrays |= {
            f"h.{block}.{name}.{kind}": value
            for name, size, out in (
                ("attn.c_attn", hidden, 3 * hidden),
                ("attn.c_proj", hidden, hidden),
                ("mlp.c_fc", hidden, 4 * hidden),
                ("mlp.c_proj", 4 * hidden, hidden),
            )
            for kind, value in (("weight", normal(size, out)), ("bias", normal(out)))
        }
        for name in ("ln_1", "ln_2"):
            arrays |= {f"h.{block}.{name}.weight": normal(hidden, centre=1.0), f"h.{block}.{name}.bias": normal(hidden)}
    return arrays | {"ln_f.weight": normal(hidden, centre=1.0), "ln_f.bias": normal(hidden)}


def plain_logits(arrays: dict[str, np.ndarray], tokens: list[int], heads: int = TOY.heads) -> np.ndarray:
    """float64[T, V], without batches and without a cache."""
    arrays = {name: value.astype(np.float64) for name, value in arrays.items()}

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]

    def dense(x, name):
        return x @ arrays[f"{name}.weight"] + arrays[f"{name}.bias"]

    count = len(tokens)
    x = arrays["wte.weight"][tokens] + arrays["wpe.weight"][:count]
    for block in range(sum(name.endswith("ln_1.bias") for name in arrays)):
        at = f"h.{block}"
        q, k, v = (
            part.reshape(count, heads, -1).transpose(1, 0, 2)
            for part in np.split(dense(norm(x, f"{at}.ln_1"), f"{at}.attn.c_attn"), 3, axis=1)
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        scores = np.where(np.tri(count, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        x = x + dense((shares @ v).transpose(1, 0, 2).reshape(count, -1), f"{at}.attn.c_proj")
        wide = dense(norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc")
        wide = 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
        x = x + dense(wide, f"{at}.mlp.c_proj")
    return norm(x, "ln_f") @ arrays["wte.weight"].T


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def random_prompts(count: int, longest: int, sizes: Sizes = TOY, seed: int = 1) -> list[list[int]]:
    """Token ids; of all lengths from 1 on, the first prompt the longest."""
    draw = np.random.default_rng(seed)
    lengths = [longest, *draw.integers(1, longest + 1, count - 1)]
    return [draw.integers(0, sizes.vocabulary - 1, length).tolist() for length in lengths]
