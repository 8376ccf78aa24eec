"""The next token of each row: the best one, or a draw by the row's own knobs."""

from collections.abc import Callable

import tensorflow as tf

from kerasft.generation.filters import Filters, are_off, keep
from kerasft.generation.knobs import Knobs
from kerasft.generation.noise import gumbel

SHOWN = 256  # candidates that are sorted at every draw; the rest of the vocabulary only where a row may draw of it


def choose(logits: tf.Tensor, knobs: Knobs, places: tf.Tensor) -> tf.Tensor:
    """Chooses a token for each row.

    Args:
        logits: float32[B, V].
        knobs: sound ones. A row of temperature 0 gets its best token; of equals, the lowest id.
        places: int32[B], of the tokens to be chosen; a row's draw depends on its seed and this place.

    Returns:
        int32[B].
    """
    best = tf.argmax(logits, axis=1, output_type=tf.int32)
    draws = knobs.temperature > 0.0
    drawn = tf.cond(tf.reduce_any(draws), lambda: _draw(logits, knobs, places, draws), lambda: best)
    return tf.where(draws, drawn, best)


def _draw(logits: tf.Tensor, knobs: Knobs, places: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    vocabulary = logits.shape[1]
    temperature = tf.where(draws, knobs.temperature, 1.0)[:, tf.newaxis]
    # From the best one down, so that a temperature near 0 makes no infinite number.
    scores = (logits - tf.reduce_max(logits, axis=1, keepdims=True)) / temperature
    log_total = tf.math.log(tf.reduce_sum(tf.exp(scores), axis=1))
    filters = Filters(knobs.top_k, knobs.top_p, knobs.min_p)

    shown, tokens = tf.math.top_k(scores, min(SHOWN, vocabulary))
    kept = keep(shown, log_total, vocabulary, filters)
    drawn = _race(shown, tokens, kept.count, knobs.seed, places)
    if vocabulary <= SHOWN:
        return drawn
    rows = tf.squeeze(tf.where(draws & ~kept.whole), 1)

    def from_all():
        part = tuple(tf.gather(value, rows) for value in (scores, log_total, knobs.seed, places))
        some = Filters(*(tf.gather(value, rows) for value in filters))
        found = _draw_from_all(*part, some)
        return tf.tensor_scatter_nd_update(drawn, rows[:, tf.newaxis], found)

    return tf.cond(tf.size(rows) > 0, from_all, lambda: drawn)


def _draw_from_all(
    scores: tf.Tensor, log_total: tf.Tensor, seeds: tf.Tensor, places: tf.Tensor, filters: Filters
) -> tf.Tensor:
    """Draws from the whole vocabulary; sorts it only for filters."""
    vocabulary = scores.shape[1]

    def in_order():
        every = tf.broadcast_to(tf.range(vocabulary), tf.shape(scores))
        return _race(scores, every, tf.fill(tf.shape(seeds), vocabulary), seeds, places)

    def sorted_first():
        ranked, tokens = tf.math.top_k(scores, vocabulary)
        count = keep(ranked, log_total, vocabulary, filters).count
        return _race(ranked, tokens, count, seeds, places)

    return tf.cond(tf.reduce_all(are_off(filters, vocabulary)), in_order, sorted_first)


def _race(scores: tf.Tensor, tokens: tf.Tensor, count: tf.Tensor, seeds: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """A draw from the first `count` tokens of each row, by their scores."""
    sums = scores + gumbel(seeds, places, tokens)
    is_kept = tf.range(tf.shape(scores)[1]) < count[:, tf.newaxis]
    winner = tf.argmax(tf.where(is_kept, sums, -float("inf")), axis=1, output_type=tf.int32)
    return tf.gather(tokens, winner, batch_dims=1)


def penalise(logits: tf.Tensor, tokens: Callable[[], tf.Tensor], penalty: tf.Tensor) -> tf.Tensor:
    """Makes the tokens that a row has already less probable (Keskar et al. 2019, section 4.1): a positive logit is
    divided by the penalty, a negative one multiplied, once however often the token is there.

    Args:
        logits: float32[B, V].
        tokens: () -> int32[B, S], each row's tokens, the prompt's too; called where a penalty changes something.
        penalty: float32[B], above 0; 1 changes nothing.

    Returns:
        float32[B, V].
    """

    def changed():
        held = tokens()
        rows = tf.broadcast_to(tf.range(tf.shape(held)[0])[:, tf.newaxis], tf.shape(held))
        indices = tf.stack([rows, held], axis=2)
        found = tf.gather_nd(logits, indices)
        factor = penalty[:, tf.newaxis]
        lower = tf.where(found > 0.0, found / factor, found * factor)
        # A token that is there twice gets the same number twice.
        return tf.tensor_scatter_nd_update(logits, indices, lower)

    return tf.cond(tf.reduce_any(tf.not_equal(penalty, 1.0)), changed, lambda: logits)


def log_probability(logits: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """The model's own log-probability of tokens, before temperature, filters and penalty.

    Args:
        logits: float32[N, V].
        tokens: int32[N].

    Returns:
        float32[N], natural logarithms.
    """
    best = tf.reduce_max(logits, axis=1)
    total = tf.math.log(tf.reduce_sum(tf.exp(logits - best[:, tf.newaxis]), axis=1))
    return tf.gather(logits, tokens, batch_dims=1) - best - total
