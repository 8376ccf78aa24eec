"""`kerasft fit`."""

import click


@click.command()
@click.option("--task", metavar="T", help="What to learn; `kerasft tasks` lists them.")
@click.option("--data", metavar="F", help="CSV, TSV, JSONL, Parquet, a folder or glob, or - (default: starter data).")
@click.option("--eval-data", metavar="F", help="Held-out rows (default: a share of --data, by content).")
@click.option("--test-data", metavar="F", help="Rows that are only looked at in the end.")
@click.option("--backbone", metavar="B", help="Name, preset, hf://…, kaggle://… or folder (default: minilm).")
@click.option("--recipe", metavar="F", help="Settings in a YAML file.")
@click.option("--set", "assignments", metavar="K=V", multiple=True, help="One setting; wins over --recipe. Repeatable.")
@click.option("--seed", type=int, metavar="N", help="Of split, new weights and order (default: 0).")
@click.option("--output", metavar="RUN_DIR", help="The run folder, new (default: runs/TASK-N).")
@click.option("--export-dir", metavar="DIR", default="saved_models", show_default=True, help="Where exports live.")
@click.option("--name", metavar="NAME", help="Of the exported model (default: the task's).")
@click.option("--no-export", is_flag=True, help="Leave the run, publish nothing.")
@click.option(
    "--on-bad-row",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="Stop, or list and go on.",
)
def fit(
    task,
    data,
    eval_data,
    test_data,
    backbone,
    recipe,
    assignments,
    seed,
    output,
    export_dir,
    name,
    no_export,
    on_bad_row,
):
    """Fine-tune a backbone on labelled text and publish the SavedModel."""
    from kerasft.cli.show import show_figures
    from kerasft.training.fit import fit as fit_run
    from kerasft.training.recipe import parse_assignments

    settings = {**parse_assignments(assignments)}
    named = {"task": task, "backbone": backbone, "seed": seed}
    settings.update({key: value for key, value in named.items() if value is not None})
    run = fit_run(
        data=data,
        eval_data=eval_data,
        test_data=test_data,
        recipe=recipe,
        output=output,
        on_bad_row=on_bad_row,
        **settings,
    )
    show_figures(run.metrics["metrics"], "held-out rows")
    if "test_metrics" in run.metrics:
        show_figures(run.metrics["test_metrics"], "test rows")
    exported = None if no_export else run.export(export_dir=export_dir, name=name)
    print(f"Run: {run.folder}")
    if exported:
        print(f"SavedModel: {exported}")
    print(f"Total: {run.metrics['seconds']['total']:.0f} s")
