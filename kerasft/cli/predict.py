"""`kerasft predict`."""

import json
import sys
from pathlib import Path

import click

from kerasft.errors import KerasftError


@click.command()
@click.argument("target", metavar="RUN_OR_EXPORT")
@click.option("--text", "texts", metavar="S", multiple=True, help="A text to answer. Repeatable.")
@click.option("--data", metavar="F", help="Rows to answer; as `kerasft fit --data`, labels not needed.")
@click.option("--set", "assignments", metavar="K=V", multiple=True, help="A column, as text_column=review. Repeatable.")
@click.option("--output", metavar="F.jsonl", help="Write here (default: standard output).")
def predict(target, texts, data, assignments, output):
    """Answer texts with a run or an export, one JSON object a line; long vectors are shortened on a terminal."""
    from kerasft.answering import predict as answers_of
    from kerasft.atomic import new_file
    from kerasft.cli.show import shortened
    from kerasft.training.settings import parse_columns

    if bool(texts) == bool(data):
        raise KerasftError("Expected either --text (once or more) or --data.")
    answers = answers_of(target, list(texts) or data, parse_columns(assignments))
    if output is None and sys.stdout.isatty():
        answers = map(shortened, answers)
    lines = (json.dumps(answer, ensure_ascii=False) for answer in answers)
    if output is None:
        for line in lines:
            print(line)
        return
    with new_file(Path(output)) as beside:
        beside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="backslashreplace")
    click.echo(f"Wrote {len(answers)} answers to {output}", err=True)
