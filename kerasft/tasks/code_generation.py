"""Code generation: a description -> Python that does it; on request, what is written is run against the rows' tests."""

from kerasft.data.rows import Rows
from kerasft.evaluation.generated import exact_match_figures
from kerasft.evaluation.run_code import pass_figures
from kerasft.tasks.by_template import template_task
from kerasft.tasks.task import Scheme


def figures(rows: Rows, texts: list[str], scheme: Scheme) -> dict:
    """Exact match; and with `run_programs` in the recipe, and tests in the rows, pass@1."""
    found = exact_match_figures(rows.column("code"), texts)
    if scheme.numbers["run_programs"] and "test" in rows.table.column_names:
        found |= pass_figures(texts, rows.column("test"))
    return found


def describe(rows: Rows) -> str:
    """`programs of 4 lines on average, with tests`."""
    lines = [text.count("\n") + 1 for text in rows.column("code")]
    tests = ", with tests" if "test" in rows.table.column_names else ""
    return f"programs of {sum(lines) / max(len(lines), 1):.0f} lines on average{tests}"


TASK = template_task(
    name="code-generation",
    summary="a description -> the code that does it",
    field="prompt",
    answer="code",
    template='"""{prompt}"""\n{code}',
    figures=figures,
    example={
        "prompt": "Say whether a number is even.",
        "code": "def is_even(number):\n    return number % 2 == 0\n",
        "test": "assert is_even(4)",
    },
    written="def is_even(number):\n    return number % 2 == 0\n",
    starter="code-generation.jsonl",
    describe=describe,
    beside=("test",),
    optional_columns=("test",),
)
