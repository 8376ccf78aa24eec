"""`kerasft promote`."""

import click


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=0))
@click.option("--label", default="stable", show_default=True, help="What clients ask for.")
@click.option("--export-dir", metavar="DIR", default="saved_models", show_default=True, help="Where exports live.")
@click.option("--base-path", metavar="PATH", default="/models", show_default=True, help="DIR as the server sees it.")
def promote(name, version, label, export_dir, base_path):
    """Point a label at VERSION of model NAME, in DIR/models.config."""
    from kerasft.export.promote import promote as write

    print(f"{write(export_dir, name, version, label, base_path)}: {name} {label} is version {version}")
