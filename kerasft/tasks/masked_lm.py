"""Masked language modelling (Devlin et al. 2019): texts alone adapt a backbone to a domain; served, it fills gaps."""

from collections.abc import Callable, Mapping

import numpy as np

from kerasft.data.audit import SMALL, audit_sets
from kerasft.data.lines import NATIVE
from kerasft.data.masking import Targets, hide
from kerasft.data.pipeline import Encoded
from kerasft.data.rows import Rows
from kerasft.errors import KerasftError
from kerasft.evaluation.masked import masked_figures
from kerasft.heads import vocabulary_head
from kerasft.tasks.foretelling import count, judge, loss
from kerasft.tasks.task import Asks, Drawing, Draws, Scheme, Task, Windowing, refuse_settings

MASK = "[MASK]"
WORDS = 5
"""Answers for each gap."""
# No recipe has this seed: held-out rows are measured on the same tokens in every run.
_MEASURING = 2**32
_OVERLAP = 0


def learn(sets: Mapping[str, Rows], recipe, task: Task) -> tuple[Scheme, list[str]]:
    """Nothing is fixed about the answers but the vocabulary, which is the backbone's."""
    refuse_settings(recipe, task, ("labels", "pooling", "dropout", "label_smoothing"))
    warnings = audit_sets(sets, task.text_columns, None)
    texts = sets["train"].column("text")
    gaps = sum(MASK in text for text in texts)
    if gaps:
        warnings.append(f"{gaps:,} training rows have '{MASK}' in them: it is text there, and a gap in requests alone.")
    if len(texts) < SMALL:
        warnings.append(f"Only {len(texts)} training rows: under {SMALL:,}, few words of a domain occur often enough.")
    return Scheme(), warnings


def fits(text) -> None:
    """Raises `KerasftError` for a backbone without a mask token."""
    if text.filling().mask is None:
        raise KerasftError(
            f"Task 'masked-lm' needs a mask token: the backbone's vocabulary has {len(text.vocabulary):,} pieces but "
            f"no {MASK}. Pass another --backbone."
        )


def draw(rows: Rows, text, scheme: Scheme, drawing: Drawing) -> Callable[[int], tuple[Encoded, Targets]]:
    """See `kerasft.data.masking.hide`."""
    # That module knows what a task is, and so imports this one.
    from kerasft.data.encode import encode

    texts = [rows.table.column("text")]
    encoded = encode(text, texts, drawing.max_length, drawing.folder, overlap=_OVERLAP)
    seed = _MEASURING if drawing.seed is None else drawing.seed
    return hide(encoded, text.filling(), len(text.vocabulary), seed)


def read(text, texts, max_length: int):
    """See `kerasft.text.gaps.read_gaps`."""
    from kerasft.text.gaps import read_gaps

    return read_gaps(text, texts, max_length)


def condense(logits, text):
    """See `kerasft.text.gaps.best_pieces`: of 30,000 logits for each gap, those that an answer can need."""
    from kerasft.text.gaps import best_pieces

    return best_pieces(logits, text.filling(), WORDS)


def respond(found, scheme: Scheme, gaps):
    """The words that fill each gap best.

    A gap behind a letter is filled with the rest of a word (`walk[MASK]` with `ing`), every other with a word that is
    one piece of the vocabulary. For GPT-2, whose pieces have the blank before a word, the blank decides.

    Args:
        found: float32[B, P, …], of `condense`.
        scheme: not used.
        gaps: the batch.

    Returns:
        `words` string[B, M, 5] and `scores` float32[B, M, 5] for the M gaps of the row that has most, best first: the
        probability of each among the pieces that may stand there; short rows are filled with "" and 0. `count`
        int32[B], the gaps that are answered. `filled` string[B], the text with the best word in each of these.
    """
    from kerasft.text.gaps import fill

    words, scores, filled = fill(found, gaps, WORDS)
    return {"words": words, "scores": scores, "count": gaps.count, "filled": filled}


def pose(text: bytes, number: int) -> bytes:
    """A text with gaps: a word of it hidden; in some also the end of a word, or a gap that may be behind the cut."""
    words = text.split(b" ")
    gap = MASK.encode()
    words[number % len(words)] = gap
    if number % 3 == 1:
        words[0] += gap
    if number % 3 == 2:
        words.append(gap)
    return b" ".join(words)


def measure(rows: Rows, answers: Mapping[str, np.ndarray], scheme: Scheme) -> dict:
    """See `kerasft.evaluation.masked.masked_figures`; of `judged`, as `judge` gives it."""
    return masked_figures(answers["judged"], len(rows))


def describe(rows: Rows) -> str:
    """`4,920 words`."""
    return f"{sum(len(text.split()) for text in rows.column('text')):,} words"


TASK = Task(
    name="masked-lm",
    summary="texts alone -> a backbone adapted to them; and the words that fill the gaps of a text",
    text_columns=("text",),
    label_column=None,
    learn=learn,
    targets=None,
    outputs=lambda scheme: 0,
    head=vocabulary_head,
    loss=loss,
    respond=respond,
    measure=measure,
    headline="accuracy",
    describe=describe,
    example={"text": "Rest on the lead for five days."},
    answer={
        "words": [["lead", "sofa", "leg", "farm", "bed"]],
        "scores": [[0.41, 0.11, 0.06, 0.04, 0.03]],
        "count": 1,
        "filled": "Rest on the lead for five days.",
        "truncated": False,
    },
    native=NATIVE,
    # Windows side by side: a long line is read to its end, and no token twice.
    windows=Windowing(overlap=_OVERLAP),
    count=count,
    defaults={"plan": "adapt"},
    starter="masked-lm.txt",
    draws=Draws(draw=draw, judge=judge),
    asks=Asks(read=read, condense=condense, pose=pose, request={"text": f"Rest on the {MASK} for five days."}),
    fits=fits,
    tied=True,
    adapts=True,
)
