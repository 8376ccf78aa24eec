"""Prompt templates: what is refused, what is rendered, and that the graph renders the same bytes."""

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.errors import KerasftError
from kerasft.text.template import (
    Template,
    answer_in_graph,
    parse_template,
    prompt_in_graph,
    render_answer,
    render_prompt,
)

TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
LITERALS = st.text(st.one_of(st.sampled_from("{} \n=>"), st.characters(blacklist_categories=("Cs",))), max_size=8)


def parsed(template: str, columns=("source",), target="target") -> Template:
    return parse_template(template, columns, target)


def test_a_template_by_hand():
    template = parsed("{source}\n=> {target}")
    assert template == Template(("", "source", "\n=>"), "target", " ", "")
    assert render_prompt(template, {"source": "a cat", "more": "x"}) == "a cat\n=>"
    assert render_answer(template, "eine Katze") == " eine Katze"


def test_double_braces_are_braces():
    template = parsed("{{{source}}} {{x}}:{target}}}")
    assert render_prompt(template, {"source": "a"}) == "{a} {x}:"
    assert render_answer(template, "b") == "b}"


def test_braces_in_a_text_are_text():
    template = parsed("{source}: {target}")
    assert render_prompt(template, {"source": "{target} {0} }{"}) == "{target} {0} }{:"


def test_a_field_may_come_twice_and_in_any_order():
    template = parsed("{b}{a}{b}\n{target}.\n", columns=("a", "b"))
    assert template.fields == ("b", "a", "b")
    assert render_prompt(template, {"a": "1", "b": "2"}) == "212\n"
    assert (template.before, template.behind) == ("", ".\n")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{sorce} {target}", r"unknown field \{sorce\}\. Did you mean \"source\"\?"),
        ("{source}{zzz}{target}", r"unknown field \{zzz\}\. Known: source, target\."),
        ("{source} =>", r"has no \{target\}: expected the place of the answer.*'\{source\}\\n=> \{target\}'"),
        ("=> {target}", r"has no \{source\}: the answer could not depend on it"),
        ("{target} {source}", r"has \{source\} behind \{target\}"),
        ("{source} {target} {target}", r"has \{target\} behind \{target\}"),
        ("{source} { {target}", "cannot be read .*: write a brace"),
        ("{source} } {target}", "cannot be read .*: write a brace"),
        ("{source} {target", "cannot be read .*: write a brace"),
        ("{source:>9} {target}", r"the field \{source:>9\}: expected a name alone"),
        ("{source!r} {target}", r"the field \{source!r\}: expected a name alone"),
        ("{} {target}", r"the field \{\}: expected a name alone"),
        ("{source.upper} {target}", r"the field \{source\.upper\}: expected a name alone"),
        ("{source[0]} {target}", r"the field \{source\[0\]\}: expected a name alone"),
        ("", r"has no \{target\}"),
    ],
)
def test_what_is_refused(template, message):
    with pytest.raises(KerasftError, match=message) as caught:
        parsed(template)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(literals=st.lists(LITERALS, min_size=4, max_size=4), rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4))
def test_the_graph_renders_the_same_bytes(literals, rows):
    one, two, three, four = (literal.replace("{", "{{").replace("}", "}}") for literal in literals)
    template = parsed(f"{one}{{a}}{two}{{b}}{three}{{target}}{four}", columns=("a", "b"))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def prompts(a, b):
        return prompt_in_graph(template, {"a": a, "b": b})

    columns = [tf.constant([row[place].encode() for row in rows], tf.string) for place in range(2)]
    expected = [render_prompt(template, {"a": a, "b": b}) for a, b, _ in rows]
    assert prompts(*columns).numpy().tolist() == [prompt.encode() for prompt in expected]
    for (a, b, target), prompt in zip(rows, expected, strict=True):
        whole = literals[0] + a + literals[1] + b + literals[2] + target + literals[3]
        assert prompt + render_answer(template, target) == whole


@settings(max_examples=60, deadline=None)
@given(behind=LITERALS, blank=st.booleans(), targets=st.lists(TEXTS, min_size=1, max_size=4))
def test_an_answer_comes_back_as_the_target(behind, blank, targets):
    template = Template(("", "source", ""), "target", " " if blank else "", behind)
    generated = [render_answer(template, target).encode() for target in targets]
    found = answer_in_graph(template, tf.constant(generated)).numpy().tolist()
    assert found == [target.encode() for target in targets]


def test_an_answer_that_was_broken_off_loses_nothing():
    template = Template(("", "source", ""), "target", " ", " END")
    generated = ["", " ", "x", " x EN", " END", " END END", "END", "é"]
    found = answer_in_graph(template, tf.constant(generated)).numpy().tolist()
    assert [text.decode() for text in found] == ["", "", "x", "x EN", "END", "END", "END", "é"]


def test_a_batch_of_none():
    template = parsed("{source}\n=> {target}")
    assert prompt_in_graph(template, {"source": tf.zeros([0], tf.string)}).shape == (0,)
    assert answer_in_graph(template, tf.zeros([0], tf.string)).shape == (0,)
