"""Whether a run gets a prefix cache, and filling it before the first phase that wants it."""

import dataclasses
import time
from pathlib import Path

import numpy as np

from kerasft.errors import KerasftError
from kerasft.training.checkpoint import State
from kerasft.training.job import Examples, Job
from kerasft.training.phases import cacheable, frontier, rows_of
from kerasft.training.prefix_cache import decline_reason, fill_cache, search_cache
from kerasft.training.progress import Bar


def with_cache(job: Job, state: State, train: Examples, held_out: Examples, folder: Path) -> tuple[Examples, Examples]:
    """Fills the prefix cache for the phases to come that leave a part frozen, where the disk has room.

    Args:
        job: the run.
        state: where it is; keeps whether the run has a cache, for one that is resumed.
        train: rows to learn from.
        held_out: rows to watch.
        folder: of the cache.

    Returns:
        The rows with their cache; as they were where no phase gains by it, or it was declined (which is reported).

    Raises:
        KerasftError: the run began with a cache, and there is no more room for it.
        Stopped: someone asked.
    """
    phases = job.recipe.learning.phases
    lines = [frontier(phase, len(job.network.backbone.blocks)) for phase in phases]
    numbers = [number for number, fresh in enumerate(cacheable(lines), 1) if fresh and number >= state.phase]
    boundaries = sorted({lines[number - 1].block for number in numbers})
    if not boundaries or state.cached is False:
        return train, held_out
    if train.draw is not None:
        job.report(f"No prefix cache: what task '{job.task.name}' reads is drawn anew in each epoch.")
        state.cached = False
        return train, held_out
    kept = [path for path in folder.parent.parent.glob("*/cache") if path != folder] if job.chief else []
    wanted = {
        boundary: _wanted(job, [number for number in numbers if lines[number - 1].block == boundary], train)
        for boundary in boundaries
    }
    some = {boundary: rows for boundary, rows in wanted.items() if rows is not None}
    searches = [
        search_cache(job.network, part.encoded, boundaries, [folder, *kept], some if part is train else {})
        for part in (train, held_out)
    ]
    needed = sum(search.needed_bytes for search in searches)
    if reason := decline_reason(folder, needed, job.recipe.machine.cache_gb):
        if state.cached:
            # From tokens the frozen part would be rounded otherwise: not the same run any more.
            raise KerasftError(
                f"{reason.partition(':')[0]}; this run began with it. Make room, or set cache_gb higher."
            )
        job.report(reason)
        state.cached = False
        return train, held_out
    state.cached = True
    began = time.monotonic()
    rows = len(train.encoded) if len(some) < len(boundaries) else len(np.unique(np.concatenate(list(some.values()))))
    with Bar("prefix cache", rows + len(held_out.encoded)) as bar:

        def tick(rows: int) -> None:
            bar.move(rows)
            job.check_stop()

        filled = [
            dataclasses.replace(
                part, cache=fill_cache(job.network, part.encoded, boundaries, folder, tick, kept, search)
            )
            for part, search in zip((train, held_out), searches, strict=True)
        ]
    size = f"{needed / 1e6:.0f} MB at {len(boundaries)} boundaries" if needed else "all there already"
    job.report(f"Prefix cache: {size}, in {time.monotonic() - began:.1f} s")
    return filled[0], filled[1]


def _wanted(job: Job, numbers: list[int], train: Examples) -> np.ndarray | None:
    """The sequences that these phases learn from; None for all."""
    encoded, phases = train.encoded, job.recipe.learning.phases
    count = len(encoded) // encoded.group
    parts = [rows_of(phases[number - 1], count, job.recipe.seed, number) for number in numbers]
    if any(part is None for part in parts):
        return None
    return encoded.sequences(np.unique(np.concatenate(parts)))


def without_cache(part: Examples) -> Examples:
    """The same rows, to be run from their tokens."""
    return dataclasses.replace(part, cache=None)
