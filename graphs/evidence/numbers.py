"""Reads the numbers in a text, in digits or words, and checks whether evidence contains them.

A claim may round ("EUR 12.3 million" for 12,345,678.90) and may drop a sign ("fell by 5.9%" for -5.9), but may not
state a number that no evidence contains. Years, periods, dates and identifiers (CO2, 2024-Q3, E7) are labels.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import zip_longest

from graphs.evidence import number_words
from graphs.evidence.years import APOSTROPHE, CURRENCIES, MONTH, years

_SCALES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "bn": 1_000_000_000, **number_words.SCALES}
_SCALES |= {"lakh": 100_000, "lakhs": 100_000, "crore": 10_000_000, "crores": 10_000_000}
_MYRIADS = {"\u4e07": 10_000, "\u842c": 10_000, "\u5104": 100_000_000, "\u4ebf": 100_000_000}  # in Chinese and Japanese
_GROUP = r"[,\u00a0\u202f]"
_LABEL = re.compile(
    rf"""(?<![\w.,])(?:
        (?:19|20)\d\d[-/\u2013](?:Q[1-4]|H[12]|\d\d(?:-\d\d)?)(?!\w)  # 2024-Q1, 2024-07, 2024-07-31, 2024/25
      | \d{{1,2}}\ {MONTH}\b                                           # 31 December
      | {MONTH}\ \d{{1,2}}(?=,\ (?:19|20)\d\d)                         # December 31, 2024
      | (?:[QH][1-4]|{MONTH}\.?)\ ?{APOSTROPHE}\d\d(?!\w)               # Q4'24, Jan '24
      | [1-4][QH]\ ?(?:FY\ ?)?{APOSTROPHE}?(?:20)?\d\d(?!\w)           # 4Q24
      | FY\ ?{APOSTROPHE}?\d\d(?!\w)
      | (?<=(?:in|of|to|om)\ )week\ \d\d?(?!\w|[.,]\d)
      | (?!(?:{CURRENCIES})\d)[A-Za-z][A-Za-z-]*\d{{1,5}}(?!\d)[\w-]*   # E7, CO2, EV-S01, but EUR5
    )""",
    re.VERBOSE,
)
# 1.234,56; 1 234,56; 1.234.567; 12,5 %. What may be English is English (1.234, 1,234), or two cells of a row (1 234).
_CONTINENTAL = r"\d{1,3}(?:(?:\.\d{3})+,\d+|(?:\ \d{3})+,\d\d?|(?:\.\d{3}){2,}|,\d\d?(?=\s?%))(?![\d,.]*\d)"
_INDIAN = r"\d{1,2}(?:,\d\d)+,\d{3}(?!\d)"  # 1,23,45,678
_NUMBER = re.compile(
    rf"""(?:(?<![\w.])|(?<={CURRENCIES}))
        (?:(?P<continental>{_CONTINENTAL})
          |(?P<digits>{_INDIAN}|\d{{1,3}}(?:{_GROUP}\d{{3}})+(?!\d)|\d+)(?P<fraction>\.\d+)?)
        \s?(?P<suffix>%|per\ ?cent\b|(?:{"|".join(_SCALES)})\b|{"|".join(_MYRIADS)})?""",
    re.VERBOSE | re.IGNORECASE,
)
_WORDS = re.compile(
    rf"(?P<words>{number_words.PATTERN})(?:[\s-](?P<suffix>(?:{'|'.join(number_words.SCALES)}|per ?cent)\b))?",
    re.IGNORECASE,
)
_RANGE = re.compile(rf"\s?(?:[-\u2013\u2014]|to|and|or)\s?(?:(?:{CURRENCIES})\s?|[$\u20ac\u00a3\u00a5])?")
_BETWEEN = "\n|\n"  # parts texts, so that no number begins in one and ends in the next
_ROUNDED_FROM = 100
_NEAR = 40  # characters


@dataclass(frozen=True)
class Quantity:
    """A number as written, without sign, and where. `tolerance` is half a unit of its last digit, before scaling.

    `ranged` is its other reading, with the scale of the number after it: the 3.7 of `3.7 to 4.1 million`."""

    text: str
    mantissa: Decimal
    scale: int
    tolerance: Decimal
    percent: bool
    start: int
    end: int
    ranged: "Quantity | None" = None

    @property
    def value(self) -> Decimal:
        """The number with its scale applied: 12.3 million is 12300000."""
        return self.mantissa * self.scale

    @property
    def values(self) -> frozenset[Decimal]:
        """All that evidence with this number supports."""
        return frozenset({self.mantissa, self.value}) | (self.ranged.values if self.ranged else frozenset())


def quantities(text: str) -> list[Quantity]:
    """Every number in the text that claims something; not labels, nor words that count what is known."""
    labels = list(years(text))
    found = [each for each in _found(text) if not any(start <= each.start() < end for start, end in labels)]
    return _read([each for each in found if each["suffix"] or not _is_idle(each, text)], text)


def numbers_in(texts: Iterable[str]) -> frozenset[Decimal]:
    """All numbers in prose, as written and scaled. Years count: there, they may be values."""
    read = readings(_BETWEEN.join(dict.fromkeys(texts)))
    return frozenset().union(*(each.values for each in read))


def readings(text: str) -> list[Quantity]:
    """Every number in the text, years too."""
    return _read(_found(text), text)


def is_known(quantity: Quantity, numbers: frozenset[Decimal]) -> bool:
    """Whether one of the numbers equals this quantity, within the rounding of its last digit."""
    if any(_matches(quantity, abs(number)) for number in numbers):
        return True
    return quantity.ranged is not None and is_known(quantity.ranged, numbers)


def unknown(text: str, numbers: frozenset[Decimal]) -> list[str]:
    """The quantities in the text, as written, that match none of the numbers."""
    return [each.text for each in quantities(text) if not is_known(each, numbers)]


def _found(text: str) -> list[re.Match[str]]:
    plain = _LABEL.sub(lambda label: "_" * len(label[0]), text)
    return sorted([*_NUMBER.finditer(plain), *_WORDS.finditer(plain)], key=re.Match.start)


def _is_idle(match: re.Match[str], text: str) -> bool:
    """Whether the match is a word that claims nothing in its context."""
    before, after = text[max(0, match.start() - _NEAR) : match.start()], text[match.end() : match.end() + _NEAR]
    return match.re is _WORDS and number_words.is_idle(match["words"], before, after)


def _read(found: list[re.Match[str]], text: str) -> list[Quantity]:
    read = []
    for each, following in zip_longest(found, found[1:]):
        quantity = _quantity(each, each["suffix"])
        if not each["suffix"] and following and _RANGE.fullmatch(text, each.end(), following.start()):
            quantity = replace(quantity, ranged=_quantity(each, following["suffix"]))
        read.append(quantity)
    return read


def _quantity(match: re.Match[str], suffix: str | None) -> Quantity:
    suffix = (suffix or "").casefold()
    scale = (_SCALES | _MYRIADS).get(suffix, 1)
    mantissa = number_words.read(match["words"], scale) if match.re is _WORDS else _in_digits(match)
    exponent = int(mantissa.as_tuple().exponent)
    # A small whole number without a scale counts things ("5 customers"): rounding 4.7 to it would carry anything.
    counts = exponent == 0 and not suffix and mantissa < _ROUNDED_FROM
    tolerance = Decimal(0) if counts else Decimal(5).scaleb(exponent - 1)
    percent = suffix.startswith(("%", "per"))
    return Quantity(match[0].strip(), mantissa, scale, tolerance, percent, *match.span())


def _in_digits(match: re.Match[str]) -> Decimal:
    if continental := match["continental"]:
        return Decimal(re.sub(r"[. ]", "", continental).replace(",", "."))
    return Decimal(re.sub(_GROUP, "", match["digits"]) + (match["fraction"] or ""))


def _matches(quantity: Quantity, number: Decimal) -> bool:
    if abs(quantity.value - number) <= quantity.tolerance * quantity.scale:
        return True
    return quantity.percent and abs(quantity.mantissa - number * 100) <= quantity.tolerance
