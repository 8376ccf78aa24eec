"""`kerasft export`."""

import click


@click.command()
@click.argument("run")
@click.option("--export-dir", metavar="DIR", default="saved_models", show_default=True, help="Where exports live.")
@click.option("--name", metavar="NAME", help="Of the model (default: the task's).")
def export(run, export_dir, name):
    """Publish RUN as the next version of a SavedModel, once it is proven."""
    from kerasft.export.publish import export as publish_run

    print(f"SavedModel: {publish_run(run, export_dir=export_dir, name=name)}")
