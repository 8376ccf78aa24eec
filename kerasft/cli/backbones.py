"""`kerasft backbones`: the catalogue; `kerasft backbones fetch NAME`: fill the cache."""

import json

import click

from kerasft.backbones.catalog import CATALOG, DEFAULT
from kerasft.backbones.locate import is_here, locate, resolve

COLUMNS = ("name", "family", "blocks", "parameters", "download", "licence", "cached", "description")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of the table.")
@click.pass_context
def backbones(context: click.Context, as_json: bool) -> None:
    """List the pre-trained backbones known by name, or fetch one.

    Anything else works after --backbone too: a keras-nlp preset of the BERT or GPT-2 family, hf://org/model,
    kaggle://org/model/keras/variant, a local Hugging Face or Keras preset folder, or a new one with random weights:
    new:gpt2?layers=4&hidden=256&heads=4 (its further settings: inner, context, dropout).
    """
    if context.invoked_subcommand is not None:
        return
    if as_json:
        click.echo(json.dumps(_facts(), indent=1))
        return
    rows = [_cells(fact) for fact in _facts()]
    if click.get_text_stream("stdout").isatty():
        _print_table(rows)
    else:
        _print_plain(rows)


@backbones.command()
@click.argument("name", default=DEFAULT)
def fetch(name: str) -> None:
    """Download a backbone into the cache and print its folder (NAME: minilm by default)."""
    new = resolve(name).kind == "new"
    click.echo(locate(name, report=_say, weights=not new))
    if new:
        _say(f"{name}: each run makes its own, by its seed; the vocabulary alone is fetched.")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _facts() -> list[dict]:
    return [
        {
            "name": entry.name,
            "default": entry.name == DEFAULT,
            "family": entry.family,
            "blocks": entry.blocks,
            "width": entry.width,
            "parameters": entry.parameters,
            "download_bytes": entry.download,
            "source": entry.source,
            "licence": entry.licence,
            "sha256": {file.name: file.sha256 for file in entry.files},
            "cached": is_here(entry),
            "description": entry.description,
        }
        for entry in CATALOG
    ]


def _cells(fact: dict) -> tuple[str, ...]:
    return (
        fact["name"] + (" *" if fact["default"] else ""),
        fact["family"],
        f"{fact['blocks']} × {fact['width']}",
        f"{fact['parameters'] / 1e6:.1f} M",
        f"{fact['download_bytes'] / 1e6:.0f} MB",
        fact["licence"],
        "yes" if fact["cached"] else "no",
        fact["description"],
    )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # A cut-off name or number is of no use: a narrow window does without whole columns (--json has everything).
    hidden = {"description": 115, "licence": 84}
    shown = [index for index, column in enumerate(COLUMNS) if console.width >= hidden.get(column, 0)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption="* the default")
    table.caption_justify = "left"
    for index in shown:
        right = COLUMNS[index] in ("blocks", "parameters", "download")
        table.add_column(COLUMNS[index], justify="right" if right else "left", no_wrap=COLUMNS[index] != "description")
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    console.print(table)


def _print_plain(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for row in (COLUMNS, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
