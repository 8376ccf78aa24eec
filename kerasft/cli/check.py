"""`kerasft check EXPORT`: would a stock TensorFlow Serving load it, and answer any text with it?"""

import json

import click

MARKS = {"ok": "ok    ", "failed": "FAILED", "note": "note  "}


@click.command()
@click.argument("export", metavar="EXPORT", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="The whole report as one JSON object.")
@click.option("--tf-serving", metavar="2.A[..2.B]", help="Also say which of these releases have what it uses.")
@click.pass_context
def check(context: click.Context, export: str, as_json: bool, tf_serving: str | None) -> None:
    """Check that a stock TensorFlow Serving loads an export and answers any text with it.

    EXPORT is a SavedModel, ours or not, or the folder of its versions, of which the highest is checked. Exits with 1
    when a check failed, or when a release of --tf-serving does not load it or is not known to.
    """
    from kerasft.export.check import check_export
    from kerasft.export.releases import loads_in, minor_releases

    releases = minor_releases(tf_serving) if tf_serving is not None else range(0)
    report = check_export(export)
    loads = loads_in(report["lowest_release"], releases) if report["servable"] else {f"2.{n}": "no" for n in releases}
    if loads:
        report["tf_serving"] = loads
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
        for release, answer in loads.items():
            click.echo(f"  {release}: {answer}")
    if not report["servable"] or set(loads.values()) - {"yes"}:
        context.exit(1)
