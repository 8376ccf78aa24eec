"""Which rows go into which batch: pure functions of the lengths, so that an epoch can be planned, repeated, resumed."""

import numpy as np

_WINDOW_BATCHES = 50


def shuffled_batches(
    lengths: np.ndarray, batch_size: int | None, seed: int, epoch: int, batch_tokens: int | None = None
) -> list[np.ndarray]:
    """The batches of one epoch: rows of like length together, in an order that is random all the same.

    Rows are shuffled, cut into windows of 50 batches, sorted by length within a window, cut into batches, and the
    batches shuffled. A pure function of its arguments.

    Args:
        lengths: int[N].
        batch_size: rows a batch; the last of a window may have fewer. None: as many as `batch_tokens` allows.
        seed: of the run.
        epoch: counted over the whole run.
        batch_tokens: when given, rows times the longest of them is at most this in each batch, padding included; a row
            that is longer has a batch to itself. The number of batches then differs from epoch to epoch.

    Returns:
        Row numbers, int64, a batch each.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    window = _usual_rows(lengths, batch_size, batch_tokens) * _WINDOW_BATCHES
    batches = []
    for start in range(0, len(order), window):
        rows = order[start : start + window]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += _cut(rows, lengths[rows], batch_size, batch_tokens)
    return [batches[number] for number in random.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, batch_size: int | None, batch_tokens: int | None = None) -> list[np.ndarray]:
    """Every row once, longest first (so that a batch too large for the memory fails at once), for evaluation.

    Args:
        lengths: int[N].
        batch_size: rows a batch, or None.
        batch_tokens: as in `shuffled_batches`.
    """
    order = np.argsort(-lengths, kind="stable")
    if not batch_tokens:
        return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches, start = [], 0
    while start < len(order):
        rows = max(batch_tokens // max(int(lengths[order[start]]), 1), 1)
        end = start + min(rows, batch_size or rows)
        batches.append(order[start:end])
        start = end
    return batches


def _usual_rows(lengths: np.ndarray, batch_size: int | None, batch_tokens: int | None) -> int:
    """Rows of a batch as they come on the average: what a window is counted in."""
    if not batch_tokens:
        return batch_size
    rows = max(int(batch_tokens / max(float(np.mean(lengths)) if len(lengths) else 1.0, 1.0)), 1)
    return min(rows, batch_size or rows)


def _cut(rows: np.ndarray, lengths: np.ndarray, batch_size: int | None, batch_tokens: int | None) -> list[np.ndarray]:
    """Cuts rows, shortest first, into batches."""
    if not batch_tokens:
        return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    batches, start = [], 0
    while start < len(rows):
        # No more than this many can fit, for the rows that follow are no shorter.
        most = max(batch_tokens // max(int(lengths[start]), 1), 1)
        ahead = lengths[start : start + min(most, batch_size or most)]
        # The area of the batch grows with each row: find where it passes the budget.
        fit = int(np.searchsorted(ahead * np.arange(1, len(ahead) + 1), batch_tokens, side="right"))
        end = start + max(fit, 1)
        batches.append(rows[start:end])
        start = end
    return batches
