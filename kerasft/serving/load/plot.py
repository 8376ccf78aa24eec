"""A record as a picture: latency by percentile, and request by request over the time of the run."""

import importlib.util
from pathlib import Path

import numpy as np

from kerasft.atomic import new_file
from kerasft.errors import KerasftError
from kerasft.serving.load.answers import OK, TIMEOUT
from kerasft.serving.load.record import Record

ENDINGS = (".png", ".svg", ".pdf")
_MOST_POINTS = 20_000


def check_plot(path: str | Path) -> None:
    """Says before a load begins whether its picture can be drawn.

    Raises:
        KerasftError: matplotlib is not installed, or the file's ending is unknown.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise KerasftError(f"--plot {path}: expected a name that ends in {', '.join(ENDINGS)}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise KerasftError("Plots need the package matplotlib, not installed. Run: pip install 'kerasft[report]'")


def plot(record: Record, title: str, path: str | Path) -> Path:
    """Draws the latencies of answers and timeouts; refused requests are marks at the bottom.

    Args:
        record: of a load.
        title: above the picture.
        path: PNG, SVG or PDF, by its ending.

    Returns:
        `path`.

    Raises:
        KerasftError: see `check_plot`.
    """
    check_plot(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    due, latency, _, code = record.arrays()
    timely = (code == OK) | (code == TIMEOUT)
    # Without pyplot: no display is looked for and no global state is left behind.
    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)
    by_percentile, over_time = figure.subplots(1, 2, width_ratios=(1, 1.4))
    figure.suptitle(title)
    _draw_percentiles(by_percentile, latency[timely] * 1000)
    shown = np.arange(0, len(due), max(1, len(due) // _MOST_POINTS))
    for mask, colour, label in ((code == OK, "C0", "answered"), (code == TIMEOUT, "C1", "no answer in time")):
        points = shown[mask[shown]]
        if len(points):
            over_time.plot(due[points], latency[points] * 1000, ".", markersize=2, color=colour, label=label)
    refused = due[~timely]
    if len(refused):
        over_time.plot(refused, np.zeros(len(refused)), "|", color="C3", label="refused", clip_on=False)
    over_time.set_xlabel("seconds")
    over_time.set_ylabel("latency, ms")
    over_time.set_ylim(bottom=0)
    if len(due):
        over_time.legend(loc="upper right", markerscale=3)
    with new_file(path) as beside:
        figure.savefig(beside, format=path.suffix.lower()[1:], dpi=120)
    return path


def _draw_percentiles(axes, milliseconds: np.ndarray) -> None:
    """The tail wide open: each step to the right leaves out nine of ten of the requests that are left."""
    axes.set_xlabel("percentile")
    axes.set_ylabel("latency, ms")
    if not len(milliseconds):
        return
    ordered = np.sort(milliseconds)
    slower = 1.0 - np.arange(len(ordered)) / len(ordered)
    axes.plot(slower, ordered, color="C0", drawstyle="steps-post")
    axes.set_xscale("log")
    axes.invert_xaxis()
    ticks = [tick for tick in (1.0, 0.5, 0.1, 0.01, 0.001, 0.0001) if tick >= slower[-1]]
    axes.set_xticks(ticks, [f"{100 * (1 - tick):g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
