"""Figures of translations, by sacrebleu."""

from collections.abc import Sequence

from kerasft.errors import KerasftError


def translation_figures(wanted: Sequence[str], generated: Sequence[str], language: str | None = None) -> dict:
    """BLEU (Papineni et al. 2002) and chrF (Popović 2015) of a corpus, by sacrebleu (Post 2018) with its defaults.

    Args:
        wanted: N translations, at least one.
        generated: N translations.
        language: of the translations, `zh`, `ja` or `ko` where words have no blanks between them; None for sacrebleu's
            usual split into words.

    Returns:
        `bleu` and `chrf`, of 100 (not of 1: as they are published); `bleu_signature`, what sacrebleu says that it did,
        to be published with the figure; `rows`.

    Raises:
        KerasftError: sacrebleu, or what it needs for the language, is not installed.
    """
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as error:
        raise KerasftError("BLEU and chrF need sacrebleu: pip install 'kerasft[generation]'.") from error
    try:
        bleu, chrf = BLEU(trg_lang=language or ""), CHRF()
    except (ImportError, RuntimeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise KerasftError(f"sacrebleu cannot split '{language}' into words: {reason[0]}") from error
    references = [list(wanted)]
    return {
        "bleu": bleu.corpus_score(list(generated), references).score,
        "chrf": chrf.corpus_score(list(generated), references).score,
        "bleu_signature": str(bleu.get_signature()),
        "rows": len(generated),
    }
