"""`kerasft fit`."""

import sys
from pathlib import Path

import click


@click.command()
@click.option("--task", metavar="T", help="What to learn; `kerasft tasks` lists them.")
@click.option("--data", metavar="F", help="CSV, TSV, JSONL, Parquet, a folder or glob, or - (default: starter data).")
@click.option("--eval-data", metavar="F", help="Held-out rows (default: a share of --data, by content).")
@click.option("--test-data", metavar="F", help="Rows that are only looked at in the end.")
@click.option("--backbone", metavar="B", help="Name, preset, hf://…, kaggle://…, folder or new:… (default: minilm).")
@click.option("--recipe", metavar="R", help="Settings in a YAML file, or a name: `kerasft recipes` lists them.")
@click.option("--set", "assignments", metavar="K=V", multiple=True, help="One setting; wins over --recipe. Repeatable.")
@click.option("--seed", type=int, metavar="N", help="Of split, new weights and order (default: 0).")
@click.option("--output", metavar="RUN_DIR", help="The run folder, new (default: runs/TASK-N).")
@click.option("--resume", metavar="RUN_DIR", help="Go on with a run that was stopped, to the very same result.")
@click.option("--keep-cache", is_flag=True, help="Leave the prefix cache in the run folder, for the next run.")
@click.option("--find-lr", is_flag=True, help="Train nothing; try learning rates and suggest one.")
@click.option("--export-dir", metavar="DIR", help="Where exports live (default: saved_models).")
@click.option("--name", metavar="NAME", help="Of the exported model (default: the task's).")
@click.option("--no-export", is_flag=True, help="Leave the run, publish nothing.")
@click.option("--on-bad-row", type=click.Choice(["error", "skip"]), help="Stop, or list and go on (default: error).")
def fit(assignments, export_dir, name, no_export, find_lr, resume, keep_cache, on_bad_row, **arguments):
    """Fine-tune a backbone on labelled text and publish the SavedModel."""
    from kerasft.training.settings import parse_assignments

    settings = parse_assignments(assignments)
    # Absolute, for a run may be resumed from elsewhere.
    remembered = {
        "export_dir": str(Path(export_dir or "saved_models").absolute()),
        "name": name,
        "no_export": no_export,
    }
    given = {"export_dir": export_dir, "name": name, "no_export": no_export or None}
    if find_lr:
        from kerasft.cli.find_lr import show_suggestion

        of_a_run = {"resume": resume, "keep_cache": keep_cache, **given}
        show_suggestion(settings, on_bad_row or "error", {**arguments, **of_a_run})
        return
    from kerasft.cli.show import show_figures
    from kerasft.training.fit import fit as fit_run

    run = fit_run(
        **arguments,
        resume=resume,
        keep_cache=keep_cache,
        on_bad_row=on_bad_row,
        remember={"export": remembered},
        **settings,
    )
    if run is None:
        return
    show_figures(run.metrics["metrics"], "held-out rows")
    if "test_metrics" in run.metrics:
        show_figures(run.metrics["test_metrics"], "test rows")
    # A resumed run is published where the first command wanted it, unless this one says otherwise.
    wanted = {
        **given,
        **run.record.get("export", {}),
        **{key: value for key, value in given.items() if value is not None},
    }
    exported = None
    if not wanted["no_export"] and not run.metrics["seconds"]["export"]:
        try:
            exported = run.export(export_dir=_from_here(wanted["export_dir"] or "saved_models"), name=wanted["name"])
        except KeyboardInterrupt:
            print(f"Nothing is published. To publish it: kerasft fit --resume {run.folder}", file=sys.stderr)
            raise
    print(f"Run: {run.folder}")
    if exported:
        print(f"SavedModel: {exported}")
    if run.adapted:
        print(f"Backbone: {run.adapted}\nNext: kerasft fit --task TASK --data FILE --backbone {run.adapted}")
    print(f"Total: {run.metrics['seconds']['total']:.0f} s")


def _from_here(folder: str) -> Path:
    """A path as a person in this folder would write it."""
    path, here = Path(folder), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
