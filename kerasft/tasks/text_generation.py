"""Text generation: a prompt -> its completion, in the way that the rows show."""

from kerasft.data.rows import Rows
from kerasft.evaluation.generated import exact_match_figures, rouge_figures
from kerasft.tasks.by_template import template_task
from kerasft.tasks.task import Scheme


def figures(rows: Rows, texts: list[str], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.generated`."""
    wanted = rows.column("completion")
    return {**exact_match_figures(wanted, texts), "rougeL": rouge_figures(wanted, texts)["rougeL"]}


def describe(rows: Rows) -> str:
    """`completions of 61 characters on average`."""
    lengths = [len(text) for text in rows.column("completion")]
    return f"completions of {sum(lengths) / max(len(lengths), 1):.0f} characters on average"


TASK = template_task(
    name="text-generation",
    summary="a prompt -> its completion, in the way that your rows show",
    field="prompt",
    answer="completion",
    template="{prompt}\n=> {completion}",
    figures=figures,
    example={"prompt": "Parcel 5210 is late.", "completion": "We are sorry that parcel 5210 is late."},
    written="We are sorry that parcel 5210 is late.",
    starter="text-generation.csv",
    describe=describe,
)
