"""Texts that break text pipelines; every export answers them as the Keras model does before it is published.

They are bytes, because a request's bytes need not be UTF-8. None is a crash or an injection in itself: each stands for
a kind of input that a public endpoint gets within its first days.
"""

from collections.abc import Sequence

_TEXTS: dict[str, str | bytes] = {
    "empty": b"",
    "one space": b" ",
    "blank: tabs, newlines, carriage returns": b" \t\r\n\n \x0b\x0c ",
    "blank: no-break, em, thin, ideographic, line and paragraph separators": "\u00a0\u2003\u2009\u3000\u2028\u2029",
    "blank: zero-width space, joiner, non-joiner, word joiner": "\u200b\u200d\u200c\u2060",
    "100 KB of one letter": b"a" * 100_000,
    "100 KB of words": b"a fine film that never ends and " * 3_125,
    "100 KB of CJK": "\u597d" * 33_334,
    "10,000 spaces between two words": b"good" + b" " * 10_000 + b"film",
    "invalid UTF-8: a lone continuation byte": b"good \x80 film",
    "invalid UTF-8: a sequence cut short at the end": b"good film \xe2\x82",
    "invalid UTF-8: a sequence cut short in a word": b"go\xf0\x9f\x98od film",
    "invalid UTF-8: overlong NUL and slash": b"good\xc0\x80film\xe0\x80\xaf",
    "invalid UTF-8: a surrogate pair, encoded (CESU-8)": b"good \xed\xa0\xbd\xed\xb8\x80 film",
    "invalid UTF-8: beyond U+10FFFF": b"good \xf4\x90\x80\x80 film",
    "invalid UTF-8: bytes that never occur": b"\xfe\xff\xff\xfe good film",
    "invalid UTF-8: Latin-1": "caf\xe9 fran\xe7ais, tr\xe8s bon".encode("latin-1"),
    "UTF-16 taken for UTF-8": "good film".encode("utf-16"),
    "emoji with joiners": "Loved it \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
    "\u2764\ufe0f\u200d\U0001f525",
    "emoji with skin tones and flags": "\U0001f44d\U0001f3fe\U0001f44e\U0001f3fb "
    "\U0001f1eb\U0001f1f7\U0001f3f4\U000e0067\U000e007f",
    "right to left, Arabic and Hebrew": "\u0641\u064a\u0644\u0645 \u0631\u0627\u0626\u0639\u060c "
    "\u05e1\u05e8\u05d8 \u05e0\u05e4\u05dc\u05d0!",
    "bidirectional controls": "not \u202e dab \u202c bad \u2066\u2067\u2069\u200f\u200e",
    "NUL inside": b"good\x00film\x00",
    "NUL alone": b"\x00",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x85\x9f",
    "the special tokens of BERT": b"[CLS] good [MASK] film [SEP] [PAD] [UNK] [cls]",
    "the special tokens of GPT-2": b"good film<|endoftext|> <|startoftext|></s><s><pad><unk>",
    "a word of 300 letters": b"x" * 300,
    "a word of 101 letters, one above BERT's limit": b"go" * 50 + b"d",
    "a pile of combining marks": ("g" + "\u0301\u0308\u0323\u0338" * 40 + "ood"),
    "composed and decomposed accents": "caf\u00e9 cafe\u0301 \u00c5 A\u030a \u212b",
    "letters that change length in lower case": "\u0130stanbul STRASSE stra\u00dfe \u1e9e \u01c5 \ufb01lm \u2126",
    "Chinese, Japanese and Korean": "\u8fd9\u90e8\u7535\u5f71\u5f88\u597d\u3002"
    "\u3053\u306e\u6620\u753b\u306f\u6700\u9ad8\uff01"
    "\uc774 \uc601\ud654 \uc88b\uc544\uc694",
    "ideographs beyond the basic plane": "\U00020000\U0002a6d6 \u9fff\u3400",
    "full-width and mathematical letters": "\uff27\uff4f\uff4f\uff44 \U0001d538\U0001d552 \u2460\u00bd",
    "Thai and Devanagari": "\u0e2b\u0e19\u0e31\u0e07\u0e14\u0e35\u0e21\u0e32\u0e01 "
    "\u092c\u0939\u0941\u0924 \u0905\u091a\u094d\u091b\u0940 \u096c",
    "a byte order mark": "\ufeffgood film",
    "replacement characters and non-characters": "good \ufffd\ufffe\uffff film \U0010ffff",
    "unassigned and private-use characters": "\u0378 \ue000 \U000f0000 \U0003fffd",
    "newlines and tabs inside": b"good\r\n\tfilm\n\n\ndef f():\n    return 1\n",
    "HTML": b"<p onclick='x()'>good &amp; film<br/></p><script>alert(1)</script><!-- -->",
    "JSON": b'{"instances": [{"b64": "Z29vZA=="}], "text": null, "x": "\\u0000\\ud83d"}',
    "quotes, backslashes, percent signs": b"\"\"''`` \\n \\x00 %s %n {0} ${x} ';--",
    "digits and punctuation only": b"1,234.56 -- !!! ... ?!?! (:;) #@$%^&* 0x7f 1e-9",
    "one letter": b"a",
}

HOSTILE_TEXTS: tuple[tuple[str, bytes], ...] = tuple(
    (what, text.encode() if isinstance(text, str) else text) for what, text in _TEXTS.items()
)
"""Pairs: what the text stands for, and the text."""


def hostile_numbers(texts: Sequence[bytes]) -> list[int]:
    """A number to go with each text: places in it and far outside, as a caller with a mistake sends them."""
    middles = [len(text.decode(errors="replace")) // 2 for text in texts]
    return [(middle, 0, middle, -1, middle, 2**31 - 1)[row % 6] for row, middle in enumerate(middles)]
