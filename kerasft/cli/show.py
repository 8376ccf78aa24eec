"""How figures look on a terminal."""

from collections.abc import Mapping
from typing import Any


def show_figures(figures: Mapping[str, Any], what: str) -> None:
    """Prints a task's figures: the numbers in one line each, then the classes and who was taken for whom.

    Args:
        figures: as `Task.measure` gives them.
        what: the rows they were measured on.
    """
    print(f"\nOn {figures['rows']} {what}:")
    for name, value in figures.items():
        if isinstance(value, float):
            interval = figures.get(f"{name}_95")
            between = f"   95 % interval {interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
            print(f"  {name:<18} {value:.4f}{between}")
    if "per_class" in figures:
        _show_classes(figures["per_class"], figures["confusion_matrix"])
    print()


def _show_classes(classes: Mapping[str, Mapping[str, float]], matrix) -> None:
    width = max(12, *(min(len(name), 24) for name in classes))
    few = len(classes) <= 8
    head = "".join(f"{name[:12]:>14}" for name in classes) if few else ""
    print(f"\n  {'label':<{width}} precision  recall     f1   rows{'   taken for:' + head if few else ''}")
    for (name, row), counts in zip(classes.items(), matrix, strict=True):
        taken = f"{'':13}" + "".join(f"{count:>14}" for count in counts) if few else ""
        rates = f"{row['precision']:.4f}  {row['recall']:.4f} {row['f1']:.4f} {row['rows']:>6}"
        print(f"  {name[:width]:<{width}}    {rates}{taken}")
