"""Which requests warm a model up: every signature, three lengths, and no word that is not ours."""

import numpy as np
import pytest

from kerasft.export.batching_params import write_batching_params
from kerasft.export.session import Signature, TensorInfo
from kerasft.export.warm_requests import WORDS, warm_requests, word_sizes
from kerasft.serving.arrays import to_proto
from kerasft.serving.config_files import own_batching_parameters
from kerasft.tasks import TASKS

KNOBS = {"max_new_tokens": np.array([64], np.int32), "temperature": np.array([0.9], np.float32)}


def signature(knobs=(), **inputs) -> Signature:
    infos = {alias: TensorInfo(f"{alias}:0", dtype, (None,)) for alias, dtype in inputs.items()}
    infos |= {knob: TensorInfo(f"{knob}:0", KNOBS[knob].dtype.name, (None,)) for knob in knobs}
    return Signature("", "", infos, {}, {knob: to_proto(KNOBS[knob]).SerializeToString() for knob in knobs})


def asked(task: str, max_length: int, size: int = 1, **signatures):
    """The requests to a task whose every word is so many tokens."""
    return warm_requests(TASKS[task], signatures, max_length, [size] * len(WORDS))


def words(requests, alias) -> list[int]:
    return [len(request.feeds[alias][0].split()) for request in requests]


def test_a_classifier_is_asked_through_both_apis_short_half_and_full():
    requests = asked("sentiment", 128, classify=signature(inputs="string"), serving_default=signature(text="string"))
    apis = [(request.signature, request.api) for request in requests]
    assert apis == [("serving_default", "predict")] * 3 + [("classify", "classify")] * 3
    assert words(requests[:3], "text") == [5, 64, 128]
    for one, other in zip(requests[:3], requests[3:], strict=True):
        assert one.feeds["text"][0] in other.feeds["inputs"][0]


@pytest.mark.parametrize(
    ("max_length", "size", "lengths"),
    [(128, 3, [5, 22, 43]), (24, 1, [5, 12, 24]), (24, 4, [5, 6]), (8, 1, [5, 8]), (4, 1, [4]), (4, 9, [1])],
)
def test_lengths_are_of_tokens_and_none_comes_twice(max_length, size, lengths):
    requests = asked("sentiment", max_length, size, serving_default=signature(text="string"))
    assert words(requests, "text") == lengths


def test_words_are_measured_by_the_models_own_tokens(text):
    sizes = word_sizes(text)
    assert len(sizes) == len(WORDS)
    assert all(size >= 1 for size in sizes)


def test_the_columns_of_a_task_share_the_length():
    requests = asked("question-answering", 128, serving_default=signature(question="string", context="string"))
    assert words(requests, "question") == words(requests, "context") == [5, 32, 64]


def test_a_task_with_numbers_and_one_with_gaps_are_asked_as_they_must_be():
    marked = asked("semantic-role-labeling", 64, serving_default=signature(text="string", predicate="int32"))
    assert {request.feeds["predicate"].dtype.name for request in marked} == {"int32"}
    gaps = asked("masked-lm", 64, serving_default=signature(text="string"))
    assert all(b"[MASK]" in request.feeds["text"][0] for request in gaps)


def test_what_writes_is_asked_for_little_and_with_every_knob():
    signatures = {
        "serving_default": signature(prompt="string"),
        "generate": signature(KNOBS, prompt="string"),
        "score": signature(prompt="string", answer="string"),
        "continue": signature(KNOBS, prompt="string", so_far="string"),
    }
    requests = asked("text-generation", 512, **signatures)
    lengths = {name: words([one for one in requests if one.signature == name], "prompt") for name in signatures}
    assert lengths == {"serving_default": [5], "generate": [5, 512], "score": [5, 512], "continue": [5]}
    for request in requests:
        assert set(request.feeds) == set(signatures[request.signature].inputs)
        assert all(value.shape == (1,) for value in request.feeds.values())
        if "max_new_tokens" in request.feeds:
            assert request.feeds["max_new_tokens"].tolist() == [4]
            assert request.feeds["temperature"].tolist() == KNOBS["temperature"].tolist()


@pytest.mark.parametrize(
    ("max_length", "writes", "rows"),
    [(24, False, 32), (128, False, 32), (512, False, 8), (8192, False, 1), (128, True, 8), (1024, True, 4)],
)
def test_a_run_is_as_large_as_its_rows_are_short(tmp_path, max_length, writes, rows):
    """As `kerasft serve` reads it, which refuses what TensorFlow Serving would not start with."""
    write_batching_params(tmp_path, max_length, writes)
    found = own_batching_parameters(tmp_path)
    assert (found.max_execution_batch_size, found.max_batch_size) == (rows, 8 * rows)
    assert found.enable_large_batch_splitting
    assert (found.batch_timeout_micros, found.max_enqueued_batches) == (0, 16 if writes else 64)
    assert max(map(len, (tmp_path / "batching_params.pbtxt").read_text().splitlines())) <= 120
