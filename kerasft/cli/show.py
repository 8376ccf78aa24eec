"""How figures look on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST = 24  # characters of a label
_FEW = 8  # labels, above which who was taken for whom does not fit a line
_SHOWN = 4  # numbers of a vector


def show_figures(figures: Mapping[str, Any], what: str) -> None:
    """Prints a task's figures: the numbers in one line each, then a table of the labels, and who was taken for whom.

    Args:
        figures: as `Task.measure` gives them.
        what: the rows they were measured on.
    """
    rows = figures.get("rows")
    print(f"\nOn {'the' if rows is None else f'{rows:,}'} {what}:")
    width = max(18, *(len(name) for name, value in figures.items() if isinstance(value, int | float)))
    for name, value in figures.items():
        if isinstance(value, float):
            interval = figures.get(f"{name}_95")
            between = f"   95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
            print(f"  {name:<{width}} {value:.4f}{between}")
        elif isinstance(value, int) and name != "rows":
            print(f"  {name:<{width}} {value:,}")
        elif isinstance(value, Mapping) and value and all(isinstance(one, float) for one in value.values()):
            print(f"  {name:<{width}} " + "   ".join(f"{key}: {one:.4f}" for key, one in value.items()))
    for name, value in figures.items():
        if name.startswith("per_") and isinstance(value, Mapping) and value:
            _show_labels(value, figures.get("confusion_matrix"))
    print()


def shortened(value: Any) -> Any:
    """An answer for a person's eyes: of a long list of numbers, a vector, the first ones and how many there are."""
    if isinstance(value, Mapping):
        return {name: shortened(one) for name, one in value.items()}
    if not isinstance(value, list) or len(value) <= 4 * _SHOWN or not all(isinstance(one, float) for one in value):
        return value
    return [*(round(one, 4) for one in value[:_SHOWN]), f"… {len(value)} numbers"]


def _show_labels(labels: Mapping[str, Mapping[str, float]], matrix: Sequence[Sequence[int]] | None) -> None:
    width = max(12, *(min(len(name), _LONGEST) for name in labels))
    columns = {name: max(len(name), 6) + 2 for name in next(iter(labels.values()))}
    few = matrix is not None and len(labels) <= _FEW
    head = "".join(f"{name[:12]:>14}" for name in labels) if few else ""
    titles = "".join(f"{name.replace('_', ' '):>{size}}" for name, size in columns.items())
    print(f"\n  {'label':<{width}}{titles}{'   taken for:' + head if few else ''}")
    for number, (name, row) in enumerate(labels.items()):
        cells = "".join(
            f"{value:>{columns[key]}.4f}" if isinstance(value, float) else f"{value:>{columns[key]},}"
            for key, value in row.items()
        )
        taken = f"{'':13}" + "".join(f"{count:>14}" for count in matrix[number]) if few else ""
        print(f"  {name[:width]:<{width}}{cells}{taken}")
