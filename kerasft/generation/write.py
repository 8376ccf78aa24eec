"""Greedy and random decoding: one token a row and step, until every row is done."""

from typing import NamedTuple

import tensorflow as tf

from kerasft.backbones.view import Decoder
from kerasft.generation import stops as stop_strings
from kerasft.generation.answers import ERROR, LENGTH, STOP, STOP_STRING, WRITING, Answers, answers_from
from kerasft.generation.choose import choose, log_probability, penalise
from kerasft.generation.forward import Cache, empty_cache, extend, read_tokens
from kerasft.generation.knobs import Knobs
from kerasft.generation.prompts import Prompts


class _State(NamedTuple):
    """What a step leaves to the next.

    Attributes:
        step: tokens written by the rows that are not done.
        last: int32[B], the place of each row's last token. It is read in the next step, the prompt's too.
        sequence: int32[B, S], prompt and answer of each row.
        log_probability: float32[N, B].
        reason: int32[B], as in `Answers`; `WRITING` for rows that are not done.
        written: the text so far, for stop strings.
        cache: of all places before `last`.
    """

    step: tf.Tensor
    last: tf.Tensor
    sequence: tf.Tensor
    log_probability: tf.Tensor
    reason: tf.Tensor
    written: stop_strings.Written
    cache: Cache


def write(
    decoder: Decoder,
    weights,
    prompts: Prompts,
    knobs: Knobs,
    stops: tf.Tensor,
    has_error: tf.Tensor,
    pieces: tf.Tensor,
    end: int,
) -> Answers:
    """Writes an answer to each prompt.

    A row's answer hangs on its own prompt and knobs alone, up to rounding: a draw, or the best token, can differ only
    where two tokens are equal to about six digits.

    Args:
        decoder: the model.
        weights: its weights.
        prompts: B of them.
        knobs: sound ones.
        stops: string[B, S], the stop strings of each row.
        has_error: bool[B], rows that get no answer.
        pieces: string[V], the bytes of each token.
        end: id of the end-of-text token.
    """
    rows = tf.shape(prompts.tokens)[0]
    steps = tf.reduce_max(tf.concat([tf.where(has_error, 0, prompts.room), [0]], axis=0))
    size = tf.reduce_max(tf.concat([prompts.lengths, prompts.lengths + prompts.room, [1]], axis=0))
    # The prompt's last token is read in the first step, which so is like every other.
    cache, _ = read_tokens(decoder, weights, empty_cache(decoder, rows, size), prompts.tokens[:, :-1])
    start = _State(
        step=tf.constant(0),
        last=prompts.lengths - 1,
        sequence=tf.pad(prompts.tokens, [[0, 0], [0, size - tf.shape(prompts.tokens)[1]]]),
        log_probability=tf.zeros([steps, rows]),
        reason=tf.where(has_error, ERROR, tf.where(prompts.room > 0, WRITING, LENGTH)),
        written=stop_strings.nothing_written(rows),
        cache=cache,
    )

    def is_writing(state):
        return tf.reduce_any(tf.equal(state.reason, WRITING))

    def step(state):
        return (_step(decoder, weights, state, prompts.room, knobs, stops, pieces, end),)

    (state,) = tf.while_loop(is_writing, step, (start,), parallel_iterations=1)
    counts = state.last - prompts.lengths + 1
    places = prompts.lengths[:, tf.newaxis] + tf.range(steps)
    tokens = tf.gather(state.sequence, tf.minimum(places, size - 1), batch_dims=1)
    return answers_from(tokens, tf.transpose(state.log_probability), counts, state.reason, state.written.cut)


def _step(decoder, weights, state: _State, room, knobs: Knobs, stops, pieces, end: int) -> _State:
    """Reads the last token of each row and writes the next one; a row that is done reads its last token again."""
    read = tf.gather(state.sequence, state.last, batch_dims=1)
    hidden, cache = extend(decoder, weights, state.cache, read[:, tf.newaxis], state.last[:, tf.newaxis])
    logits = decoder.logits(weights, hidden)
    likely = penalise(logits, state.sequence, state.last, knobs.repetition_penalty)
    chosen = choose(likely, knobs, state.last + 1)

    is_writing = tf.equal(state.reason, WRITING)
    token = tf.where(is_writing, chosen, read)
    last = state.last + tf.cast(is_writing, tf.int32)
    targets = tf.stack([tf.range(tf.size(last)), last], axis=1)
    written = stop_strings.write(state.written, tf.where(is_writing, tf.gather(pieces, token), ""), stops)
    # In this order: an end-of-text token in the last step is an end.
    reason = tf.where(state.step + 1 >= room, LENGTH, WRITING)
    reason = tf.where(written.cut >= 0, STOP_STRING, reason)
    reason = tf.where(tf.equal(token, end), STOP, reason)
    return _State(
        step=state.step + 1,
        last=last,
        sequence=tf.tensor_scatter_nd_update(state.sequence, targets, token),
        log_probability=tf.tensor_scatter_nd_update(
            state.log_probability, [[state.step]], log_probability(logits, chosen)[tf.newaxis]
        ),
        reason=tf.where(is_writing, reason, state.reason),
        written=written,
        cache=cache,
    )
