"""A number that the name of a new backbone can set."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One key of `new:FAMILY?key=value`.

    Attributes:
        default: where the name does not say.
        least: the smallest value.
        most: the largest.
        whole: whether it is a whole number.
    """

    default: float
    least: float
    most: float
    whole: bool = True
