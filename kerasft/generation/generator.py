"""A generator: a causal model and its vocabulary, and the three things that it does with token ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from kerasft.backbones.view import Backbone, Decoder, TextFunctions
from kerasft.errors import KerasftError
from kerasft.generation import beams
from kerasft.generation.answers import ERROR, REASONS, STOP_STRING, Answers
from kerasft.generation.knobs import Knobs, check_knobs, knobs_for
from kerasft.generation.prompts import place_prompts
from kerasft.generation.score import score
from kerasft.generation.stops import MOST, find_first
from kerasft.generation.write import write
from kerasft.text.detokenize import join_pieces, valid_text

PRECISIONS = {"float32": tf.float32, "bfloat16": tf.bfloat16}


@dataclass(frozen=True)
class Generator:
    """What generation needs.

    Attributes:
        decoder: the model's functions.
        weights: name -> `tf.Variable`; an export keeps these and no others.
        pieces: string[V], the bytes of each token.
        end: id of the end-of-text token.
    """

    decoder: Decoder
    weights: Mapping[str, Any]
    pieces: Any
    end: int


def make_generator(
    backbone: Backbone, text: TextFunctions, precision: str = "float32", context: int | None = None
) -> Generator:
    """Copies a backbone's weights, as they are now, into the form that generates fastest.

    Args:
        backbone: of a family that writes text.
        text: of the same folder.
        precision: `float32`, or `bfloat16` for the matrices; the rest and all sums stay float32.
        context: places to use, where not all that the model has.

    Raises:
        KerasftError: the family reads both ways, or an unknown precision.
    """
    if backbone.decoder is None or text.spelling is None:
        raise KerasftError(
            f"A {backbone.family} backbone cannot write text: expected one that reads from left to right, such as gpt2."
        )
    if precision not in PRECISIONS:
        raise KerasftError(f"Precision of the weights: expected {' or '.join(PRECISIONS)}, found {precision!r}.")
    decoder = backbone.decoder()
    arrays = dict(decoder.weights)
    decoder = replace(decoder, weights={}, context=min(context or decoder.context, decoder.context))

    def variable(name, array):
        dtype = PRECISIONS[precision] if array.ndim > 1 else tf.float32
        return tf.Variable(tf.cast(array, dtype), trainable=False, name=name.replace("/", "_"))

    # Each array is let go once it is copied: the model is not in memory a third time.
    weights = {name: variable(name, arrays.pop(name)) for name in list(arrays)}
    pieces = list(text.spelling.pieces)
    # More rows than pieces: a model whose embedding was padded to a round size.
    pieces += [b""] * (decoder.vocabulary - len(pieces))
    with tf.init_scope(), tf.device("CPU:0"):
        return Generator(decoder, weights, tf.constant(pieces), text.spelling.end)


def generate(
    generator: Generator, prompts: tf.RaggedTensor, stop: Sequence[bytes] = (), faults: tf.Tensor | None = None, **knobs
) -> dict:
    """Writes an answer to each prompt: the graph, from token ids to text.

    Args:
        generator: the model.
        prompts: ragged int32[B, (T)], token ids without special tokens.
        stop: texts that end an answer.
        faults: string[B], why a row is not to be answered, or "".
        knobs: as `kerasft.generation.knobs.Knobs` says, one number for all rows or an array [B] or [1]; and
            `stop_string`, string[B], one more text for each row that ends its answer, "" for none.

    Returns:
        `text` string[B], valid UTF-8, without the stop string; `finish_reason` string[B], one of `stop` (the
        end-of-text token), `stop_string`, `length` and `error`; `tokens` int32[B, N] and `logprob` float32[B, N] as
        in `kerasft.generation.answers.Answers`; `truncated` bool[B], whether the prompt lost its first tokens;
        `error` string[B], the row's fault, or what is wrong with its knobs, or "".
    """
    sound, stops, errors = read_knobs(tf.cast(prompts.nrows(), tf.int32), stop, faults, **knobs)
    laid = place_prompts(prompts, sound.max_new_tokens, generator.end, generator.decoder.context)
    model = (generator.decoder, generator.weights)
    answers = write(*model, laid, sound, stops, tf.not_equal(errors, ""), generator.pieces, generator.end)
    return {**outputs_of(generator, answers), "truncated": laid.truncated, "error": errors}


def search(
    generator: Generator,
    prompts: tf.RaggedTensor,
    width: int,
    stop: Sequence[bytes] = (),
    length_penalty=1.0,
    max_new_tokens=64,
    faults: tf.Tensor | None = None,
) -> dict:
    """Writes the answer to each prompt that beam search finds; see `kerasft.generation.beams`.

    Args:
        generator: the model.
        prompts: ragged int32[B, (T)].
        width: beams of a row.
        stop: texts at which an answer is cut. They do not end the search: an answer that has one is as long as any.
        length_penalty: a number for all rows, or float32[B].
        max_new_tokens: a number for all rows, or int32[B].
        faults: string[B], why a row is not to be answered, or "".

    Returns:
        As `generate`, and `score` float32[B], the log-probability by length that the search looks at.

    Raises:
        KerasftError: a width that the vocabulary has no room for.
    """
    most = generator.decoder.vocabulary // 2
    if not 1 <= width <= most:
        raise KerasftError(f"Beam search: expected from 1 to {most} beams, found {width}. 4 to 8 are usual.")
    rows = tf.cast(prompts.nrows(), tf.int32)
    sound, stops, errors = read_knobs(rows, stop, faults, max_new_tokens=max_new_tokens)
    penalty = tf.broadcast_to(tf.convert_to_tensor(length_penalty, tf.float32), [rows])
    is_finite = tf.math.is_finite(penalty)
    shown = tf.strings.as_string(penalty, shortest=True)
    said = tf.strings.join(["length_penalty: expected a number, found ", shown, "."])
    errors = tf.where(is_finite | tf.not_equal(errors, ""), errors, said)
    laid = place_prompts(prompts, sound.max_new_tokens, generator.end, generator.decoder.context)
    answers, scores = beams.search(
        *(generator.decoder, generator.weights, laid, width, tf.where(is_finite, penalty, 1.0)),
        *(tf.not_equal(errors, ""), generator.end),
    )
    found = find_first(join_pieces(generator.pieces, answers.tokens), stops)
    has_stop = (found >= 0) & tf.not_equal(answers.reason, ERROR)
    answers = answers._replace(cut=found, reason=tf.where(has_stop, STOP_STRING, answers.reason))
    return {**outputs_of(generator, answers), "score": scores, "truncated": laid.truncated, "error": errors}


def score_texts(generator: Generator, prompts: tf.RaggedTensor, answers: tf.RaggedTensor) -> dict:
    """How probable given answers are behind their prompts.

    Args:
        generator: the model.
        prompts: ragged int32[B, (T)]; those that leave no room lose their first tokens, as in `generate`.
        answers: ragged int32[B, (N)]. Of one longer than the context has places behind the prompt, the first tokens
            count.

    Returns:
        `tokens` int32[B, N], those that count, filled up with -1; `logprob` float32[B, N], natural logarithms, 0 where
        there is no token; `total` float32[B], their sums; `truncated` bool[B], whether prompt or answer was cut.
    """
    answers = tf.cast(answers, tf.int32)
    lengths = tf.cast(answers.row_lengths(), tf.int32)
    laid = place_prompts(prompts, lengths, generator.end, generator.decoder.context)
    count = tf.minimum(lengths, laid.room)
    longest = tf.reduce_max(tf.concat([count, [0]], axis=0))
    is_token = tf.range(longest) < count[:, tf.newaxis]
    given = answers.to_tensor()[:, :longest]
    tokens = tf.concat([laid.tokens, tf.where(is_token, given, 0)], axis=1)
    found = score(generator.decoder, generator.weights, tokens, laid.starts)
    likely = tf.where(is_token, found[:, tf.shape(laid.tokens)[1] :], 0.0)
    return {
        "tokens": tf.where(is_token, given, -1),
        "logprob": likely,
        "total": tf.reduce_sum(likely, axis=1),
        "truncated": laid.truncated | (count < lengths),
    }


def read_knobs(
    rows: tf.Tensor, stop: Sequence[bytes] = (), faults: tf.Tensor | None = None, **given
) -> tuple[Knobs, tf.Tensor, tf.Tensor]:
    """What a request says of B rows, in a form that is sound whatever it says.

    Args:
        rows: B.
        stop: stop strings of all rows.
        faults: string[B], what is wrong with rows apart from their knobs, or "".
        given: knobs by name, and `stop_string`; as for `generate`.

    Returns:
        Sound knobs; stop strings string[B, S]; and why a row is not to be answered, string[B], "" where it is.
    """
    extra = given.pop("stop_string", None)
    sound, errors = check_knobs(knobs_for(rows, **given))
    stops = tf.broadcast_to(tf.constant(list(stop), tf.string), [rows, len(stop)])
    if extra is not None:
        own = tf.broadcast_to(tf.convert_to_tensor(extra, tf.string), [rows])
        sizes = tf.strings.length(own)
        said = tf.strings.join([f"stop_string: expected up to {MOST} bytes, found ", tf.strings.as_string(sizes), "."])
        errors = tf.where((sizes > MOST) & tf.equal(errors, ""), said, errors)
        stops = tf.concat([stops, tf.where(sizes > MOST, "", own)[:, tf.newaxis]], axis=1)
    if faults is not None:
        errors = tf.where(tf.equal(faults, ""), errors, faults)
    return sound, stops, errors


def outputs_of(generator: Generator, answers: Answers) -> dict:
    written = join_pieces(generator.pieces, answers.tokens)
    kept = tf.where(answers.cut < 0, tf.strings.length(written), answers.cut)
    return {
        "text": valid_text(tf.strings.substr(written, tf.zeros_like(kept), kept)),
        "finish_reason": tf.gather(tf.constant(REASONS), answers.reason),
        "tokens": answers.tokens,
        "logprob": answers.log_probability,
    }
