"""What the name of a backbone from scratch is made of; imports nothing, so that every name can be looked at quickly."""

from dataclasses import dataclass

PREFIX = "new:"
EXAMPLE = "new:gpt2?layers=4&hidden=256&heads=4"


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


def is_new(name: str) -> bool:
    """Whether a backbone's name asks for one from scratch; it may still be malformed."""
    return name.startswith(PREFIX)
