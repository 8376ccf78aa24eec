"""What tasks share that foretell tokens: losses and judgements of logits at some places of a sequence.

Targets are int32[B, T]: 1 + a token, one behind the other from the left, 0 where a row has no more; logits are
float[B, P, V], at the places that the input `chosen` names.
"""

import numpy as np


def count(targets) -> np.ndarray:
    """float32[N], the tokens that each row or window foretells: the loss is the mean over all of a batch."""
    return targets.counts.astype(np.float32)


def loss(label_smoothing: float):
    """Cross-entropy, the mean over each row's tokens; nothing is smoothed."""
    del label_smoothing  # means nothing here: tasks refuse it

    def mean_cross_entropy(targets, logits):
        losses, _, there = _by_token(targets, logits)
        return _mean(losses, there)

    return mean_cross_entropy


def judge(targets, logits):
    """float32[B, 3]: each row's loss, how many of its tokens have the highest logit, and how many there are."""
    from keras import ops

    losses, right, there = _by_token(targets, logits)
    return ops.stack([_mean(losses, there), ops.sum(right, axis=-1), ops.sum(there, axis=-1)], axis=-1)


def _by_token(targets, logits):
    """float32[B, P] each: loss, whether it is found, and whether there is a token at all."""
    import keras
    from keras import ops

    targets = targets[:, : ops.shape(logits)[1]]
    there = ops.cast(targets > 0, "float32")
    wanted = ops.maximum(targets - 1, 0)
    losses = keras.losses.sparse_categorical_crossentropy(wanted, logits, from_logits=True)
    found = ops.cast(ops.argmax(logits, axis=-1), "int32")
    return losses, ops.cast(ops.equal(found, wanted), "float32") * there, there


def _mean(values, weights):
    from keras import ops

    return ops.sum(values * weights, axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1.0)
