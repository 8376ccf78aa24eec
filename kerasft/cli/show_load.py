"""How a load's figures look on a terminal."""

_LONGEST_WORDS = 100


def show_load(measured) -> None:
    """Prints the counts in a line each, a table of the latencies, and one of the errors if there were any.

    Args:
        measured: a `kerasft.serving.load.measure.Measured`.
    """
    from rich.console import Console

    # A pipe has no width; the table of errors would be cut to that of an old terminal.
    console = Console(highlight=False, markup=False, soft_wrap=True)
    found, plan = measured.figures, measured.load.plan
    due = f" of {plan.rate:g} due" if plan.rate is not None else ""
    texts = f", {found.throughput * measured.load.rows:,.1f} rows" if measured.load.rows > 1 else ""
    ended = " (stopped)" if measured.stopped else ""
    console.print(f"\n  requests   {found.requests:,} in {found.seconds:.1f} s{ended}")
    console.print(f"  answered   {found.answered:,}: {found.throughput:,.1f} a second{due}{texts}")
    console.print(f"  errors     {found.requests - found.answered:,}, timeouts among them {found.timeouts:,}")
    if found.unfinished:
        console.print(f"  unfinished {found.unfinished:,}: under way when it was stopped, in no figure")
    if found.latency:
        console.print(_latencies(found.latency))
    if found.errors:
        console.print(_errors(found))
    for note in notes(measured):
        console.print(f"  {note}")


def notes(measured) -> list[str]:
    """What one should know about the figures, a sentence each."""
    found, plan = measured.figures, measured.load.plan
    said = []
    if plan.rate is None:
        said.append(
            "Closed loop: nobody asks while the server is slow. Users who come when they like would wait longer."
        )
    else:
        said.append("Latency counts from when a request was due.")
    if found.timeouts:
        said.append(f"A timeout counts as a latency of {plan.deadline:g} s, which is the least it would have been.")
    if found.load_was_late:
        late = found.sent_late["p99"]
        said.append(f"The load was late itself (99 % of requests within {late:.1f} ms): ask from another machine.")
    if 0 < found.requests < 1000:
        said.append(f"Of {found.requests:,} requests p99.9 is the slowest one: it needs 1,000 and more.")
    return said


def _latencies(latency: dict[str, float]):
    table = _table()
    for name in latency:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*(f"{value:,.2f}" for value in latency.values()))
    table.title, table.title_justify, table.title_style = "  latency, ms", "left", ""
    return table


def _errors(found):
    table = _table()
    table.add_column("error", no_wrap=True)
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("the first one's words", overflow="ellipsis", no_wrap=True, max_width=_LONGEST_WORDS)
    for code, count in found.errors.items():
        from rich.text import Text

        # A server's words are no markup of ours, and may hold line ends.
        table.add_row(code, f"{count:,}", Text(" ".join(found.words[code].split())))
    return table


def _table():
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
