"""`kerasft tokens`."""

import json

import click

from kerasft.errors import KerasftError


@click.command()
@click.option("--backbone", metavar="B", default="minilm", show_default=True, help="Whose tokens.")
@click.option("--text", "texts", metavar="S", multiple=True, help="A text. Repeatable.")
@click.option("--data", metavar="F", help="Rows; as `kerasft fit --data`, the column 'text'.")
@click.option("--set", "assignments", metavar="K=V", multiple=True, help="A column, as text_column=review.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a text.")
def tokens(backbone, texts, data, assignments, as_json):
    """Show pieces, ids and character offsets of texts, as training and serving see them, without special tokens."""
    from kerasft.text.show import token_rows
    from kerasft.training.settings import parse_columns

    if bool(texts) == bool(data):
        raise KerasftError("Expected either --text (once or more) or --data.")
    for text, row in token_rows(backbone, list(texts) or data, parse_columns(assignments)):
        if as_json:
            print(json.dumps(row, ensure_ascii=False))
            continue
        print(json.dumps(text, ensure_ascii=False))
        for piece, number, (start, end) in zip(row["pieces"], row["ids"], row["offsets"], strict=True):
            print(f"  {number:>7}  {piece:<24} {start}:{end}")
