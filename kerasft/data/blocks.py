"""Documents packed into blocks without padding, for learning from plain text; no block lets one see another.

Each document is read from a start token on, and ends with an end token (GPT-2 has one token for both). What a network
learns of it are pairs: a token, and the one that comes next. The pairs of all documents in a row are cut into blocks of
one length; a document that is cut goes on in the next block with the very next pair. So each token, and each end, is
foretold exactly once; what a cut costs is that the network sees less of what was before.
"""

from dataclasses import dataclass

import numpy as np

from kerasft.data.ragged import Ragged, row_of_each, starts_of
from kerasft.errors import KerasftError


@dataclass(frozen=True)
class Blocks:
    """K blocks of L pairs, but the last, which has what is left: n in all, end to end.

    Attributes:
        ids: int32[n], the tokens to read.
        targets: int32[n], 1 + the token that comes next; always one, as 0 would say that nothing is to be learnt.
        segments: int32[n], from 0 in each block: places with different ones do not see each other.
        positions: int32[n], from 0 in each segment.
        starts: int64[K + 1], where each block begins.
    """

    ids: np.ndarray
    targets: np.ndarray
    segments: np.ndarray
    positions: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


def pack_blocks(documents: Ragged, end: int, length: int, order: np.ndarray | None = None) -> Blocks:
    """Packs documents.

    Args:
        documents: int32, tokens without special ones. Those without any are left out.
        end: id of the token that begins and ends a document.
        length: L, pairs of a block.
        order: int[N], the documents in the order in which they are packed; as they are when absent.

    Returns:
        The blocks.

    Raises:
        KerasftError: `length` is below 1.
    """
    if length < 1:
        raise KerasftError(f"max_length must be at least 1; found {length}. Raise max_length.")
    if order is not None:
        documents = documents.take(order)
    documents = documents.take(np.flatnonzero(documents.lengths))
    starts = documents.starts + np.arange(len(documents) + 1)  # of the pairs: one more a document than tokens
    count = int(starts[-1])
    document = row_of_each(starts)
    is_first = np.zeros(count, bool)
    is_first[starts[:-1]] = True
    is_last = np.zeros(count, bool)
    is_last[starts[1:] - 1] = True
    ids, targets = (np.full(count, end, np.int32) for _ in range(2))
    ids[~is_first] = documents.flat
    targets[~is_last] = documents.flat

    place = np.arange(count)
    block = place // length
    opens = is_first | (place % length == 0)
    segment_start = np.maximum.accumulate(np.where(opens, place, 0))
    sizes = np.bincount(block) if count else np.zeros(0, np.int64)
    first_document = document[::length][block] if count else document
    return Blocks(
        ids=ids,
        targets=targets + 1,
        segments=(document - first_document).astype(np.int32),
        positions=(place - segment_start).astype(np.int32),
        starts=starts_of(sizes),
    )
