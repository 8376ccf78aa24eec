"""BERT's tokeniser as the `tokenizers` library builds it: what ours must equal."""

import unicodedata

import numpy as np
import pytest

from kerasft.text.bert_characters import code_points

tokenizers = pytest.importorskip("tokenizers", reason="the reference, `tokenizers`, is not installed")

# Code points that Unicode 12.0 to 15.1 gave a character, within the wider ranges that Unicode 11.0 had left free.
_NEW_SINCE_UNICODE_12 = code_points(
    "61d 86b-89f 8b5 8be-8d2 b4e-b55 c3a-c3c c5b-c5f c70-c77 cd7-cdd cf3-cff d04 d80-d81 e85-e86 e89 e8b-e8c "
    "e8e-e93 e98 ea0 ea8-ea9 eac eba ece-ecf 170d 1715-171f 180f 1abf-1aff 1b4c-1b4f 1b7d-1b7f 1cfa-1cff 1dfa "
    "20c0-20cf 2b96-2b97 2bc9 2bff 2c2f 2c5f 2e4f-2e7f 2ffc-2fff 31bb-31bf 31e4-31ef 32ff 4db6-4dbf 9ff0-9fff "
    "a7ba-a7f6 a82c-a82f ab66-ab6f fbc2-fbd2 fd40-fd4f fdc8-fdef fdfe-fdff 1019c-1019f 10570-105ff 10768-107ff "
    "10e7f-10eff 10f5a-10fff 11070-1107e 110c2-110cc 11147-1114f 111ce-111cf 1123f-1127f 1145a 1145f-1147f "
    "116b8-116bf 11740-117ff 11900-119ff 11a84-11a85 11aa3-11abf 11af9-11bff 11ef9-11fff 12544-12fff 1342f-143ff "
    "16a70-16acf 16f45-16f4f 16f7f-16f8e 16fe2-16fff 187f2-187ff 18af3-1afff 1b11f-1b16f 1bca4-1cfff 1d1e9-1d1ff "
    "1d246-1d2df 1dab0-1dfff 1e02b-1e7ff 1e94b-1e94f 1ecb5-1edff 1f10d-1f10f 1f16c-1f16f 1f1ad-1f1e5 1f6d5-1f6df "
    "1f6fa-1f6ff 1f774-1f77f 1f7d9-1f7ff 1f8ae-1f8ff 1f90c-1f90f 1f93f 1f971-1f972 1f977-1f979 1f97b 1f9a3-1f9af "
    "1f9ba-1f9bf 1f9c3-1f9cf 1fa00-1fa5f 1fa6e-1ffff 2a6d7-2a6ff 2b735-2b73f 2ebe1-2f7ff 2fa1e-e0000 "
)


def characters_before_unicode_12() -> list[str]:
    """Every character with a meaning before Unicode 12 (private use and surrogates have none)."""
    return [
        character
        for character in map(chr, range(0x110000))
        if unicodedata.category(character) not in ("Cn", "Co", "Cs") and ord(character) not in _NEW_SINCE_UNICODE_12
    ]


def reference_normalizer(lowercase: bool, strip_accents: bool | None = None, split_cjk: bool = True):
    return tokenizers.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=split_cjk, strip_accents=strip_accents, lowercase=lowercase
    )


def reference_tokenizer(vocabulary, lowercase: bool, strip_accents: bool | None = None, split_cjk: bool = True):
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    model = tokenizers.models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = reference_normalizer(lowercase, strip_accents, split_cjk)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return tokenizer


def difference(tokens, encodings) -> tuple[list[int], list[int]]:
    """Compares a batch.

    Args:
        tokens: `Tokens` of the batch.
        encodings: the reference's, one a text.

    Returns:
        The rows whose ids differ, and those whose ids agree but whose character offsets differ.
    """
    splits = tokens.ids.row_splits.numpy()
    ids, starts, ends = (x.values.numpy() for x in (tokens.ids, tokens.char_starts, tokens.char_ends))
    offsets = np.stack([starts, ends], axis=1)
    other_ids, other_offsets = [], []
    for row, encoding in enumerate(encodings):
        span = slice(splits[row], splits[row + 1])
        if not np.array_equal(ids[span], np.array(encoding.ids, np.int32)):
            other_ids.append(row)
        elif not np.array_equal(offsets[span], np.array(encoding.offsets, np.int32).reshape(-1, 2)):
            other_offsets.append(row)
    return other_ids, other_offsets
