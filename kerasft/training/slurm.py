"""The tasks of a Slurm step as workers.

It reads what TensorFlow's SlurmClusterResolver reads, without that one's traps: it sorts hosts as text, so that
`n[9-10]` gives the address of n10 to the task on n9; it needs `nvidia-smi`, on hosts without a GPU too; it knows no
more than one bracket in a name; and it takes every step's distribution for `block`.
"""

import re
from collections.abc import Iterator, Mapping

from kerasft.errors import KerasftError

SLURM_PORT = 8888
"""Of a host's first task; its second has the next. The same as in TensorFlow's own resolver."""


def slurm_step(environment: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    """Reads the variables that `srun` sets.

    Args:
        environment: SLURM_PROCID, SLURM_STEP_NODELIST, SLURM_STEP_NUM_TASKS, SLURM_STEP_TASKS_PER_NODE, and
            SLURM_DISTRIBUTION where it is set (`block` or `cyclic`).

    Returns:
        "host:port" of each task in the order of their numbers, and the number of this one.

    Raises:
        KerasftError: a variable that is missing, cannot be read, or contradicts another.
    """
    try:
        index = int(environment["SLURM_PROCID"])
        hosts = slurm_hosts(environment["SLURM_STEP_NODELIST"])
        counts = slurm_counts(environment["SLURM_STEP_TASKS_PER_NODE"])
        tasks = int(environment["SLURM_STEP_NUM_TASKS"])
    except KeyError as error:
        raise KerasftError(
            f"SLURM_STEP_NUM_TASKS is set and {error.args[0]} is not: start the workers with srun, or set TF_CONFIG."
        ) from None
    except ValueError as error:
        raise KerasftError(f"Slurm's variables cannot be read ({error}): set TF_CONFIG instead.") from None
    if len(hosts) != len(counts) or sum(counts) != tasks or not 0 <= index < tasks:
        raise KerasftError(
            f"Slurm's variables do not fit together: task {index} of {tasks} on {len(hosts)} hosts with "
            f"{', '.join(map(str, counts))} tasks. Set TF_CONFIG instead."
        )
    places = [(node, local) for node, count in enumerate(counts) for local in range(count)]
    if environment.get("SLURM_DISTRIBUTION", "").startswith("cyclic"):
        places.sort(key=lambda place: (place[1], place[0]))
    return tuple(f"{hosts[node]}:{SLURM_PORT + local}" for node, local in places), index


def slurm_hosts(names: str) -> list[str]:
    """Spells out a Slurm host list: `n[08-10,12],gpu` is n08, n09, n10, n12, gpu."""
    found = re.findall(r"(?:[^,\[\]]|\[[^\[\]]+\])+", names)
    if ",".join(found) != names:
        raise ValueError(f"host list {names!r}")
    return [host for part in found for host in _spelt(part)]


def _spelt(part: str) -> Iterator[str]:
    before, bracket, rest = part.partition("[")
    if not bracket:
        yield part
        return
    ranges, _, after = rest.partition("]")
    for bounds in ranges.split(","):
        first, _, last = bounds.partition("-")
        for number in range(int(first), int(last or first) + 1):
            for tail in _spelt(after):
                yield f"{before}{number:0{len(first)}d}{tail}"


def slurm_counts(counts: str) -> list[int]:
    """Spells out Slurm's tasks per host: `2(x3),1` is 2, 2, 2, 1."""
    found: list[int] = []
    for part in counts.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if not match:
            raise ValueError(f"tasks per node {counts!r}")
        found += [int(match[1])] * int(match[2] or 1)
    return found
