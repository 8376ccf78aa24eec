"""Several texts in one sequence: each is read, and teaches, as if it were alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.heads import token_head
from kerasft.lean import make_lean
from kerasft.network import Network, full_model
from tests.toy_network import SIZE, toy_network

VOCABULARY = 50
# Texts of each sequence, in tokens; the second is filled up.
SEQUENCES = [[4, 1, 6], [5, 3], [11]]


def views(dropout: float = 0.0, lean: bool = False):
    """The plain view of a toy, and the packed one of the same layers."""
    plain = toy_network("gpt2", dropout=dropout).backbone
    if lean:
        make_lean(plain)
    return plain, plain.packed()


def texts_of(sequences, seed: int = 0) -> list[list[np.ndarray]]:
    draw = np.random.default_rng(seed)
    return [[draw.integers(0, VOCABULARY, size).astype(np.int32) for size in sizes] for sizes in sequences]


def packed_batch(sequences: list[list[np.ndarray]]) -> dict[str, np.ndarray]:
    width = max(sum(map(len, texts)) for texts in sequences)
    batch = {name: np.zeros((len(sequences), width), np.int32) for name in ("token_ids", "padding_mask")}
    for row, texts in enumerate(sequences):
        numbers = np.repeat(np.arange(1, len(texts) + 1), [len(text) for text in texts])
        batch["token_ids"][row, : len(numbers)] = np.concatenate(texts)
        batch["padding_mask"][row, : len(numbers)] = numbers
    return batch


def plain_batch(texts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """A text a row."""
    width = max(map(len, texts))
    ids = np.stack([np.pad(text, (0, width - len(text))) for text in texts])
    return {"token_ids": ids, "padding_mask": (np.arange(width) < [[len(text)] for text in texts]).astype(np.int32)}


def model_of(view):
    import keras

    inputs = view.inputs()
    hidden = view.embed(inputs)
    for block in view.blocks:
        hidden = view.run_block(block, hidden, inputs["padding_mask"])
    return keras.Model(inputs, view.finish(hidden))


@pytest.fixture(scope="module")
def models():
    """With dropout, attention takes another way than without."""
    return [[model_of(view) for view in views(dropout)] for dropout in (0.0, 0.2)]


def real(states, mask) -> np.ndarray:
    """The states of all tokens, one behind the other."""
    return np.asarray(states)[mask > 0]


@given(st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=4), min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_hidden_states_are_those_of_each_text_alone(models, sequences, seed):
    texts = texts_of(sequences, seed)
    together = packed_batch(texts)
    alone = plain_batch([text for row in texts for text in row])
    for plain, packed in models:
        np.testing.assert_allclose(
            real(packed(together), together["padding_mask"]), real(plain(alone), alone["padding_mask"]), atol=1e-5
        )


def test_no_text_knows_of_another(models):
    texts = texts_of(SEQUENCES)
    batch = packed_batch(texts)
    changed = {**batch, "token_ids": batch["token_ids"].copy()}
    of_one = batch["padding_mask"] == 2
    changed["token_ids"][of_one] += 1
    _, packed = models[1]
    before, after = np.asarray(packed(batch)), np.asarray(packed(changed))
    others = (batch["padding_mask"] != 2) & (batch["padding_mask"] > 0)
    np.testing.assert_array_equal(before[others], after[others])
    assert np.abs(before - after)[of_one].max() > 1e-3


def test_a_sequence_of_one_text_is_read_as_plainly(models):
    batch = plain_batch(texts_of([[7, 4]])[0])
    for plain, packed in models:
        np.testing.assert_allclose(
            real(packed(batch), batch["padding_mask"]), real(plain(batch), batch["padding_mask"]), atol=1e-6
        )


def gradients(model, batch: dict[str, np.ndarray], slopes: np.ndarray, training: bool) -> dict[str, np.ndarray]:
    """Of the sum of all tokens' logits times `slopes` [tokens, C], by the path of the weight."""
    import tensorflow as tf

    @tf.function
    def found(inputs):
        with tf.GradientTape() as tape:
            logits = tf.boolean_mask(model(inputs, training=training), inputs["padding_mask"] > 0)
            loss = tf.reduce_sum(logits * slopes)
        weights = [variable.value for variable in model.trainable_variables]
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]

    values = found({name: tf.constant(array) for name, array in batch.items()})
    return {weight.path: value.numpy() for weight, value in zip(model.trainable_variables, values, strict=True)}


@pytest.mark.parametrize(
    ("dropout", "lean", "recompute"),
    [(0.0, False, False), (0.0, True, False), (0.0, True, True), (0.2, True, False)],
    ids=["plain", "lean", "lean and recomputed", "the way of dropout"],
)
def test_gradients_are_those_of_each_text_alone(dropout, lean, recompute):
    plain, packed = views(dropout, lean)
    head = token_head(SIZE, 3, dropout=0.0)
    texts = texts_of(SEQUENCES)
    together, alone = packed_batch(texts), plain_batch([text for row in texts for text in row])
    slopes = np.random.default_rng(1).normal(size=(sum(map(sum, SEQUENCES)), 3)).astype(np.float32)
    # What is dropped cannot be compared: then as in inference.
    training = dropout == 0
    ours = gradients(full_model(Network(packed, head), recompute=recompute), together, slopes, training)
    theirs = gradients(full_model(Network(plain, head)), alone, slopes, training)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 40
    for path, gradient in ours.items():
        np.testing.assert_allclose(gradient, theirs[path], atol=1e-5, err_msg=path)
    assert max(np.abs(gradient).max() for gradient in ours.values()) > 0.1


def test_only_a_family_that_reads_from_left_to_right_packs():
    assert toy_network("bert").backbone.packed is None
    plain, packed = views()
    assert packed.packed is None
    assert packed.blocks == plain.blocks
    assert packed.decoder is plain.decoder
