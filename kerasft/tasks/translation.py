"""Translation: a sentence -> the same in another language."""

import importlib.util
from collections.abc import Mapping
from dataclasses import replace

from kerasft.data.rows import Rows
from kerasft.evaluation.generated import exact_match_figures
from kerasft.evaluation.translation import translation_figures
from kerasft.tasks.by_template import template_task
from kerasft.tasks.task import Scheme, Task


def figures(rows: Rows, texts: list[str], scheme: Scheme) -> dict:
    """Exact matches; and where sacrebleu is installed, see `kerasft.evaluation.translation.translation_figures`."""
    wanted = rows.column("target")
    found = exact_match_figures(wanted, texts)
    return {**found, **translation_figures(wanted, texts)} if _has_sacrebleu() else found


def _has_sacrebleu() -> bool:
    return importlib.util.find_spec("sacrebleu") is not None


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """As every task by a template; says beforehand what cannot be measured afterwards."""
    scheme, warnings = _BY_TEMPLATE.learn(sets, recipe, task)
    if recipe.writing.eval_texts and not _has_sacrebleu():
        warnings.append(
            "sacrebleu is not installed: of the translations only exact matches will be counted. For BLEU and chrF: "
            "pip install 'kerasft[generation]'."
        )
    return scheme, warnings


def describe(rows: Rows) -> str:
    """`sentences of 33 characters on average`."""
    lengths = [len(text) for text in rows.column("source")]
    return f"sentences of {sum(lengths) / max(len(lengths), 1):.0f} characters on average"


_BY_TEMPLATE = template_task(
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

TASK = replace(_BY_TEMPLATE, learn=learn)
