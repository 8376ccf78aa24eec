"""Beam search: the answers with the highest probability that a few parallel tries find.

As in `transformers`, whose answers it equals: of the 2 * W best continuations of a row's W beams, those among the best
W that end are answers, and the best W that do not end are the next beams. An answer's score is its log-probability
divided by its number of tokens to the power of the length penalty (Wu et al. 2016 divide by a similar term). A row is
done when it has W answers and its best beam, by this score, is not better than the worst of them.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasft.backbones.view import Decoder
from kerasft.generation.answers import ERROR, LENGTH, STOP, Answers, answers_from
from kerasft.generation.forward import Cache, empty_cache, extend, read_tokens, repeat_rows
from kerasft.generation.prompts import Prompts

_NONE = -1e9  # the score of a beam or answer that there is not


class _Found(NamedTuple):
    """W tries of B rows.

    Attributes:
        scores: float32[B, W]; of beams the log-probability, of answers that by length.
        tokens: int32[B, W, N].
        log_probability: float32[B, W, N], of each token.
        counts: int32[B, W], tokens.
    """

    scores: tf.Tensor
    tokens: tf.Tensor
    log_probability: tf.Tensor
    counts: tf.Tensor


class _State(NamedTuple):
    """What a step leaves to the next.

    Attributes:
        step: tokens of each beam.
        read: int32[B * W], each beam's last token, which the next step reads.
        beams: best first.
        answers: best first.
        is_open: bool[B], whether a row may still get better answers.
        cache: of B * W rows.
    """

    step: tf.Tensor
    read: tf.Tensor
    beams: _Found
    answers: _Found
    is_open: tf.Tensor
    cache: Cache


def search(
    decoder: Decoder,
    weights,
    prompts: Prompts,
    width: int,
    length_penalty: tf.Tensor,
    has_error: tf.Tensor,
    end: int,
) -> tuple[Answers, tf.Tensor]:
    """Writes the best answer that is found to each prompt.

    Args:
        decoder: the model.
        weights: its weights.
        prompts: B of them.
        width: W, the beams of a row; from 1 to half of the vocabulary.
        length_penalty: float32[B]; 0 for log-probabilities as they are, 1 for their mean, more for longer answers.
        has_error: bool[B], rows that get no answer.
        end: id of the end-of-text token.

    Returns:
        The answers, and their scores float32[B] (0 where there is no token).
    """
    rows = tf.shape(prompts.tokens)[0]
    room = tf.where(has_error, 0, prompts.room)
    steps = tf.reduce_max(tf.concat([room, [0]], axis=0))
    prompt = tf.shape(prompts.tokens)[1]
    cache = empty_cache(decoder, rows, prompt + steps)
    cache, _ = read_tokens(decoder, weights, cache, prompts.tokens[:, :-1], prompts.starts)
    each = tf.repeat(tf.range(rows), width)
    starts = tf.gather(prompts.starts, each)
    nothing = _Found(
        scores=tf.fill([rows, width], _NONE),
        tokens=tf.zeros([rows, width, steps], tf.int32),
        log_probability=tf.zeros([rows, width, steps]),
        counts=tf.zeros([rows, width], tf.int32),
    )
    # All beams begin alike: only the first one counts, or they would all go the same way.
    scores = tf.broadcast_to(tf.constant([0.0] + [_NONE] * (width - 1)), [rows, width])
    start = _State(
        step=tf.constant(0),
        read=tf.gather(prompts.tokens[:, -1], each),
        beams=nothing._replace(scores=scores),
        answers=nothing,
        is_open=room > 0,
        cache=repeat_rows(decoder, cache, each),
    )

    def step(state):
        column = prompt - 1 + state.step
        hidden, cache = extend(decoder, weights, state.cache, state.read[:, tf.newaxis], column, starts)
        logits = decoder.logits(weights, hidden)
        return (_step(decoder, logits, cache, state, width, room, length_penalty, end),)

    (state,) = tf.while_loop(lambda state: tf.reduce_any(state.is_open), step, (start,), parallel_iterations=1)
    counts = state.answers.counts[:, 0]
    tokens = state.answers.tokens[:, 0]
    has_end = tf.reduce_any(tf.equal(tokens, end) & (tf.range(steps) < counts[:, tf.newaxis]), axis=1)
    reason = tf.where(has_error, ERROR, tf.where(has_end, STOP, LENGTH))
    answers = answers_from(tokens, state.answers.log_probability[:, 0], counts, reason, tf.fill([rows], -1))
    return answers, tf.where(counts > 0, state.answers.scores[:, 0], 0.0)


def _step(decoder, logits, cache, state: _State, width: int, room, length_penalty, end: int) -> _State:
    found, parent, is_end = _continue(logits, state, width, room, end)
    lengths = tf.pow(tf.cast(state.step + 1, tf.float32), length_penalty)[:, tf.newaxis]

    is_answer = is_end & (tf.range(2 * width) < width) & state.is_open[:, tf.newaxis]
    ended = found._replace(scores=tf.where(is_answer, found.scores / lengths, _NONE))
    both = _Found(*(tf.concat(pair, axis=1) for pair in zip(state.answers, ended, strict=True)))
    answers, _ = _best(both, width)
    beams, chosen = _best(found._replace(scores=tf.where(is_end, _NONE, found.scores)), width)

    is_full = answers.scores[:, -1] > _NONE / 2
    may_improve = beams.scores[:, 0] / lengths[:, 0] > answers.scores[:, -1]
    parents = tf.gather(parent, chosen, batch_dims=1)
    rows = tf.range(tf.shape(parents)[0])[:, tf.newaxis] * width + parents
    return _State(
        step=state.step + 1,
        read=tf.reshape(beams.tokens[:, :, state.step], [-1]),
        beams=beams,
        answers=answers,
        is_open=state.is_open & (state.step + 1 < room) & (~is_full | may_improve),
        cache=repeat_rows(decoder, cache, tf.reshape(rows, [-1])),
    )


def _continue(logits, state: _State, width: int, room, end: int) -> tuple[_Found, tf.Tensor, tf.Tensor]:
    """The 2 * W best continuations of each row, best first; the beam that each continues, int32[B, 2 * W]; and whether
    it ends, bool[B, 2 * W]."""
    best, tokens = tf.math.top_k(logits, 2 * width)
    best = best - tf.reduce_logsumexp(logits, axis=1, keepdims=True)
    each, tokens = (tf.reshape(value, [-1, width, 2 * width]) for value in (best, tokens))
    sums = tf.reshape(each + state.beams.scores[:, :, tf.newaxis], [-1, width * 2 * width])
    scores, places = tf.math.top_k(sums, 2 * width)
    parent = places // (2 * width)

    def of_place(values):
        return tf.gather(tf.reshape(values, [-1, width * 2 * width]), places, batch_dims=1)

    def with_last(values, last):
        before = tf.gather(values, parent, batch_dims=1)
        is_last = tf.equal(tf.range(tf.shape(values)[2]), state.step)
        return tf.where(is_last, last[:, :, tf.newaxis], before)

    token = of_place(tokens)
    found = _Found(
        scores=scores,
        tokens=with_last(state.beams.tokens, token),
        log_probability=with_last(state.beams.log_probability, of_place(each)),
        counts=tf.fill(tf.shape(parent), state.step + 1),
    )
    is_last_step = (state.step + 1 >= room)[:, tf.newaxis]
    return found, parent, tf.equal(token, end) | is_last_step


def _best(found: _Found, width: int) -> tuple[_Found, tf.Tensor]:
    """The W best of each row, best first, and which they are, int32[B, W]."""
    scores, places = tf.math.top_k(found.scores, width)
    rest = (tf.gather(values, places, batch_dims=1) for values in found[1:])
    return _Found(scores, *rest), places
