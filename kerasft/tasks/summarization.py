"""Summarization: a long text -> a short one (GPT-2's own prompt for it is in Radford et al. 2019, section 3.6)."""

from kerasft.data.rows import Rows
from kerasft.evaluation.generated import rouge_figures
from kerasft.tasks.by_template import template_task
from kerasft.tasks.task import Scheme


def figures(rows: Rows, texts: list[str], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.generated.rouge_figures`."""
    return rouge_figures(rows.column("target"), texts)


def describe(rows: Rows) -> str:
    """`texts of 412 characters, summaries of 73, on average`."""
    count = max(len(rows), 1)
    source, target = (sum(map(len, rows.column(name))) / count for name in ("source", "target"))
    return f"texts of {source:.0f} characters, summaries of {target:.0f}, on average"


TASK = template_task(
    name="summarization",
    summary="a long text -> a short one",
    field="source",
    answer="target",
    template="{source}\n\nTL;DR: {target}",
    figures=figures,
    example={
        "source": "The bridge over the Tamber was closed on Monday. Engineers had found cracks in two pillars.",
        "target": "The Tamber bridge is closed because of cracks.",
    },
    written="The Tamber bridge is closed because of cracks.",
    starter="summarization.csv",
    describe=describe,
)
