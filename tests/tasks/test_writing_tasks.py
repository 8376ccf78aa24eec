"""Tasks that write: what they learn is what is asked of them, token by token."""

import csv

import numpy as np
import pytest

import kerasft
from kerasft.backbones.load import load_text_functions
from kerasft.data.prepare import read_for, starter_file
from kerasft.tasks import TASKS
from kerasft.tasks.task import Drawing, Scheme
from kerasft.training.recipe import make_recipe

WRITING = [name for name, task in TASKS.items() if task.writes]
PHASE = {"unfrozen": "all", "epochs": 1, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def gpt2_text(toy_gpt2):
    return load_text_functions(toy_gpt2)


def scheme_of(name: str, **settings) -> Scheme:
    task = TASKS[name]
    recipe = make_recipe({"task": name, **task.defaults, **settings})
    rows = read_for(task, starter_file(task)).rows
    return task.learn({"train": rows, "eval": rows}, recipe, task)[0]


def as_lists(found) -> list[list[int]]:
    return [[token for token in row if token >= 0] for row in found.to_tensor(-1).numpy().tolist()]


@pytest.mark.parametrize("name", [name for name in WRITING if name != "causal-lm"])
def test_what_is_learnt_is_what_is_asked(name, gpt2_text):
    """A training sequence is the served prompt's tokens, then those of the answer, and the loss is on these alone."""
    import tensorflow as tf

    task, scheme = TASKS[name], scheme_of(name)
    rows = read_for(task, starter_file(task)).rows.take(range(12))
    encoded, targets = task.draws.draw(rows, gpt2_text, scheme, Drawing(4000))(0)
    asked = {column: tf.constant(of) for column, of in task.writes.requests(rows).items()}
    prompts, faults = task.writes.prompts(gpt2_text, scheme, asked)
    assert not any(faults.numpy())
    if name == "dialogue":
        wanted = [value.split("\n")[len(value.split("\n")) // 2 * 2 - 1] for value in rows.column("turns")]
    else:
        wanted = rows.column(task.label_column)
    answers = task.writes.answers(gpt2_text, scheme, tf.constant(wanted))
    sequences = np.split(encoded.inputs["token_ids"], encoded.starts[1:-1])
    learnt = np.split(targets.tokens.flat - 1, targets.tokens.starts[1:-1])
    for sequence, said, prompt, answer in zip(sequences, learnt, as_lists(prompts), as_lists(answers), strict=True):
        assert sequence.tolist() == prompt + answer
        assert said.tolist()[-len(answer) :] == answer
        if name != "dialogue":
            assert said.tolist() == answer
    spelt = task.writes.spoken(scheme, generated(gpt2_text, answers)).numpy().tolist()
    assert [text.decode() for text in spelt] == wanted


def generated(text, ids):
    """The text of tokens, the last of which ends it."""
    import tensorflow as tf

    pieces = tf.constant(list(text.spelling.pieces))
    return tf.strings.reduce_join(tf.ragged.map_flat_values(lambda flat: tf.gather(pieces, flat), ids), axis=1)


@pytest.mark.parametrize("name", WRITING)
def test_a_backbone_that_reads_both_ways_cannot_write(name, toy_backbone, tmp_path):
    data = [
        {column: "one two\nthree four" for column in (*TASKS[name].text_columns, TASKS[name].label_column or "text")}
    ]
    with pytest.raises(kerasft.KerasftError, match="cannot write one: pass --backbone with one of the GPT-2 family"):
        kerasft.fit(
            name,
            data * 2,
            eval_data=data,
            backbone=str(toy_backbone),
            output=tmp_path / "run",
            report=lambda line: None,
        )
    assert not (tmp_path / "run").exists()


def test_the_best_perplexity_is_the_smallest(toy_gpt2, tmp_path):
    """At a rate that ruins the network, what is kept is the first epoch's."""
    phases = [{**PHASE, "epochs": 3, "learning_rate": 0.3}]
    run = kerasft.fit(
        "text-generation",
        backbone=str(toy_gpt2),
        output=tmp_path / "run",
        phases=phases,
        eval_texts=0,
        max_length=64,
        precision="float32",
        schedule="constant",
        warmup=0.0,
        report=lambda line: None,
    )
    with open(run.folder / "history.csv", newline="", encoding="utf-8") as file:
        seen = [float(line["eval_perplexity"]) for line in csv.DictReader(file)]
    assert len(set(seen)) > 1
    np.testing.assert_allclose(run.metrics["metrics"]["perplexity"], min(seen), rtol=1e-4)


def test_texts_come_in_another_order_in_each_epoch_and_only_to_learn_from(gpt2_text):
    task = TASKS["causal-lm"]
    rows = read_for(task, [{"text": f"number {number} and {number * number}"} for number in range(40)]).rows
    learn = task.draws.draw(rows, gpt2_text, Scheme(), Drawing(32, seed=3))
    measure = task.draws.draw(rows, gpt2_text, Scheme(), Drawing(32))
    first, again, second = (learn(epoch)[0].inputs["token_ids"] for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.sort(first), np.sort(second))
    np.testing.assert_array_equal(measure(0)[0].inputs["token_ids"], measure(5)[0].inputs["token_ids"])
    # Each text's own bytes are foretold, and nothing else is.
    assert measure(0)[1].sizes.sum() == sum(len(text.encode()) for text in rows.column("text"))


def test_tokens_that_are_cut_off_are_no_bytes_of_the_figures(gpt2_text):
    task, scheme = TASKS["text-generation"], scheme_of("text-generation")
    rows = read_for(task, [{"prompt": "ask", "completion": "abc" * 20}]).rows
    whole, cut = (task.draws.draw(rows, gpt2_text, scheme, Drawing(length))(0) for length in (400, 20))
    # The blank in front of an answer is learnt with it.
    assert whole[1].sizes.tolist() == [61]
    assert whole[0].notes == ()
    assert 10 < cut[1].sizes[0] < 30
    assert "has an answer" in cut[0].notes[-1] or "have an answer" in cut[0].notes[-1]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("translation", {"template": "{source} => {aim}"}, "unknown field {aim}"),
        ("translation", {"template": "{target}: {source}"}, "{source} behind {target}"),
        ("dialogue", {"template": "{turn}"}, "no {reply}"),
        ("causal-lm", {"template": "{text}"}, "has no use for 'template'"),
        ("summarization", {"plan": "head"}, "a phase of the head alone trains nothing"),
        ("summarization", {"label_smoothing": 0.1}, "has no use for 'label_smoothing'"),
        ("sentiment", {"beams": 4}, "has no use for 'beams'"),
    ],
)
def test_settings_that_mean_nothing(name, settings, message, toy_gpt2, tmp_path):
    with pytest.raises(kerasft.KerasftError) as fault:
        kerasft.fit(name, backbone=str(toy_gpt2), output=tmp_path / "run", report=lambda line: None, **settings)
    assert message in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_plan_leaves_out_the_phase_of_a_head_without_weights(toy_gpt2, tmp_path):
    run = kerasft.fit(
        "translation",
        backbone=str(toy_gpt2),
        output=tmp_path / "run",
        plan="top-1",
        epochs=1,
        eval_texts=0,
        max_length=48,
        precision="float32",
        report=lambda line: None,
    )
    (phase,) = run.metrics["phases"]
    assert phase["trains"].startswith("block 2 of 2:")
