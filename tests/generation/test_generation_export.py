"""The generator as a SavedModel in TensorFlow's C++ session: what a stock server would run."""

import numpy as np
import pytest
import tensorflow as tf

from kerasft.backbones.load import load_backbone, load_text_functions
from kerasft.export.servable import inspect
from kerasft.export.session import Session
from kerasft.generation.generator import generate, make_generator, score_texts, search
from tests.random_gpt2 import log_softmax, plain_logits, random_arrays, random_prompts
from tests.toy_generator import as_lists, ragged, toy_generator
from tests.toy_gpt2 import write_backbone

PROMPTS = random_prompts(5, 20, seed=4)
KNOBS = {
    "temperature": np.array([0, 1, 1.5, 1, 0.7], np.float32),
    "top_k": np.array([0, 0, 40, 290, 0], np.int32),
    "top_p": np.array([1, 1, 0.9, 0.95, 1], np.float32),
    "seed": np.arange(5),
    "max_new_tokens": np.array([9, 20, 20, 7, 0], np.int32),
}


def padded(rows):
    """Token ids [B, T], -1 behind each row: what the signatures of this test take."""
    return ragged(rows).to_tensor(-1).numpy() if rows else np.zeros([0, 0], np.int32)


def rows_of(tokens):
    return tf.RaggedTensor.from_tensor(tokens, lengths=tf.reduce_sum(tf.cast(tokens >= 0, tf.int64), axis=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    generator = toy_generator()
    tokens = tf.TensorSpec([None, None], tf.int32, name="tokens")
    specs = {name: tf.TensorSpec([None], tf.as_dtype(value.dtype), name=name) for name, value in KNOBS.items()}

    @tf.function
    def sampled(tokens, **knobs):
        return generate(generator, rows_of(tokens), stop=[b"STOP"], **knobs)

    @tf.function(input_signature=[tokens])
    def beams(tokens):
        return search(generator, rows_of(tokens), 3, max_new_tokens=6)

    @tf.function(input_signature=[tokens, tf.TensorSpec([None, None], tf.int32, name="answers")])
    def scored(tokens, answers):
        return score_texts(generator, rows_of(tokens), rows_of(answers))

    module = tf.Module()
    module.weights = list(generator.weights.values())
    path = tmp_path_factory.mktemp("export") / "1"
    signatures = {"generate": sampled.get_concrete_function(tokens, **specs), "beams": beams, "score": scored}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def session(folder):
    with Session(folder) as session:
        yield session


def test_a_stock_server_can_run_it(folder):
    found = inspect(folder)
    assert found.problems == ()
    assert found.lowest_release == "2.12"
    assert not [op for op in found.ops if op.startswith("Xla") or "Table" in op]
    assert found.oversize is None


def test_the_session_answers_as_python_does(session):
    served = session.run("generate", {"tokens": padded(PROMPTS), **KNOBS})
    expected = generate(toy_generator(), ragged(PROMPTS), stop=[b"STOP"], **KNOBS)
    for name, value in expected.items():
        if value.dtype == tf.float32:
            np.testing.assert_allclose(served[name], value, atol=1e-5)
        else:
            assert served[name].tolist() == value.numpy().tolist()
    beams = session.run("beams", {"tokens": padded(PROMPTS)})
    assert as_lists(beams) == as_lists(search(toy_generator(), ragged(PROMPTS), 3, max_new_tokens=6))


def test_every_row_alone_and_none_at_all(session):
    served = session.run("generate", {"tokens": padded(PROMPTS), **KNOBS})
    for row, prompt in enumerate(PROMPTS):
        alone = session.run(
            "generate", {"tokens": padded([prompt]), **{name: value[row : row + 1] for name, value in KNOBS.items()}}
        )
        assert as_lists(alone) == [as_lists(served)[row]]
    none = {name: value[:0] for name, value in KNOBS.items()}
    for name, feeds in (("generate", none), ("beams", {}), ("score", {"answers": padded([])})):
        for value in session.run(name, {"tokens": padded([]), **feeds}).values():
            assert value.shape[0] == 0


def test_requests_leave_every_answer_as_it_was(session):
    """A cache that one request left to the next would show."""
    first = session.run("generate", {"tokens": padded(PROMPTS), **KNOBS})
    for seed in range(25):
        some = random_prompts(3, 25, seed=seed)
        session.run("generate", {"tokens": padded(some), **{name: value[:3] for name, value in KNOBS.items()}})
    again = session.run("generate", {"tokens": padded(PROMPTS), **KNOBS})
    assert first["tokens"].tolist() == again["tokens"].tolist()
    assert first["logprob"].tobytes() == again["logprob"].tobytes()


def test_scores_of_given_answers(session):
    arrays = random_arrays()
    answers = [[5, 6, 7], [], [9], [1] * 10, list(range(90))]
    found = session.run("score", {"tokens": padded(PROMPTS), "answers": padded(answers)})
    for row, (prompt, answer) in enumerate(zip(PROMPTS, answers, strict=True)):
        if row == 4:
            prompt = prompt[-48:]  # half of the context is the least
            answer = answer[: 96 - len(prompt)]
        logits = plain_logits(arrays, [*prompt, *answer])[len(prompt) - 1 : -1]
        likely = log_softmax(logits)[np.arange(len(answer)), answer] if answer else np.zeros(0)
        np.testing.assert_allclose(found["logprob"][row, : len(answer)], likely, atol=1e-4)
        np.testing.assert_allclose(found["total"][row], likely.sum(), atol=1e-3)
        assert found["tokens"][row].tolist() == answer + [-1] * (found["tokens"].shape[1] - len(answer))
    assert found["truncated"].tolist() == [False] * 4 + [True]


def test_text_in_and_text_out(tmp_path):
    """A backbone folder with its vocabulary: strings at both ends of the served graph."""
    backbone_folder = write_backbone(tmp_path / "gpt2")
    text = load_text_functions(backbone_folder)
    generator = make_generator(load_backbone(backbone_folder), text)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="prompt")])
    def serve(prompt):
        return generate(generator, text.tokenize(prompt).ids, max_new_tokens=12, temperature=1.0, seed=3)

    module = tf.Module()
    module.weights = list(generator.weights.values())
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": serve})
    assert inspect(tmp_path / "1").problems == ()
    prompts = ["the film's\n\ngood", "", "naïve 中文 \0", "<|endoftext|>", "a " * 200]
    with Session(tmp_path / "1") as session:
        served = session.run("serving_default", {"prompt": prompts})
    expected = serve(tf.constant(prompts))
    assert served["text"].tolist() == expected["text"].numpy().tolist()
    assert served["truncated"].tolist() == [False] * 4 + [True]
    for row, tokens in enumerate(as_lists(served)):
        assert 0 < len(tokens) <= 12
        joined = b"".join(text.spelling.pieces[token] for token in tokens)
        assert served["text"][row].decode() == joined.decode(errors="replace")
