r"""Prompt templates as data: `"{source}\n=> {target}"` says how a row's fields become a prompt and its answer.

A template is parsed once. It is rendered in Python for training and in graph ops for serving, to the same bytes.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasft.errors import KerasftError, did_you_mean

_BLANK = " "


@dataclass(frozen=True)
class Template:
    """A parsed template: a prompt, and behind it the answer that is learnt.

    Attributes:
        prompt: literals and fields, in turns, a literal first and last: an odd number of strings.
        target: the name of the answer's field.
        before: what an answer begins with in front of the target: a blank that the template has there. GPT-2's words
            have the blank before them in their first token; so it is a part of the answer, not of the prompt.
        behind: what an answer has behind the target.
    """

    prompt: tuple[str, ...]
    target: str
    before: str
    behind: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The prompt's fields, in their order; one used twice is there twice."""
        return self.prompt[1::2]


def parse_template(template: str, columns: Sequence[str], target: str) -> Template:
    r"""Parses a template.

    Args:
        template: `{name}` is a field; `{{` and `}}` are braces; everything else is as it stands. In YAML and on the
            command line a line end is written as YAML has it, in double quotes `\n`.
        columns: the names that the prompt may have, each at least once.
        target: the name of the answer, once, behind all others.

    Returns:
        Its parts.

    Raises:
        KerasftError: a brace by itself, a format or a conversion in a field, an unknown field (names the nearest), a
            field that is missing, no target, a second one, a field behind it.
    """
    known = (*columns, target)
    literals, fields = [""], []
    for literal, field in _parts(template):
        literals[-1] += literal
        if field is None:
            continue
        if field not in known:
            raise KerasftError(
                f"The template {template!r} has an unknown field {{{field}}}.{did_you_mean(field, known)}"
            )
        fields.append(field)
        literals.append("")
    if target not in fields:
        raise KerasftError(
            f"The template {template!r} has no {{{target}}}: expected the place of the answer, behind the prompt, such "
            f"as {_example(columns, target)!r}."
        )
    if fields.index(target) < len(fields) - 1:
        behind = fields[fields.index(target) + 1]
        raise KerasftError(
            f"The template {template!r} has {{{behind}}} behind {{{target}}}: what is served knows nothing behind the "
            f"answer. Put {{{target}}} last, and once."
        )
    missing = [column for column in columns if column not in fields]
    if missing:
        raise KerasftError(
            f"The template {template!r} has no {{{missing[0]}}}: the answer could not depend on it. Write it in front "
            f"of {{{target}}}, such as {_example(columns, target)!r}."
        )
    before = _BLANK if literals[-2].endswith(_BLANK) else ""
    literals[-2] = literals[-2].removesuffix(_BLANK)
    prompt = [part for pair in zip(literals, fields, strict=False) for part in pair][:-1]
    return Template(tuple(prompt), target, before, literals[-1])


def _parts(template: str) -> list[tuple[str, str | None]]:
    """Each literal, and the field behind it."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise KerasftError(
            f"The template {template!r} cannot be read ({error}): write a brace that is text twice, {{{{ or }}}}."
        ) from None
    for _, field, form, conversion in parts:
        if form or conversion or (field is not None and not field.isidentifier()):
            raise KerasftError(
                f"The template {template!r} has the field {{{_spelt(field, form, conversion)}}}: expected a name "
                "alone, such as {source}."
            )
    return [(literal, field) for literal, field, _, _ in parts]


def _spelt(field: str | None, form: str | None, conversion: str | None) -> str:
    return f"{field}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"


def _example(columns: Sequence[str], target: str) -> str:
    return "\n".join([*(f"{{{column}}}" for column in columns), f"=> {{{target}}}"])


def render_prompt(template: Template, row: Mapping[str, str]) -> str:
    """The prompt of a row.

    Args:
        template: the template.
        row: field -> text; more than the fields may be there.
    """
    return "".join(row[part] if place % 2 else part for place, part in enumerate(template.prompt))


def render_answer(template: Template, answer: str) -> str:
    """What is to be learnt behind the prompt; the end token comes behind it."""
    return template.before + answer + template.behind


def prompt_in_graph(template: Template, texts: Mapping[str, Any]):
    """The prompts of a batch, in stateless core ops: the bytes of `render_prompt`.

    Args:
        template: with one field or more.
        texts: field -> string[B].

    Returns:
        string[B].
    """
    import tensorflow as tf

    return tf.strings.join([texts[part] if place % 2 else part for place, part in enumerate(template.prompt)])


def answer_in_graph(template: Template, generated: Any):
    """What was generated as the target itself: without the blank before it and what the template has behind it.

    Args:
        template: the template.
        generated: string[B].

    Returns:
        string[B]. Where the text does not begin or end so, as when it was broken off, nothing is taken away there.
    """
    import tensorflow as tf

    length = tf.strings.length(generated)
    first = _fits(generated, 0, template.before, length)
    length -= first
    last = _fits(generated, first + length - len(template.behind.encode()), template.behind, length)
    return tf.strings.substr(generated, first, length - last)


def _fits(texts, start, part: str, room):
    """int32[B]: the length of a part in bytes where it stands at `start` of a text and has room there, else 0."""
    import tensorflow as tf

    size = len(part.encode())
    has_room = room >= size
    # Where there is no room, nothing is looked at: the place would be outside the text.
    found = tf.strings.substr(texts, tf.where(has_room, start, 0), tf.where(has_room, size, 0))
    return tf.where(has_room & tf.equal(found, part), size, 0)
