"""`kerasft export`."""

import click


@click.command()
@click.argument("run")
@click.option("--export-dir", metavar="DIR", default="saved_models", show_default=True, help="Where exports live.")
@click.option("--name", metavar="NAME", help="Of the model (default: the task's).")
@click.option(
    "--keep-last", metavar="N", type=click.IntRange(min=1), help="Then remove all but N versions and labelled ones."
)
def export(run, export_dir, name, keep_last):
    """Publish RUN as the next version of a SavedModel, once it is proven."""
    from kerasft.export.publish import export as publish_run

    final = publish_run(run, export_dir=export_dir, name=name)
    print(f"SavedModel: {final}")
    if keep_last:
        from kerasft.export.promote import remove_old

        removed = remove_old(final.parent.parent, final.parent.name, keep_last)
        if removed:
            print(f"Removed versions: {', '.join(map(str, removed))}")
