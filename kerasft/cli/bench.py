"""`kerasft bench`: measure what runs already. `bench serve`: load on a served model."""

import json
import sys
from pathlib import Path

import click

from kerasft.cli.show_load import show_load
from kerasft.errors import KerasftError


@click.group()
def bench() -> None:
    """Measure what is running."""


@bench.command("serve")
@click.argument("endpoint")
@click.option("--model", metavar="NAME", default="", help="Which model; a URL may name it too.")
@click.option("--signature", metavar="NAME", default="serving_default", show_default=True, help="Of the model.")
@click.option("--version", type=click.IntRange(0), metavar="N", help="Of the model (default: the latest).")
@click.option("--label", metavar="LABEL", help="A version by its label.")
@click.option("--rate", type=float, metavar="R", help="Requests a second, each sent when it is due: an open loop.")
@click.option("--concurrency", type=int, metavar="N", help="Clients that each wait for the answer: a closed loop.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="That count.")
@click.option("--requests", type=int, metavar="N", help="At most so many count.")
@click.option("--warm-up", type=float, default=1.0, show_default=True, help="Seconds before, that do not count.")
@click.option("--deadline", type=float, default=10.0, show_default=True, help="Seconds an answer may take.")
@click.option("--data", metavar="F", help="Rows with the model's input columns; .txt: a text a line; built-in else.")
@click.option("--set", "assignments", metavar="K=V", multiple=True, help="A column, as text_column=review. Repeatable.")
@click.option("--rows", type=click.IntRange(1), default=1, show_default=True, help="Rows of data in a request.")
@click.option("--body", type=click.Choice(("row", "columnar")), default="row", show_default=True, help="Of REST.")
@click.option("--connections", type=click.IntRange(1, 900), default=256, show_default=True, help="Of REST, at most.")
@click.option("--ca", metavar="FILE", type=click.Path(path_type=Path), help="TLS, with certificates checked by these.")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures as JSON; -: print them, and no table.")
@click.option("--plot", "plot_file", metavar="FILE", help="Draw the latencies: PNG, SVG or PDF.")
def serve(endpoint, json_file, plot_file, ca, assignments, **settings):
    """Put load on a served model; report latency, throughput and errors.

    ENDPOINT is a server of ours or a TensorFlow Serving: HOST:PORT for gRPC (grpcs://HOST:PORT with TLS), or a URL for
    REST, as http://127.0.0.1:8501. With --rate, latency counts from when a request was due, so a server that stalls
    shows what all its users would feel. With --concurrency, nobody asks while it stalls: good for the highest
    throughput, not for latencies under a load that you expect. Ctrl-C ends it early and reports.

    \b
    kerasft bench serve 127.0.0.1:8500 --model sentiment --rate 50 --data reviews.csv
    kerasft bench serve http://127.0.0.1:8501 --model sentiment --concurrency 16 --json figures.json
    """
    from kerasft.serving.load.measure import measure
    from kerasft.serving.load.plot import check_plot, plot
    from kerasft.training.settings import parse_columns

    load = _load(endpoint, settings, parse_columns(assignments), _content(ca))
    if plot_file:
        check_plot(plot_file)
    measured = measure(load, lambda line: click.echo(line, err=True))
    if json_file == "-":
        print(json.dumps(measured.as_dict(), indent=1))
    else:
        show_load(measured)
    if json_file and json_file != "-":
        _write(json_file, measured.as_dict())
    if plot_file and len(measured.record):
        plot(measured.record, _title(measured), plot_file)
    if measured.stopped:
        sys.exit(130)
    if not measured.figures.answered:
        sys.exit(1)


def _load(endpoint: str, settings: dict, columns: dict, authority: bytes | None):
    from kerasft.serving.load.endpoint import Asked
    from kerasft.serving.load.measure import Load
    from kerasft.serving.load.plan import Plan

    asked, plan = (kind(**{name: settings.pop(name) for name in kind.__dataclass_fields__}) for kind in (Asked, Plan))
    return Load(endpoint, asked, plan, columns=columns, authority=authority, **settings)


def _content(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise KerasftError(f"--ca {path} cannot be read: {error.strerror}.") from None


def _title(measured) -> str:
    plan, asked = measured.load.plan, measured.load.asked
    how = f"{plan.rate:g} requests a second" if plan.rate is not None else f"closed loop of {plan.concurrency} clients"
    return f"{asked.model} {measured.version} over {measured.kind}: {how}"


def _write(path: str, found: dict) -> None:
    from kerasft.atomic import new_file

    with new_file(Path(path)) as beside:
        beside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
