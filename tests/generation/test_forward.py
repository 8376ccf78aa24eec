"""The cached forward pass against keras-nlp's own model and against plain NumPy, whole and piece by piece."""

import numpy as np
import pytest
import tensorflow as tf

from kerasft.generation.forward import empty_cache, extend, read_tokens, repeat_rows
from kerasft.generation.score import score
from tests.random_gpt2 import TOY, log_softmax, plain_logits, random_arrays, random_prompts
from tests.toy_generator import keras_backbone, ragged, toy_generator

ARRAYS = random_arrays()
ROWS = random_prompts(4, 40)


def model():
    generator = toy_generator()
    return generator.decoder, generator.weights


def logits_of(decoder, weights, hidden, rows):
    return np.asarray(decoder.logits(weights, hidden)).reshape(rows, -1, TOY.vocabulary)


def right_aligned(rows):
    """Tokens int32[B, T] up to the last column, any others before; and where each row starts."""
    width = max(map(len, rows))
    tokens = np.array([[7] * (width - len(row)) + row for row in rows], np.int32)
    return tf.constant(tokens), tf.constant([width - len(row) for row in rows])


def test_whole_rows_equal_the_keras_backbone_and_numpy():
    decoder, weights = model()
    tokens = np.array([random_prompts(1, 30, seed=seed)[0] for seed in range(3)], np.int32)
    none = tf.zeros([3], tf.int32)
    hidden, _ = extend(decoder, weights, empty_cache(decoder, 3, 30), tf.constant(tokens), tf.constant(0), none)
    found = logits_of(decoder, weights, hidden, 3)
    backbone = keras_backbone(ARRAYS)
    whole = backbone({"token_ids": tokens, "padding_mask": np.ones_like(tokens)})
    np.testing.assert_allclose(found, whole @ ARRAYS["wte.weight"].T, atol=1e-4)
    for row, ids in enumerate(tokens.tolist()):
        np.testing.assert_allclose(found[row], plain_logits(ARRAYS, ids), atol=1e-4)


@pytest.mark.parametrize("read_first", [0, 1, 7])
def test_one_token_at_a_time_equals_the_uncached_pass(read_first):
    decoder, weights = model()
    tokens, starts = right_aligned(ROWS)
    size = tokens.shape[1]
    cache, _ = read_tokens(decoder, weights, empty_cache(decoder, len(ROWS), size), tokens[:, :read_first], starts)
    step = tf.function(lambda cache, ids, at: extend(decoder, weights, cache, ids[:, None], at, starts))
    for column in range(read_first, size):
        hidden, cache = step(cache, tokens[:, column], tf.constant(column))
        found = logits_of(decoder, weights, hidden, len(ROWS))[:, 0]
        for row, ids in enumerate(ROWS):
            kept = ids[: column + 1 - int(starts[row])] if column >= int(starts[row]) else []
            if kept:
                np.testing.assert_allclose(found[row], plain_logits(ARRAYS, kept)[-1], atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 16, 128])
def test_rows_read_some_tokens_at_a_time(chunk):
    decoder, weights = model()
    tokens, starts = right_aligned(ROWS)
    size = tokens.shape[1]
    whole, _ = read_tokens(decoder, weights, empty_cache(decoder, len(ROWS), size), tokens, starts)
    some, _ = read_tokens(decoder, weights, empty_cache(decoder, len(ROWS), size), tokens, starts, chunk=chunk)
    seen = (np.arange(size) >= starts.numpy()[:, None]).repeat(decoder.heads, axis=0)
    for left, right in zip(tf.nest.flatten(whole), tf.nest.flatten(some), strict=True):
        np.testing.assert_allclose(left.numpy()[seen], right.numpy()[seen], atol=1e-4)


def test_rows_of_a_cache_can_be_taken_in_any_order():
    decoder, weights = model()
    tokens, starts = right_aligned(ROWS)
    cache, _ = read_tokens(decoder, weights, empty_cache(decoder, 4, 41), tokens, starts)
    rows, ids = tf.constant([2, 2, 0]), tf.constant([[5], [6], [7]])
    taken = repeat_rows(decoder, cache, rows)
    hidden, _ = extend(decoder, weights, taken, ids, tf.constant(40), tf.gather(starts, rows))
    found = logits_of(decoder, weights, hidden, 3)[:, 0]
    for number, row in enumerate(rows.numpy()):
        expected = plain_logits(ARRAYS, [*ROWS[row], int(ids[number, 0])])[-1]
        np.testing.assert_allclose(found[number], expected, atol=1e-4)


def test_the_score_of_each_token():
    decoder, weights = model()
    graph = tf.function(lambda tokens, starts: score(decoder, weights, tokens, starts))
    for align_right in (False, True):
        tokens, starts = right_aligned(ROWS)
        if not align_right:
            tokens, starts = ragged(ROWS).to_tensor(), tf.zeros_like(starts)
        found = np.asarray(graph(tokens, starts))
        assert found.shape == tokens.shape
        for row, ids in enumerate(ROWS):
            likely = log_softmax(plain_logits(ARRAYS, ids))[np.arange(len(ids) - 1), ids[1:]]
            first = int(starts[row]) + 1
            np.testing.assert_allclose(found[row, first : first + len(ids) - 1], likely, atol=1e-4)


def test_no_rows():
    decoder, weights = model()
    none = tf.zeros([0], tf.int32)
    assert score(decoder, weights, tf.zeros([0, 5], tf.int32), none).shape == (0, 5)
    cache, _ = read_tokens(decoder, weights, empty_cache(decoder, 0, 1), tf.zeros([0, 0], tf.int32), none)
    assert cache[0][0].shape == (0, 1, TOY.hidden // TOY.heads)


def test_bfloat16_weights_are_near():
    generator = toy_generator("bfloat16")
    kinds = {name: variable.dtype for name, variable in generator.weights.items()}
    assert kinds["0/read/kernel"] == tf.bfloat16
    assert kinds["0/read/bias"] == tf.float32
    tokens = ragged(ROWS[:1]).to_tensor()
    found = np.asarray(score(generator.decoder, generator.weights, tokens, tf.constant([0])))[0, 1:]
    exact = np.asarray(score(*model(), tokens, tf.constant([0])))[0, 1:]
    assert np.abs(found - exact).mean() < 0.5
    assert np.abs(found - exact).max() > 1e-3
