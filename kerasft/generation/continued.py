"""Texts that are written a piece at a time: what was written so far comes with the prompt, and more of it goes back."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from kerasft.generation.answers import LENGTH, REASONS
from kerasft.generation.generator import Generator, read_knobs
from kerasft.generation.prompts import place_prompts
from kerasft.generation.stops import begun_at_end, text_so_far
from kerasft.generation.write import write
from kerasft.text.detokenize import join_pieces, valid_text, whole_length

_LEAST = 4  # tokens: so many may be the bytes of one character


def continue_texts(
    generator: Generator,
    tokenize: Callable[[tf.Tensor], tf.RaggedTensor],
    prompts: tf.RaggedTensor,
    so_far: tf.Tensor,
    stop: Sequence[bytes] = (),
    faults: tf.Tensor | None = None,
    **knobs,
) -> dict:
    """Goes on with texts. A server keeps nothing between two calls: the text so far is the whole state.

    Greedy or with the same seed, the pieces make the text that `kerasft.generation.generator.generate` writes at once,
    for draws are counted from the prompt's first token on. It may be another one where the tokens are others: where
    what is given back, read as text, is cut into other tokens than those that it was written in (a piece may end
    within a word); where a byte was written that is no UTF-8; and where prompt and text are longer than the context,
    of which each call reads the last part that leaves room for its own tokens.

    Args:
        generator: the model.
        tokenize: string[B] -> ragged int32[B, (T)], as answers were learnt.
        prompts: ragged int32[B, (T)].
        so_far: string[B], the `text` of the call before, as it came; "" in the first one.
        stop: texts that end an answer.
        faults: string[B], why a row is not to be answered, or "".
        knobs: as for `generate`. `max_new_tokens` are those of this call. From 1 on they are read as at least 4, the
            bytes that one character may have, and the bytes of the longest stop string: for each call must get further
            than the one before.

    Returns:
        `text` string[B]: the text so far and what is new, without a stop string. When there is more to come, the
        beginning of a character or of a stop string at its end is held back (the latter unless nothing new were left,
        as where the context has no room for a whole one). `finish_reason` string[B]: `length` for as long as there is
        more to ask for, else as for `generate`. `tokens` int32[B, N] and `logprob` float32[B, N], what this call wrote,
        held back or not; `truncated` bool[B], whether this call did not read the beginning of prompt and text; `error`
        string[B]. A row with an error has the text "".
    """
    sound, stops, errors = read_knobs(tf.cast(prompts.nrows(), tf.int32), stop, faults, **knobs)
    wanted = sound.max_new_tokens
    stop_bytes = tf.strings.length(tf.concat([tf.fill([tf.shape(wanted)[0], 1], ""), stops], axis=1))
    least = tf.maximum(tf.reduce_max(stop_bytes, axis=1), _LEAST)
    sound = sound._replace(max_new_tokens=tf.where(wanted > 0, tf.maximum(wanted, least), 0))
    so_far = valid_text(so_far)
    read = _behind_each_other(prompts, tokenize(so_far), generator.end)
    laid = place_prompts(read, sound.max_new_tokens, generator.end, generator.decoder.context)
    has_error = tf.not_equal(errors, "")
    answers = write(
        *(generator.decoder, generator.weights, laid, sound, stops, has_error, generator.pieces, generator.end),
        begun=text_so_far(so_far, stops),
    )
    written = tf.strings.join([so_far, join_pieces(generator.pieces, answers.tokens)])
    whole = whole_length(written)
    shown = tf.minimum(whole, tf.strings.length(written) - begun_at_end(written, stops))
    more_to_come = tf.where(shown > tf.strings.length(so_far), shown, whole)
    kept = tf.where(answers.cut < 0, tf.strings.length(written), answers.cut)
    kept = tf.where(tf.equal(answers.reason, LENGTH), more_to_come, kept)
    text = valid_text(tf.strings.substr(written, tf.zeros_like(kept), kept))
    return {
        "text": tf.where(has_error, "", text),
        "finish_reason": tf.gather(tf.constant(REASONS), answers.reason),
        "tokens": answers.tokens,
        "logprob": answers.log_probability,
        "truncated": laid.truncated,
        "error": errors,
    }


def _behind_each_other(prompts: tf.RaggedTensor, so_far: tf.RaggedTensor, end: int) -> tf.RaggedTensor:
    """Prompts and texts as one; the end-of-text token stands for an empty prompt, as it does without a text."""
    prompts, so_far = (tf.cast(tokens, tf.int32).with_row_splits_dtype(tf.int64) for tokens in (prompts, so_far))
    is_empty = tf.cast(tf.equal(prompts.row_lengths(), 0), tf.int64)
    ends = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(is_empty)], end), is_empty, validate=False)
    return tf.concat([ends, prompts, so_far], axis=1)
