"""The best legal tag sequence, against every sequence there is."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kerasft.text.tags import best_tags, spans_of


def legal(tags) -> bool:
    return all(tag == 0 or tag % 2 or (before in (tag - 1, tag)) for before, tag in itertools.pairwise((0, *tags)))


def by_trying(scores):
    sequences = [tags for tags in itertools.product(range(scores.shape[1]), repeat=len(scores)) if legal(tags)]
    return max(sequences, key=lambda tags: sum(scores[place, tag] for place, tag in enumerate(tags)))


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_best_of_all_legal_sequences(seed):
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(4, 5, 5)).astype(np.float32)
    lengths = np.array([5, 3, 1, 0], np.int32)
    found = tf.function(best_tags)(scores, lengths).numpy()
    assert found.shape == (4, 5)
    for row, length in enumerate(lengths):
        assert tuple(found[row, :length]) == (by_trying(scores[row, :length]) if length else ())
        assert not found[row, length:].any()


@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 0, 5), (0, 0, 5)])
def test_no_rows_or_no_words(shape):
    found = tf.function(best_tags, input_signature=[tf.TensorSpec([None, None, 5]), tf.TensorSpec([None], tf.int32)])(
        tf.zeros(shape), tf.zeros(shape[:1], tf.int32)
    )
    assert found.shape == shape[:2]
    assert all(part.shape == (0,) for part in spans_of(found))


def test_spans_of_legal_tags():
    found = spans_of(tf.constant([[1, 2, 1, 0, 3], [0, 3, 4, 4, 0]]))
    assert [tuple(part.numpy().tolist()) for part in found] == [(0, 0, 0, 1), (0, 2, 4, 1), (1, 2, 4, 3), (0, 0, 1, 1)]
