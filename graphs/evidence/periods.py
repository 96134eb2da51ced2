"""Reads the periods that a text or a cell names: years, halves, quarters, months, and ranges of them.

A period is its first and last month, counted from year 0, so that one can lie in another.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from graphs.evidence.years import APOSTROPHE, MONTH, UNTIL, YEAR, years

_ORDINALS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_Y = r"(?P<y>(?:19|20)\d\d)"
_SHORT = r"(?P<y>(?:20)?\d\d)(?![\w/])"
_NTH = rf"\b(?P<n>{'|'.join(_ORDINALS)})"
_WRITTEN = [  # how many months it has, and how it is written
    (months, re.compile(pattern, re.IGNORECASE))
    for months, pattern in [
        (3, rf"(?<![\w.]){_Y}[-/ ]?Q(?P<n>[1-4])(?!\w)"),
        (3, rf"\bQ(?P<n>[1-4])(?:[-/ ]| of )?(?:FY ?)?{_Y}(?!\w)"),
        (3, rf"{_NTH} quarter (?:of |in )?{_Y}(?!\w)"),
        (6, rf"(?<![\w.]){_Y}[-/ ]?H(?P<n>[12])(?!\w)"),
        (6, rf"\bH(?P<n>[12])(?:[-/ ]| of )?{_Y}(?!\w)"),
        (6, rf"{_NTH} half (?:of |in )?{_Y}(?!\w)"),
        (1, rf"(?<![\w.-]){_Y}-(?P<n>0[1-9]|1[0-2])(?:-[0-3]\d(?:[T ]\d\d:[\d:.+Z-]*)?)?(?![\w-])"),
        (1, rf"\b(?P<n>{MONTH})\.?(?: \d\d?,)? {_Y}(?!\w)"),
        (12, rf"\bFY ?{_Y}(?!\w)"),
        (3, rf"\bQ(?P<n>[1-4]) ?(?:{APOSTROPHE}|FY ?){_SHORT}"),  # Q4'24
        (3, rf"(?<![\w.])(?P<n>[1-4])Q ?(?:{APOSTROPHE}|FY ?)?{_SHORT}"),  # 4Q24
        (6, rf"\bH(?P<n>[12]) ?(?:{APOSTROPHE}|FY ?){_SHORT}"),
        (6, rf"(?<![\w.])(?P<n>[12])H ?(?:{APOSTROPHE}|FY ?)?{_SHORT}"),
        (1, rf"\b(?P<n>{MONTH})\.? ?{APOSTROPHE}{_SHORT}"),
        (12, rf"\bFY ?{APOSTROPHE}?{_SHORT}"),
    ]
]
_WITHOUT_YEAR = re.compile(
    rf"\b(?:[QH][1-4]|(?-i:{MONTH})|(?:{'|'.join(_ORDINALS)}) (?:quarter|half))(?![\w'\u2019]|-\d| \d)", re.IGNORECASE
)
_SINGLE = re.compile(rf"{YEAR}(?!s)")
_FISCAL = re.compile(rf"{YEAR}/\d\d(?!\d)")  # it may begin in any month
_LOOSE = re.compile(rf"(?<![\w.,-]){YEAR}(?!\w|[.,]\d|\s?%)")
_JOINED = re.compile(UNTIL)
_OF_THE_SOURCE = re.compile(r"publi|retriev|access|update|creat|source|url|title", re.IGNORECASE)
_DATE = re.compile(r"date|_at$|_on$", re.IGNORECASE)
_TIME = re.compile(r"year|period|fy|label|season", re.IGNORECASE)
_PARTS = {"quarter": 3, "half": 6, "month": 1}  # columns that refine the year in another column


class Period(NamedTuple):
    """From one month to another, both included."""

    first: int
    last: int

    def within(self, other: "Period") -> bool:
        """Whether it lies in the other one."""
        return other.first <= self.first and self.last <= other.last

    def meets(self, other: "Period") -> bool:
        """Whether they have a month in common."""
        return self.first <= other.last and other.first <= self.last

    @property
    def months(self) -> int:
        """How long it is."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        year, month = divmod(self.first, 12)
        if self.months in {3, 6} and month % self.months == 0:
            return f"{year}-{'Q' if self.months == 3 else 'H'}{month // self.months + 1}"
        if self.months % 12 == 0 and month == 0:
            return str(year) if self.months == 12 else f"{year} to {self.last // 12}"
        first, last = f"{year}-{month + 1:02}", f"{self.last // 12}-{self.last % 12 + 1:02}"
        return first if self.months == 1 else f"{first} to {last}"


def periods(text: str, *, loose: bool = False) -> list[Period]:
    """The periods that the text names, in order; a range counts as one.

    Where a number is a year only by its context (graphs/evidence/years.py), `loose` takes every one that may be.
    """
    return [each for _, _, each in placed(text, loose=loose)]


def placed(text: str, *, loose: bool = False) -> list[tuple[int, int, Period]]:
    """The same with the start and the end of each in the text."""
    found = [
        (*match.span(), _part(match["y"], match.groupdict().get("n"), months))
        for months, pattern in _WRITTEN
        for match in pattern.finditer(text)
    ]
    free = list(text)
    for start, end in [*(each[:2] for each in found), *(each.span() for each in _FISCAL.finditer(text))]:
        free[start:end] = " " * (end - start)
    chains = [each.span() for each in _LOOSE.finditer(text)] if loose else years(text)
    for start, end in chains:
        found += [
            (start + match.start(), start + match.end(), _part(match[0], None, 12))
            for match in _SINGLE.finditer("".join(free[start:end]))
        ]
    return _ranges(text, sorted(found))


def without_year(text: str, beside: Iterable[Period]) -> list[Period]:
    """The parts of a year that the text names alone (`after 355 in March`), in the years of the periods beside them and
    in those before and after: which of them is meant depends on the rest."""
    parts = [each[0] for each in _WITHOUT_YEAR.finditer(text)]
    near = sorted({each.first // 12 + more for each in beside for more in (-1, 0, 1)})
    return [found for part in parts for year in near for found in periods(f"{part} {year}")]


def hull(found: Iterable[Period]) -> Period:
    """The shortest period with all of these in it."""
    all_of_them = list(found)
    return Period(min(each.first for each in all_of_them), max(each.last for each in all_of_them))


def of_row(columns: list[str], row: list[Any]) -> list[Period]:
    """The periods that the labels of a table's row name; dates of publication and the like do not count."""
    named: dict[bool, list[Period]] = {True: [], False: []}
    for name, cell in zip(columns, row, strict=True):
        if (cell_periods := _of_cell(name, cell)) and not _OF_THE_SOURCE.search(name):
            named[bool(_DATE.search(name))] += cell_periods
    found = named[False] or named[True]
    for name, cell in zip(columns, row, strict=True):
        months = next((length for part, length in _PARTS.items() if part in name.lower()), None)
        if months and len(found) == 1 and found[0].months == 12 and (nth := _nth(cell, 12 // months)):
            found = [_part(str(found[0].first // 12), str(nth), months)]
    return found


def _of_cell(name: str, cell: Any) -> list[Period]:
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        is_year = _TIME.search(name) and 1900 <= cell <= 2100 and cell == int(cell)
        return [_part(str(int(cell)), None, 12)] if is_year else []
    text = str(cell or "").strip()
    if _SINGLE.fullmatch(text):
        return [_part(text, None, 12)]
    return periods(text) if len(text) <= 60 else []


def _nth(cell: Any, most: int) -> int | None:
    text = str(cell).strip().casefold()
    digits = re.fullmatch(r"q?h?(\d{1,2})(?:\.0)?", text)
    nth = int(digits[1]) if digits else _MONTHS.index(text[:3]) + 1 if text[:3] in _MONTHS else 0
    return nth if 1 <= nth <= most else None


def _part(year: str, nth: str | None, months: int) -> Period:
    at = 0
    if nth is not None:
        at = _ORDINALS.get(nth.casefold()) or (int(nth) if nth.isdigit() else _MONTHS.index(nth[:3].casefold()) + 1)
        at = (at - 1) * months
    first = (int(year) if len(year) > 2 else 2000 + int(year)) * 12 + at
    return Period(first, first + months - 1)


def _ranges(text: str, found: list[tuple[int, int, Period]]) -> list[tuple[int, int, Period]]:
    """The periods, with two that are joined by `to` or a dash made one."""
    told: list[tuple[int, int, Period]] = []
    for start, end, each in found:
        if told and told[-1][2].last < each.first and _JOINED.fullmatch(text[told[-1][1] : start]):
            told[-1] = (told[-1][0], end, hull([told[-1][2], each]))
        else:
            told.append((start, end, each))
    return told
