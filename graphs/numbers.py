"""Reads the numbers of a text and says whether evidence contains them.

A claim may round ("EUR 12.3 million" for 12,345,678.90) and may drop a sign ("fell by 5.9%" for -5.9), but may
not state a number that no evidence holds. Years, periods and identifiers (CO2, 2024-Q3, E7) are labels.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

_SCALES = {
    "thousand": 1_000,
    "k": 1_000,
    "million": 1_000_000,
    "mn": 1_000_000,
    "m": 1_000_000,
    "billion": 1_000_000_000,
    "bn": 1_000_000_000,
}
_GROUP = r"[,\u00a0\u202f]"
_LABEL = re.compile(
    r"""(?<![\w.,])(?:
        (?:19|20)\d\d-(?:Q[1-4]|H[12]|\d\d(?:-\d\d)?)(?!\w)  # 2024-Q1, 2024-07, 2024-07-31
      | (?!(?:EUR|USD|GBP|NOK|SEK|CHF|DKK)\d)[A-Za-z][A-Za-z-]*\d{1,5}(?!\d)[\w-]*  # E7, CO2, EV-S01, but EUR5
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(
    rf"""(?<![\w.])
        (?P<digits>\d{{1,3}}(?:{_GROUP}\d{{3}})+(?!\d)|\d+)
        (?P<fraction>\.\d+)?
        \s?(?P<suffix>%|per\ ?cent\b|(?:thousand|million|billion|mn|bn|k|m)\b)?""",
    re.VERBOSE | re.IGNORECASE,
)
_CODE = re.compile(r"\b(EUR|USD|GBP|NOK|SEK|CHF|DKK)(?=\d)")
_YEAR = re.compile(r"199\d|20[0-3]\d|2040")
_ROUNDED_FROM = 100


@dataclass(frozen=True)
class Quantity:
    """A number as written, without sign. `tolerance` is half a unit of its last digit, before scaling."""

    text: str
    mantissa: Decimal
    scale: int
    tolerance: Decimal
    percent: bool

    @property
    def value(self) -> Decimal:
        """The number in units of one: 12.3 million is 12300000."""
        return self.mantissa * self.scale

    @property
    def is_year(self) -> bool:
        """A bare 1990 to 2040 names a period, it does not measure anything."""
        return _YEAR.fullmatch(self.text) is not None


def quantities(text: str) -> list[Quantity]:
    """Every number of the text that claims something; years, periods and identifiers are left out."""
    return [each for each in _read(text) if not each.is_year]


def numbers_in(texts: Iterable[str]) -> frozenset[Decimal]:
    """All numbers that prose holds, as written and scaled. Years count: there, they may be values."""
    read = [each for text in texts for each in _read(text)]
    return frozenset({each.mantissa for each in read} | {each.value for each in read})


def is_known(quantity: Quantity, numbers: frozenset[Decimal]) -> bool:
    """Whether one of the numbers is this quantity, up to the rounding that its last digit implies."""
    return any(_matches(quantity, abs(number)) for number in numbers)


def unknown(text: str, numbers: frozenset[Decimal]) -> list[str]:
    """The quantities of the text, as written, that none of the numbers carries."""
    return [each.text for each in quantities(text) if not is_known(each, numbers)]


def _read(text: str) -> list[Quantity]:
    return [_quantity(match) for match in _NUMBER.finditer(_CODE.sub(r"\1 ", _LABEL.sub(" ", text)))]


def _quantity(match: re.Match[str]) -> Quantity:
    mantissa = Decimal(re.sub(_GROUP, "", match["digits"]) + (match["fraction"] or ""))
    suffix = (match["suffix"] or "").lower()
    scale = _SCALES.get(suffix, 1)
    exponent = mantissa.as_tuple().exponent
    # A small whole number without a scale counts things ("5 customers"): rounding 4.7 to it would carry anything.
    counts = exponent == 0 and scale == 1 and not suffix and mantissa < _ROUNDED_FROM
    tolerance = Decimal(0) if counts else Decimal(5).scaleb(int(exponent) - 1)
    percent = suffix.startswith(("%", "per"))
    return Quantity(match[0].strip(), mantissa, scale, tolerance, percent)


def _matches(quantity: Quantity, number: Decimal) -> bool:
    if abs(quantity.value - number) <= quantity.tolerance * quantity.scale:
        return True
    return quantity.percent and abs(quantity.mantissa - number * 100) <= quantity.tolerance
