"""The held-out rows, chosen by what each row says."""

import hashlib
from collections.abc import Sequence

import numpy as np

from kerasft.data.rows import Rows
from kerasft.errors import KerasftError


def split_rows(
    rows: Rows, text_columns: Sequence[str], share: float, seed: int, linked: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows into training and held-out ones by a hash of their texts.

    Each distinct text draws one number in [0, 1) from BLAKE2b, keyed by the seed, and is held out when the number is
    below `share`. So a row keeps its side whatever else is in the file and in whatever order; rows of the same text
    fall on the same side, whatever their labels; and a larger share with the same seed only adds held-out rows.

    The draw does not look at the labels, hence the split is stratified in expectation: of a class with n distinct
    texts, n × share are held out on average, with a standard deviation of sqrt(n × share × (1 - share)). For 1,000
    texts and a tenth that is 100 ± 9; of a class with 10 texts, none is held out in a third of all seeds. An exactly
    stratified split would have to move rows to the other side when a row is added, which would let texts that a model
    was trained on leak into the measure of the next one. `kerasft.data.audit.check_classes` says when a class is
    absent from the held-out rows; an evaluation file of one's own is the mend for small classes.

    Args:
        rows: all rows.
        text_columns: the columns that make up a row's text; labels are left out so that duplicates stay together.
        share: of the rows that are held out, between 0 and 1.
        seed: any integer; another seed gives another split.
        linked: two columns or more: rows that have a text in common, in whichever of these, are a family, and so are
            the rows of families that share one; a family stays together. It draws by its least text in place of a
            row's own, so a new row that joins two families may change sides for one of them.

    Returns:
        Training and held-out indices into `rows`, each int64, ascending.

    Raises:
        KerasftError: the share is not between 0 and 1, or one side would be empty.
    """
    if not 0 < share < 1:
        raise KerasftError(f"Expected a held-out share between 0 and 1, found {share:g}.")
    # Hash and share meet as integers: no rounding can move a row.
    limit = round(share * 2**64)
    key = hashlib.sha256(str(seed).encode()).digest()
    columns = [rows.column(column) for column in text_columns]
    if len(linked) > 1:
        columns = [_families([rows.column(column) for column in linked])]
    held_out = np.fromiter((_draw(texts, key) < limit for texts in zip(*columns, strict=True)), bool, len(rows))
    if held_out.all() or not held_out.any():
        side = "training" if held_out.all() else "held-out"
        raise KerasftError(
            f"A share of {share:g} of {len(rows):,} rows leaves no {side} row: pass more rows, "
            "another share or seed, or evaluation data of their own (--eval-data)."
        )
    return np.flatnonzero(~held_out).astype(np.int64), np.flatnonzero(held_out).astype(np.int64)


def _families(columns: Sequence[Sequence[str]]) -> list[str]:
    """For each row the least text of its family."""
    above: dict[str, str] = {}

    def least(text: str) -> str:
        while above.setdefault(text, text) != text:
            above[text] = above[above[text]]
            text = above[text]
        return text

    for texts in zip(*columns, strict=True):
        found = sorted({least(text) for text in texts})
        for other in found[1:]:
            above[other] = found[0]
    return [least(text) for text in columns[0]]


def _draw(texts: Sequence[str], key: bytes) -> int:
    """A number in [0, 2**64) from the texts; their lengths are hashed too, so that ("a", "bc") is not ("ab", "c")."""
    digest = hashlib.blake2b(key=key, digest_size=8)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "little")
