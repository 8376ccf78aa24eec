"""Random texts and broken bytes on which a tokeniser may stumble, always the same for a seed."""

import random

CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]

# What ends a text for some programs, marks places inside a tokeniser, or spells a special token; and code.
AWKWARD = (
    "",
    "\0",
    "a\0b\0",
    "<|endoftext|>",
    " <|endoftext|>\n<|endoftext|>",
    "<|endoftext|",
    "\u096c",
    "a\u096cb \u096c",
    "\ufffd",
    "\ufeffa",
    "\x1f\x1e\x1d\x1c",
    "\u0120\u010a",
    "\n\ndef f(x):\n\n    if x:\n\t\treturn  x  # no\r\n\r\n\n",
    "for(;;){\n\t\t  a[i]+=b['x'];   }\n",
    "\t\t\t\t",
    "    " * 9 + "x",
    "don't 'tis I'LL we'Ve 's''s",
    "\u2028\u2029\u0085\u00a0\u3000",
    "e\u0301\u200d\U0001f468\u200d\U0001f469",
)


def random_strings(count: int, seed: int) -> list[str]:
    """Strings of 0 to 40 characters: from all of Unicode, from within one script, and from what the split looks at."""
    pick = random.Random(seed)
    # Ideographs, Hangul and what is not assigned are nearly all of Unicode: half of the strings do without.
    rarer = [
        c for c in CHARACTERS if not (0x3400 <= ord(c) < 0xD7A4 or 0x17000 <= ord(c) < 0x19000 or ord(c) > 0x1FFFF)
    ]
    split = list("''''sstmdrevell   \n\t\u3000\u00a0\u0085aB1,.६\0\u200d😀é")
    strings = []
    for number in range(count):
        start = pick.randrange(len(rarer) - 300)
        pool = (CHARACTERS, rarer, rarer[start : start + 300] + split, split)[number % 4]
        strings.append("".join(pick.choices(pool, k=pick.randint(0, 40))))
    return strings


def broken_strings(count: int, seed: int) -> list[bytes]:
    """The same with some bytes changed and the end cut off: most are not UTF-8."""
    pick = random.Random(seed)
    rows = []
    for text in random_strings(count, seed + 1):
        row = bytearray(f"{text} a".encode())
        for _ in range(pick.randint(1, 4)):
            row[pick.randrange(len(row))] = pick.randrange(256)
        rows.append(bytes(row[: pick.randint(0, len(row))]))
    return rows
