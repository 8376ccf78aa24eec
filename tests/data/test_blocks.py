"""Blocks of packed documents: each token is foretold exactly once, and nothing crosses from one document to another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft.data.blocks import pack_blocks
from kerasft.data.ragged import Ragged, ragged
from kerasft.errors import KerasftError

END = 0


def columns(found) -> list[list[list[int]]]:
    return [
        Ragged(flat, found.starts).to_lists()
        for flat in (found.ids, found.targets - 1, found.segments, found.positions)
    ]


def test_blocks_by_hand():
    ids, targets, segments, positions = columns(pack_blocks(ragged([[1, 2, 3], [], [4], [5, 6]]), END, 5))
    assert ids == [[END, 1, 2, 3, END], [4, END, 5, 6]]
    assert targets == [[1, 2, 3, END, 4], [END, 5, 6, END]]
    assert segments == [[0, 0, 0, 0, 1], [0, 1, 1, 1]]
    assert positions == [[0, 1, 2, 3, 0], [0, 0, 1, 2]]


def test_the_order_of_the_documents():
    ids, *_ = columns(pack_blocks(ragged([[1], [2], [3]]), END, 6, order=np.array([2, 0, 1])))
    assert ids == [[END, 3, END, 1, END, 2]]


def test_nothing_to_pack_and_blocks_of_nothing():
    for documents in ([], [[]], [[], []]):
        found = pack_blocks(ragged(documents), END, 4)
        assert (len(found), found.starts.tolist(), len(found.segments)) == (0, [0], 0)
    with pytest.raises(KerasftError, match="at least 1; found 0"):
        pack_blocks(ragged([[1]]), END, 0)


DOCUMENTS = st.lists(st.lists(st.integers(1, 1000), max_size=9), max_size=8)


@settings(max_examples=300, deadline=None)
@given(documents=DOCUMENTS, length=st.integers(1, 12))
def test_each_token_once_and_no_crossing(documents, length):
    found = pack_blocks(ragged(documents), END, length)
    written = [document for document in documents if document]
    # Every block is full, but perhaps the last: there is no padding.
    sizes = np.diff(found.starts)
    assert (sizes[:-1] == length).all()
    assert sizes.sum() == sum(len(document) + 1 for document in written)
    assert (sizes > 0).all()

    # Walk through the pairs as a network sees them: within a segment of a block, and nowhere else.
    foretold, read = [], []
    for ids, targets, segments, positions in zip(*columns(found), strict=True):
        assert segments[0] == 0
        for place in range(len(ids)):
            same = place > 0 and segments[place] == segments[place - 1]
            assert positions[place] == (positions[place - 1] + 1 if same else 0)
            assert place == 0 or segments[place] - segments[place - 1] in (0, 1)
            if same:
                assert targets[place - 1] == ids[place] != END
        foretold += targets
        read += ids
    assert foretold == [token for document in written for token in (*document, END)]
    assert read == [token for document in written for token in (END, *document)]

    # Segments change exactly where documents do.
    ends = [place for place, token in enumerate(foretold) if token == END]
    for place in ends[:-1]:
        block = np.searchsorted(found.starts, place, side="right") - 1
        if place + 1 < found.starts[block + 1]:
            assert found.segments[place + 1] == found.segments[place] + 1
