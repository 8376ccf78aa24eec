"""Translation: a sentence -> the same in another language."""

from kerasft.data.rows import Rows
from kerasft.evaluation.translation import translation_figures
from kerasft.tasks.by_template import template_task
from kerasft.tasks.task import Scheme


def figures(rows: Rows, texts: list[str], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.translation.translation_figures`; nothing where sacrebleu is not installed."""
    return translation_figures(rows.column("target"), texts)


def describe(rows: Rows) -> str:
    """`sentences of 33 characters on average`."""
    lengths = [len(text) for text in rows.column("source")]
    return f"sentences of {sum(lengths) / max(len(lengths), 1):.0f} characters on average"


TASK = template_task(
    name="translation",
    summary="a sentence -> the same in another language",
    field="source",
    answer="target",
    template="{source}\n=> {target}",
    figures=figures,
    example={"source": "The bakery opens at six.", "target": "Die Bäckerei öffnet um sechs."},
    written="Die Bäckerei öffnet um sechs.",
    starter="translation.csv",
    describe=describe,
)
