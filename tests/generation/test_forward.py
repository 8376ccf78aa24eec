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


def test_whole_rows_equal_the_keras_backbone_and_numpy():
    decoder, weights = model()
    tokens = np.array([random_prompts(1, 30, seed=seed)[0] for seed in range(3)], np.int32)
    places = np.broadcast_to(np.arange(30, dtype=np.int32), tokens.shape)
    hidden, _ = extend(decoder, weights, empty_cache(decoder, 3, 30), tf.constant(tokens), tf.constant(places))
    found = logits_of(decoder, weights, hidden, 3)
    backbone = keras_backbone(ARRAYS)
    whole = backbone({"token_ids": tokens, "padding_mask": np.ones_like(tokens)})
    np.testing.assert_allclose(found, whole @ ARRAYS["wte.weight"].T, atol=1e-4)
    for row, ids in enumerate(tokens.tolist()):
        np.testing.assert_allclose(found[row], plain_logits(ARRAYS, ids), atol=1e-4)


@pytest.mark.parametrize("read_first", [0, 1, 7])
def test_one_token_at_a_time_equals_the_uncached_pass(read_first):
    decoder, weights = model()
    lengths = [len(row) for row in ROWS]
    size = max(lengths)
    tokens = ragged(ROWS).to_tensor()
    cache = empty_cache(decoder, len(ROWS), size)
    cache, _ = read_tokens(decoder, weights, cache, tokens[:, :read_first])
    step = tf.function(lambda cache, ids, at: extend(decoder, weights, cache, ids[:, None], at[:, None]))
    for place in range(read_first, size):
        # Rows that have ended read their last token again: it must change nothing.
        at = tf.minimum(tf.fill([len(ROWS)], place), tf.constant(lengths) - 1)
        hidden, cache = step(cache, tf.gather(tokens, at, batch_dims=1), at)
        found = logits_of(decoder, weights, hidden, len(ROWS))[:, 0]
        for row, ids in enumerate(ROWS):
            kept = ids[: min(place, lengths[row] - 1) + 1]
            if len(kept) > read_first:
                np.testing.assert_allclose(found[row], plain_logits(ARRAYS, kept)[-1], atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 16, 128])
def test_rows_read_some_tokens_at_a_time(chunk):
    decoder, weights = model()
    tokens = ragged(ROWS).to_tensor()
    size = tokens.shape[1]
    whole, _ = read_tokens(decoder, weights, empty_cache(decoder, len(ROWS), size), tokens)
    some, _ = read_tokens(decoder, weights, empty_cache(decoder, len(ROWS), size), tokens, chunk=chunk)
    for left, right in zip(tf.nest.flatten(whole), tf.nest.flatten(some), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)


def test_rows_of_a_cache_can_be_taken_in_any_order():
    decoder, weights = model()
    tokens = ragged(ROWS).to_tensor()
    cache, _ = read_tokens(decoder, weights, empty_cache(decoder, 4, 41), tokens)
    rows = tf.constant([2, 2, 0])
    ids, places = tf.constant([[5], [6], [7]]), tf.constant([[40]] * 3)
    hidden, _ = extend(decoder, weights, repeat_rows(decoder, cache, rows), ids, places)
    found = logits_of(decoder, weights, hidden, 3)[:, 0]
    for number, row in enumerate(rows.numpy()):
        expected = plain_logits(ARRAYS, [*tokens[row].numpy().tolist(), int(ids[number, 0])])[-1]
        np.testing.assert_allclose(found[number], expected, atol=1e-4)


def test_the_score_of_each_token():
    decoder, weights = model()
    tokens = ragged(ROWS).to_tensor()
    found = np.asarray(tf.function(lambda tokens: score(decoder, weights, tokens))(tokens))
    assert found.shape == tokens.shape
    for row, ids in enumerate(ROWS):
        likely = log_softmax(plain_logits(ARRAYS, ids))[np.arange(len(ids) - 1), ids[1:]]
        np.testing.assert_allclose(found[row, 1 : len(ids)], likely, atol=1e-4)
    assert (found[:, 0] == 0).all()


def test_no_rows():
    decoder, weights = model()
    assert score(decoder, weights, tf.zeros([0, 5], tf.int32)).shape == (0, 5)
    cache, _ = read_tokens(decoder, weights, empty_cache(decoder, 0, 1), tf.zeros([0, 0], tf.int32))
    assert cache[0][0].shape == (0, 1, TOY.hidden // TOY.heads)


def test_bfloat16_weights_are_near():
    generator = toy_generator("bfloat16")
    kinds = {name: variable.dtype for name, variable in generator.weights.items()}
    assert kinds["0/read/kernel"] == tf.bfloat16
    assert kinds["0/read/bias"] == tf.float32
    tokens = ragged(ROWS[:1]).to_tensor()
    found = np.asarray(score(generator.decoder, generator.weights, tokens))[0, 1:]
    exact = np.asarray(score(*model(), tokens))[0, 1:]
    # Logits of this toy are about 10: bfloat16 has three digits.
    assert np.abs(found - exact).mean() < 0.5
    assert np.abs(found - exact).max() > 1e-3
