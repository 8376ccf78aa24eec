"""`kerasft evaluate`."""

import json

import click


@click.command()
@click.argument("target", metavar="RUN_OR_EXPORT")
@click.option("--data", metavar="F", required=True, help="Labelled rows; as `kerasft fit --data`.")
@click.option("--set", "assignments", metavar="K=V", multiple=True, help="A column, as text_column=review. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(target, data, assignments, as_json):
    """Measure a run or an export on labelled data."""
    from kerasft.answering import evaluate as figures_of
    from kerasft.cli.show import show_figures
    from kerasft.training.settings import parse_columns

    found = figures_of(target, data, parse_columns(assignments))
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        show_figures(found["metrics"], "rows")
