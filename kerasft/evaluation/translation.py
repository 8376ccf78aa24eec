"""Figures of translations, by sacrebleu."""

import re
from collections.abc import Sequence

from kerasft.errors import KerasftError

_HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
# Thai, Lao, Tibetan, Burmese, Khmer.
_OTHERS_WITHOUT_BLANKS = re.compile(r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")


def translation_figures(wanted: Sequence[str], generated: Sequence[str]) -> dict:
    """BLEU (Papineni et al. 2002) and chrF (Popović 2015) of a corpus, by sacrebleu (Post 2018).

    BLEU counts words. Where the wanted texts are of a script that has no blanks between them, its words are sacrebleu's
    for that script; with the usual ones a sentence would be one word, and BLEU 0 unless all of it is right.

    Args:
        wanted: N translations, at least one.
        generated: N translations.

    Returns:
        `bleu` and `chrf`, of 100 (not of 1: as they are published); `bleu_signature`, what sacrebleu says that it did
        (`tok:` is the split into words), to be published with the figure; `rows`.

    Raises:
        KerasftError: sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as error:
        raise KerasftError("BLEU and chrF need sacrebleu: pip install 'kerasft[generation]'.") from error
    bleu, chrf = BLEU(tokenize=words_of(wanted)), CHRF()
    references = [list(wanted)]
    return {
        "bleu": bleu.corpus_score(list(generated), references).score,
        "chrf": chrf.corpus_score(list(generated), references).score,
        "bleu_signature": str(bleu.get_signature()),
        "rows": len(generated),
    }


def words_of(texts: Sequence[str]) -> str:
    """sacrebleu's name for what a word is in these texts, by the script that most of their letters are in.

    Returns:
        `zh` for Chinese and Japanese (each sign is a word, words in other letters stay whole), `char` for other scripts
        without blanks, `13a` for all others.
    """
    letters = sum(sign.isalpha() for text in texts for sign in text)
    for name, script in (("zh", _HAN_OR_KANA), ("char", _OTHERS_WITHOUT_BLANKS)):
        if sum(len(script.findall(text)) for text in texts) * 2 > letters:
            return name
    return "13a"
