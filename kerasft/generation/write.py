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
        read: int32[B], each row's last token. The next step reads it, the prompt's too.
        tokens: int32[N, B], the answers.
        log_probability: float32[N, B].
        counts: int32[B], tokens of each answer.
        reason: int32[B], as in `Answers`; `WRITING` for rows that are not done.
        written: the text so far, for stop strings.
        cache: of all tokens before `read`.
    """

    step: tf.Tensor
    read: tf.Tensor
    tokens: tf.Tensor
    log_probability: tf.Tensor
    counts: tf.Tensor
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
    begun: stop_strings.Written | None = None,
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
        begun: of rows that have a text already, `kerasft.generation.stops.text_so_far`.
    """
    rows, width = tf.shape(prompts.tokens)[0], tf.shape(prompts.tokens)[1]
    steps = tf.reduce_max(tf.concat([tf.where(has_error, 0, prompts.room), [0]], axis=0))
    cache = empty_cache(decoder, rows, width + steps)
    # The prompt's last token is read in the first step, which so is like every other.
    cache, _ = read_tokens(decoder, weights, cache, prompts.tokens[:, :-1], prompts.starts)
    start = _State(
        step=tf.constant(0),
        read=prompts.tokens[:, -1],
        tokens=tf.zeros([steps, rows], tf.int32),
        log_probability=tf.zeros([steps, rows]),
        counts=tf.zeros([rows], tf.int32),
        reason=tf.where(has_error, ERROR, tf.where(prompts.room > 0, WRITING, LENGTH)),
        written=begun or stop_strings.nothing_written(rows),
        cache=cache,
    )

    def is_writing(state):
        return tf.reduce_any(tf.equal(state.reason, WRITING))

    def step(state):
        return (_step(decoder, weights, state, prompts, knobs, stops, pieces, end),)

    (state,) = tf.while_loop(is_writing, step, (start,), parallel_iterations=1)
    tokens, likely = tf.transpose(state.tokens), tf.transpose(state.log_probability)
    return answers_from(tokens, likely, state.counts, state.reason, state.written.cut)


def _step(decoder, weights, state: _State, prompts: Prompts, knobs: Knobs, stops, pieces, end: int) -> _State:
    """Reads the last token of each row and writes the next one; rows that are done go along."""
    column = tf.shape(prompts.tokens)[1] - 1 + state.step
    hidden, cache = extend(decoder, weights, state.cache, state.read[:, tf.newaxis], column, prompts.starts)
    logits = decoder.logits(weights, hidden)
    likely = penalise(logits, lambda: _so_far(prompts, state), knobs.repetition_penalty)
    chosen = choose(likely, knobs, column + 1 - prompts.starts)

    is_writing = tf.equal(state.reason, WRITING)
    pieces = tf.where(is_writing, tf.gather(pieces, chosen), "")
    written = stop_strings.write(state.written, pieces, stops)
    # In this order: an end-of-text token in the last step is an end.
    reason = tf.where(state.step + 1 >= prompts.room, LENGTH, WRITING)
    reason = tf.where(written.cut >= 0, STOP_STRING, reason)
    reason = tf.where(tf.equal(chosen, end), STOP, reason)
    return _State(
        step=state.step + 1,
        read=chosen,
        tokens=_note(state.tokens, state.step, chosen),
        log_probability=_note(state.log_probability, state.step, log_probability(logits, chosen)),
        counts=state.counts + tf.cast(is_writing, tf.int32),
        reason=tf.where(is_writing, reason, state.reason),
        written=written,
        cache=cache,
    )


def _note(buffer: tf.Tensor, step: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Writes [B] to a row of [N, B]."""
    return tf.tensor_scatter_nd_update(buffer, [[step]], values[tf.newaxis])


def _so_far(prompts: Prompts, state: _State) -> tf.Tensor:
    """int32[B, T + N], the tokens of each row so far; its last one stands wherever there is none."""
    both = tf.concat([prompts.tokens, tf.transpose(state.tokens)], axis=1)
    columns = tf.range(tf.shape(both)[1])
    is_there = (columns >= prompts.starts[:, tf.newaxis]) & (columns < tf.shape(prompts.tokens)[1] + state.step)
    return tf.where(is_there, both, state.read[:, tf.newaxis])
