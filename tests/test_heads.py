"""Pooling looks at real tokens only, and a batch of none is fine."""

import numpy as np
import pytest

from kerasft.heads import language_head, pooled_head, vocabulary_head

HIDDEN = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)


def run(pooling, hidden=HIDDEN, mask=MASK):
    import keras

    keras.utils.set_random_seed(0)
    return pooled_head(4, 3, pooling).predict({"hidden": hidden, "padding_mask": mask}, verbose=0)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_padding_changes_nothing(pooling):
    other = HIDDEN.copy()
    other[0, 3:] = 1e6
    np.testing.assert_allclose(run(pooling), run(pooling, other), rtol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "pooled"), [("mean", HIDDEN[0, :3].mean(0)), ("cls", HIDDEN[0, 0]), ("last", HIDDEN[0, 2])]
)
def test_what_is_pooled(pooling, pooled):
    alone = run(pooling, pooled[None, None], np.ones((1, 1), np.int32))
    np.testing.assert_allclose(run(pooling)[0], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_batch_of_no_rows(pooling):
    head = pooled_head(4, 3, pooling)
    assert head({"hidden": np.zeros((0, 2, 4), np.float32), "padding_mask": np.zeros((0, 2), np.int32)}).shape == (0, 3)


def test_the_vocabulary_head_answers_at_places_with_the_embeddings_it_is_given():
    import keras

    embedding = keras.layers.Embedding(7, 4)
    embedding.build()
    head = vocabulary_head(4, 0, embedding=embedding)
    hidden = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    chosen = np.array([[2, 0], [1, 0]], np.int32)
    inputs = {"hidden": hidden, "padding_mask": np.ones((2, 3), np.int32), "chosen": chosen}
    logits = np.asarray(head(inputs))
    assert logits.shape == (2, 2, 7)
    embedding.embeddings.assign(2 * embedding.embeddings)
    np.testing.assert_allclose(np.asarray(head(inputs)), 2 * logits, rtol=1e-5)
    # The matrix is not the head's: neither to train, nor to store.
    assert sorted(tuple(weight.shape) for weight in head.weights) == [(4,), (4,), (4,), (4, 4), (7,)]
    for rows, places in ((2, 0), (0, 2)):
        empty = {**inputs, "hidden": hidden[:rows], "padding_mask": np.ones((rows, 3), np.int32)}
        assert head({**empty, "chosen": chosen[:rows, :places]}).shape == (rows, places, 7)


def test_the_language_head_is_the_embeddings_and_nothing_else():
    import keras

    embedding = keras.layers.Embedding(7, 4)
    embedding.build()
    head = language_head(4, 0, embedding=embedding)
    chosen = np.array([[2, 0], [1, 4]], np.int32)
    logits = np.asarray(head({"hidden": HIDDEN, "padding_mask": MASK, "chosen": chosen}))
    at_places = np.take_along_axis(HIDDEN, chosen[..., None], axis=1)
    np.testing.assert_allclose(logits, at_places @ np.asarray(embedding.embeddings).T, rtol=1e-5, atol=1e-6)
    assert head.weights == []
