"""Reads cardinal numbers in words, in English: `twelve`, `two hundred and five`, `half a million`.

Ordinals, fractions (a third, two-thirds) and vague words (dozens, millions of) do not count.
"""

import re
from decimal import Decimal
from itertools import combinations

_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_HUNDREDS = {"hundred": 100, "dozen": 12}
SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "trillion": 1_000_000_000_000}
_VALUES: dict[str, int | Decimal] = {
    **{word: value for value, word in enumerate([*_ONES, *_TEENS], start=1)},
    **{word: value for value, word in zip(range(20, 100, 10), _TENS, strict=True)},
    "half": Decimal("0.5"),
}

_SCALE = rf"(?:{'|'.join(SCALES)})\b"
_HUNDRED = rf"(?:{'|'.join(_HUNDREDS)})\b"
_TENS_AND_ONES = rf"(?:{'|'.join(_TENS)})\b(?:[\s-](?:{'|'.join(_ONES)})\b)?"
_BELOW_100 = rf"(?:{_TENS_AND_ONES}|(?:{'|'.join([*_TEENS, *_ONES])})\b)"
_HUNDREDS_AND_REST = rf"[\s-]{_HUNDRED}(?:\s(?:and\s)?{_BELOW_100}(?!\s{_HUNDRED}))?"
_BELOW_1000 = rf"{_BELOW_100}(?:{_HUNDREDS_AND_REST})?"
_REST = rf"{_BELOW_100}{_HUNDREDS_AND_REST}|{_TENS_AND_ONES}|and\s{_BELOW_1000}(?!\s{_SCALE})"
_LOWER = "|".join(rf"{big},?\s{_BELOW_1000}(?=\s{small}\b)" for small, big in combinations(SCALES, 2))
# All but a scale at the end, which numbers in digits have too: `two`, `half a` or `two million three hundred`.
PATTERN = (
    rf"\b(?=[aefhnost])(?:{_BELOW_1000}(?:\sand\sa\shalf\b|(?:[\s-](?:{_SCALE},?\s(?:{_REST})|{_LOWER}))*)"
    rf"|an?{_HUNDREDS_AND_REST}|(?:half\s)?an?(?=[\s-]{_SCALE}))"
)
_SMALL = re.compile("|".join([*_ONES, *_TEENS[:3]]), re.IGNORECASE)
_KNOWN = re.compile(r"\b(?:the|these|those|all|both|other|first|last|past|next|previous)\s+$", re.IGNORECASE)
_OF_THE_REPORT = re.compile(
    r"\s+(?:\w+\s+)?(?:sources|estimates|figures|numbers|documents|studies|reports|findings|tables|charts)\b",
    re.IGNORECASE,
)
_COMPOUND = re.compile(r"-\w|\s+(?:halves|thirds|quarters|fifths|sixths|sevenths|eighths|ninths|tenths)\b")


def read(words: str, scale: int) -> Decimal:
    """The number before this scale, in units of the scale: 2300 for `two million three hundred` and 1000."""
    total = part = Decimal(0)
    for word in re.findall(r"[a-z]+", words.casefold()):
        if word in SCALES:
            total, part = total + part * SCALES[word], Decimal(0)
        elif word in _HUNDREDS:
            part = (part or Decimal(1)) * _HUNDREDS[word]
        else:
            part += _VALUES.get(word, 0)
    return total / scale + part or Decimal(1)


def is_idle(words: str, before: str, after: str) -> bool:
    """Whether a bare number between these texts claims nothing.

    That is so for `one`, for compounds (three-phase, two-thirds), and for small counts of what is known: named before
    (the two, all three) or the report's own basis (two sources).
    """
    if words.casefold() == "one" or (_COMPOUND.match(after) and read(words, 1) < 100):
        return True
    return bool(_SMALL.fullmatch(words) and (_KNOWN.search(before) or _OF_THE_REPORT.match(after)))
