"""The four signatures in TensorFlow's C++ session, on a toy that writes digits."""

import gc
from pathlib import Path

import numpy as np
import pytest

from kerasft.export.saved_model import save_service
from kerasft.export.servable import inspect
from kerasft.export.session import Session
from kerasft.generation.generator import search
from kerasft.generation.knobs import DTYPES
from tests.toy_service import CONTEXT, asked, digit_service, parts

PROMPTS = [b"a fine film", b"", b"dull", "cafés 日本".encode(), b"the plot " * 50]
SAMPLING = {"temperature": 0.9, "top_k": 7, "top_p": 0.8, "min_p": 0.01, "repetition_penalty": 1.3}
KNOBS = (*DTYPES._fields, "stop_string")


@pytest.fixture(scope="module")
def service(toy_gpt2):
    # No blank in front of the answer: what is written is what is scored.
    return digit_service(toy_gpt2, template="{prompt}\n=>{completion}", **SAMPLING)


@pytest.fixture(scope="module")
def folder(service, tmp_path_factory):
    path = tmp_path_factory.mktemp("service") / "1"
    path.mkdir()
    save_service(service, path)
    return path


@pytest.fixture(scope="module")
def session(folder):
    with Session(folder) as session:
        yield session


def knobs(rows, **given):
    """Greedy, but for what is given."""
    plain = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "seed": 0}
    plain |= {"max_new_tokens": 12, "stop_string": b"", **given}
    dtypes = {name: dtype.as_numpy_dtype for name, dtype in DTYPES._asdict().items()} | {"stop_string": object}
    return {name: np.array(np.broadcast_to(np.array(value, dtypes[name]), rows)) for name, value in plain.items()}


def streamed(session, prompts, calls=20, **given):
    """The answers of calls that go on until all are done, and the number of calls."""
    rows = len(prompts)
    so_far, found = [b""] * rows, None
    for call in range(1, calls + 1):
        found = session.run("continue", {"prompt": prompts, "so_far": so_far, **knobs(rows, **given)})
        assert all(text.startswith(before) for text, before in zip(found["text"], so_far, strict=True))
        so_far = found["text"].tolist()
        if not any(found["finish_reason"] == b"length"):
            return found, call
    return found, calls


def test_a_stock_server_can_run_it(folder):
    found = inspect(folder)
    assert found.problems == ()
    assert not [op for op in found.ops if op.startswith("Xla") or "Table" in op]
    assert found.oversize is None
    assert set(found.signatures) == {"serving_default", "generate", "score", "continue"}
    assert found.lowest_release == "2.12"


def test_answers_are_digits_and_not_all_the_same(session):
    """Else the tests below would say little."""
    found = session.run("generate", {"prompt": PROMPTS, **knobs(5)})
    assert all(text.isdigit() and len(text) == 12 for text in found["text"])
    assert len(set(found["text"])) >= 4
    assert any(len(set(text)) > 2 for text in found["text"])


def test_the_default_signature_writes_as_the_recipe_says(session):
    served = session.run("serving_default", {"prompt": PROMPTS})
    spelt = session.run("generate", {"prompt": PROMPTS, **knobs(5, **SAMPLING)})
    assert served["tokens"].tolist() == spelt["tokens"].tolist()
    assert served["text"].tolist() == spelt["text"].tolist()
    assert served["truncated"].tolist() == [False] * 4 + [True]
    assert set(served["finish_reason"]) == {b"length"}


def test_each_knob_that_is_left_out_has_the_recipes_value(session):
    """One at a time: the defaults must not be another knob's."""
    signature = session.signatures["generate"]
    assert set(signature.defaults) == set(KNOBS) == set(signature.inputs) - {"prompt"}
    assert set(session.signatures["continue"].defaults) == set(KNOBS)
    every = knobs(5, **SAMPLING)
    expected = session.run("generate", {"prompt": PROMPTS, **every})
    for name in KNOBS:
        feeds = {"prompt": PROMPTS, **{other: value for other, value in every.items() if other != name}}
        assert session.run("generate", feeds)["tokens"].tolist() == expected["tokens"].tolist(), name
    for prompts in (PROMPTS, PROMPTS[:1], []):
        found = session.run("generate", {"prompt": prompts})
        assert found["text"].tolist() == expected["text"].tolist()[: len(prompts)]


def test_a_row_is_the_same_in_any_batch(session):
    many = knobs(5, temperature=[0, 0.8, 1.5, 1, 1], seed=[1, 2, 3, 2**40, -5], max_new_tokens=[12, 3, 12, 0, 7])
    together = session.run("generate", {"prompt": PROMPTS, **many})
    for row in range(5):
        alone = {name: value[row : row + 1] for name, value in many.items()}
        found = session.run("generate", {"prompt": PROMPTS[row : row + 1], **alone})
        assert found["text"][0] == together["text"][row]


@pytest.mark.parametrize(
    ("knob", "wrong", "said"),
    [
        ("temperature", float("nan"), "temperature: expected a number from 0 on, found nan."),
        ("top_k", -1, "top_k: expected a number from 0 on (0 for all tokens), found -1."),
        ("max_new_tokens", -7, "max_new_tokens: expected a number from 0 on, found -7."),
        ("stop_string", b"x" * 257, "stop_string: expected up to 256 bytes, found 257."),
    ],
)
@pytest.mark.parametrize("name", ["generate", "continue"])
def test_a_wrong_knob_in_one_row_does_not_spoil_the_others(session, name, knob, wrong, said):
    begun = {"so_far": [b"12"] * 3} if name == "continue" else {}
    sound = knobs(3, temperature=0.9, seed=4)
    expected = session.run(name, {"prompt": PROMPTS[:3], **begun, **sound})
    sound[knob][1] = wrong
    found = session.run(name, {"prompt": PROMPTS[:3], **begun, **sound})
    assert found["text"].tolist() == [expected["text"][0], b"", expected["text"][2]]
    assert found["finish_reason"].tolist() == [b"length", b"error", b"length"]
    assert found["error"].tolist() == [b"", said.encode(), b""]


def test_a_wrong_text_in_one_row_does_not_spoil_the_others(toy_gpt2):
    service = digit_service(toy_gpt2, "dialogue")
    turns = [b"hello", b"hello\n12\nand now", b"hello\n12", b""]
    found = asked(service, "serving_default", turns=turns)
    assert found["finish_reason"].tolist() == [b"length", b"length", b"error", b"error"]
    assert found["error"][2].startswith(b"turns: expected")
    assert found["text"].tolist()[2:] == [b"", b""]
    alone = asked(service, "serving_default", turns=turns[1:2])
    assert alone["text"][0] == found["text"][1] != b""
    scored = asked(service, "score", turns=turns, answer=[b"12"] * 4)
    learnt = parts(toy_gpt2)[1].tokenize([b" 12\n"]).ids.to_list()[0]
    assert scored["tokens"][0].tolist() == scored["tokens"][1].tolist() == [*learnt, service.generator.end]
    assert (scored["tokens"][2:] == -1).all()
    assert scored["total"].tolist()[2:] == [0.0, 0.0]


@pytest.mark.parametrize("given", [{}, {"temperature": 1.2, "seed": 11}, {"repetition_penalty": 1.5}])
def test_pieces_make_the_text_that_is_written_at_once(session, given):
    """Digits are the same tokens when they are read again. The prompts leave room for all: none is cut."""
    at_once = session.run("generate", {"prompt": PROMPTS[:4], **knobs(4, max_new_tokens=20, **given)})
    so_far = [b""] * 4
    for count in (5, 1, 8, 3):  # 1 and 3 are read as 4
        feeds = {"prompt": PROMPTS[:4], "so_far": so_far, **knobs(4, max_new_tokens=count, **given)}
        so_far = session.run("continue", feeds)["text"].tolist()
    assert [len(text) for text in so_far] == [21] * 4
    assert [text[:20] for text in so_far] == at_once["text"].tolist()


def test_a_stop_string_across_two_calls(session):
    plain = session.run("generate", {"prompt": PROMPTS[:1], **knobs(1, max_new_tokens=20)})["text"][0]
    stop = plain[6:10]  # its middle is the border of two calls of 4
    expected = session.run("generate", {"prompt": PROMPTS[:1], **knobs(1, max_new_tokens=20, stop_string=stop)})
    found, calls = streamed(session, PROMPTS[:1], max_new_tokens=4, stop_string=stop)
    assert found["finish_reason"][0] == expected["finish_reason"][0] == b"stop_string"
    assert found["text"][0] == expected["text"][0] == plain[: plain.find(stop)]
    assert calls <= 4  # what is held back is written again


def test_the_beginning_of_a_stop_string_is_not_shown(session):
    plain = session.run("generate", {"prompt": PROMPTS[:1], **knobs(1, max_new_tokens=20)})["text"][0]
    stop = plain[4:8] + b"never"  # begins, but is not met
    feeds = {"prompt": PROMPTS[:1], **knobs(1, max_new_tokens=1, stop_string=stop)}
    texts = [b""]
    for _ in range(4):
        texts += session.run("continue", {"so_far": texts[-1:], **feeds})["text"].tolist()
    # One token is read as 9, the bytes of the stop string: each call gets further, whatever it holds back.
    assert [len(text) for text in texts] == sorted({len(text) for text in texts})
    assert all(not text.endswith(stop[:length]) for text in texts[1:] for length in range(1, len(stop)))
    assert texts[2][:20] == plain[: len(texts[2])][:20]


def test_texts_go_on_beyond_the_context(session):
    """The window slides: the prompt is forgotten, and the text still grows."""
    found, calls = streamed(session, PROMPTS[:3], calls=8, max_new_tokens=10)
    assert calls == 8
    assert [len(text) for text in found["text"]] == [80] * 3
    assert CONTEXT < 80
    assert found["truncated"].all()


def test_edge_cases_of_requests(session):
    asked_for = {
        "prompt": [b"", b"the plot " * 50],
        **knobs(2, stop_string=b"never met", max_new_tokens=[3, 2**31 - 1]),
    }
    found = session.run("generate", asked_for)
    assert found["finish_reason"].tolist() == [b"length"] * 2
    assert (found["tokens"] >= 0).sum(axis=1).tolist() == [3, CONTEXT // 2]
    assert found["truncated"].tolist() == [False, True]
    none = session.run("generate", {"prompt": [b"a"], **knobs(1, max_new_tokens=0)})
    assert (none["text"].tolist(), none["finish_reason"].tolist()) == ([b""], [b"length"])
    for name, more in (("serving_default", {}), ("score", {"answer": []}), ("continue", {"so_far": []})):
        assert all(value.shape[0] == 0 for value in session.run(name, {"prompt": [], **more}).values())


def test_a_score_is_what_the_writer_said(session):
    written = session.run("generate", {"prompt": PROMPTS[:4], **knobs(4)})
    found = session.run("score", {"prompt": PROMPTS[:4], "answer": written["text"].tolist()})
    # Behind the answer, the token that ends it.
    assert found["tokens"][:, :-1].tolist() == written["tokens"].tolist()
    np.testing.assert_allclose(found["logprob"][:, :-1], written["logprob"], atol=1e-4)
    np.testing.assert_allclose(found["total"], found["logprob"].sum(axis=1), atol=1e-3)


def test_a_wrong_rank_is_refused(session):
    with pytest.raises(Exception, match=r"\[\?\]|rank|shape|Shape"):
        session.run("generate", {"prompt": [b"a"], "temperature": np.zeros([1, 1], np.float32)})


def test_beams(toy_gpt2):
    service = digit_service(toy_gpt2, beams=3, length_penalty=0.5, stop="5")
    found = asked(service, "serving_default", prompt=PROMPTS)
    ids = parts(toy_gpt2)[1].tokenize([prompt + b"\n=>" for prompt in PROMPTS]).ids
    expected = search(service.generator, ids, 3, [b"5"], 0.5, 12)
    assert found["text"].tolist() == expected["text"].numpy().tolist()
    assert found["tokens"].tolist() == expected["tokens"].numpy().tolist()
    assert set(found) == {"text", "finish_reason", "tokens", "logprob", "truncated", "error"}


def test_any_text_that_goes_on_is_whole_and_grows(toy_gpt2):
    """A toy that writes any bytes: each call gives valid text, further than the last one."""
    from kerasft.backbones.load import load_backbone, load_text_functions
    from kerasft.generation.service import make_service
    from kerasft.tasks import TASKS
    from tests.toy_service import scheme_for

    text = load_text_functions(toy_gpt2)
    scheme = scheme_for("causal-lm", temperature=30.0)
    service = make_service(TASKS["causal-lm"], text, load_backbone(toy_gpt2), scheme, 64)
    so_far = [b""] * 24
    for _ in range(6):
        found = asked(*(service, "continue"), text=["a"] * 24, so_far=so_far, seed=list(range(24)), max_new_tokens=[1])
        for before, after, reason in zip(so_far, found["text"].tolist(), found["finish_reason"], strict=True):
            after.decode()
            assert after.startswith(before)
            assert reason == b"stop" or len(after) > len(before)
        so_far = found["text"].tolist()
    assert any("\ufffd" in after.decode() for after in so_far)  # bytes that are no text were among them


def _resident_kilobytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
def test_thousands_of_requests_of_new_words_leave_no_memory_behind(session):
    numbers = iter(range(10**9))

    def kilobytes_after(runs):
        for _ in range(runs):
            words = " ".join(f"w{next(numbers):x}q" for _ in range(4)).encode()
            session.run("generate", {"prompt": [words], **knobs(1, max_new_tokens=1)})
        gc.collect()
        return _resident_kilobytes()

    begun, half, end = (kilobytes_after(runs) for runs in (200, 1_500, 1_500))
    # A table that kept every word would hold 200 bytes or more of each: over 1 MB a round, in every round.
    assert min(half - begun, end - half) < 800
