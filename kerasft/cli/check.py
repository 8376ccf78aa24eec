"""`kerasft check EXPORT`: would a stock TensorFlow Serving load it, and answer any text with it?"""

import json

import click

MARKS = {"ok": "ok    ", "failed": "FAILED", "note": "note  "}


@click.command()
@click.argument("export", metavar="EXPORT", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
@click.pass_context
def check(context: click.Context, export: str, as_json: bool) -> None:
    """Check that a stock TensorFlow Serving loads an export and answers any text with it.

    EXPORT is a SavedModel, ours or not, or the folder of its versions, of which the highest is checked. Exits with 1
    when a check failed.
    """
    from kerasft.export.check import check_export

    report = check_export(export)
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        click.echo(report["export"])
        for finding in report["findings"]:
            click.echo(f"  {MARKS[finding['status']]}  {finding['check']}: {finding['detail']}")
        if report["servable"]:
            click.echo(f"Servable from TensorFlow Serving {report['lowest_release']} on.")
        else:
            failed = sum(finding["status"] == "failed" for finding in report["findings"])
            click.echo(f"Not servable: {failed} {'check' if failed == 1 else 'checks'} failed.")
    if not report["servable"]:
        context.exit(1)
