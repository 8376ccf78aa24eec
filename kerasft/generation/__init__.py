"""Text generation as graph functions: a causal model's weights, prompts and knobs in, text out."""
