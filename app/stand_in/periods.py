"""Periods of time that a text names: years, quarters, months, days, ranges of them, and what is since or before one."""

import calendar
import re
from datetime import date, timedelta
from typing import NamedTuple

_MONTHS = [*map(str.lower, calendar.month_name)]
_ORDINALS = ("first", "second", "third", "fourth")
_YEAR, _MONTH = r"(?:19|20|21)\d\d", r"(?:0[1-9]|1[0-2])"
_NAMES = "|".join([*_MONTHS[1:], *(rf"{each[:3]}\.?" for each in _MONTHS[1:])])
_POINT = (
    rf"(?<![\w-])(?:{_YEAR}-{_MONTH}-\d\d|{_YEAR}-{_MONTH}|{_YEAR}[ -]?Q[1-4]|Q[1-4],?(?: of| in)? {_YEAR}|"
    rf"(?:{'|'.join(_ORDINALS)}) quarter(?: of| in)? {_YEAR}|(?:{_NAMES}),?(?: of)? {_YEAR}|{_YEAR})(?!\w|[/.,-]\d)"
)
_RANGE = re.compile(
    rf"(?:\bbetween ({_POINT}) and|(?:\bfrom )?({_POINT})(?: to| through| ?[-\u2013])) ?({_POINT})", re.IGNORECASE
)
_BOUND = re.compile(rf"\b(since|after|before) ({_POINT})", re.IGNORECASE)
_LIST = re.compile(
    rf"(?:\b(?:in|during|for|of|on)(?: the)? )?(?:\b(?:year|quarter|month)s? )?"
    rf"({_POINT}(?:(?:, and|,| and| or| vs\.?| versus)(?: in)? {_POINT})*)",
    re.IGNORECASE,
)


class Period(NamedTuple):
    """From the day `start` to before the day `end`, both in ISO format; "" where it is open."""

    label: str
    start: str
    end: str


def starts_with_one(text: str) -> bool:
    """Whether a period stands at the start of the text."""
    return bool(re.match(_POINT, text, re.IGNORECASE))


def taken(text: str) -> tuple[str, list[Period]]:
    """The text without its periods, and these. A mixture ("March 2023 and 2024") says too little: it stays."""
    try:
        ranges = [_between(_period(match[1] or match[2]), _period(match[3])) for match in _RANGE.finditer(text)]
        rest = _RANGE.sub(" ", text)
        bounds = [_bounded(match[1].lower(), _period(match[2])) for match in _BOUND.finditer(rest)]
        rest = _BOUND.sub(" ", rest)
        listed = re.findall(_POINT, " ".join(_LIST.findall(rest)), re.IGNORECASE)
        points = list(dict.fromkeys(map(_period, listed)))
    except ValueError:  # 30 February
        return text, []
    kinds = {(len(each.label), "Q" in each.label) for each in points}
    is_clear = len(ranges) + len(bounds) + bool(points) <= 1 >= len(kinds)
    return (_LIST.sub(" ", rest), [*ranges, *bounds, *points]) if is_clear else (text, [])


def _period(said: str) -> Period:
    """The period of one point."""
    low = said.lower()
    year = int(re.findall(_YEAR, low)[0])
    if re.fullmatch(r"\d{4}-\d\d-\d\d", low):
        return Period(low, low, (date.fromisoformat(low) + timedelta(1)).isoformat())
    quarters = [at for at, each in enumerate(_ORDINALS, 1) if each in low or f"q{at}" in low]
    if quarters:
        return _months(f"{year}-Q{quarters[0]}", year, 3 * quarters[0] - 2, 3)
    month = next((at for at, each in enumerate(_MONTHS) if each and low.startswith(each[:3])), 0)
    month = month or int(re.sub(rf"^{_YEAR}-?", "", low) or 0)
    return _months(f"{year}-{month:02}", year, month, 1) if month else _months(str(year), year, 1, 12)


def _months(label: str, year: int, month: int, count: int) -> Period:
    after = month - 1 + count
    return Period(label, f"{year}-{month:02}-01", f"{year + after // 12}-{after % 12 + 1:02}-01")


def _between(first: Period, last: Period) -> Period:
    return Period(f"{first.label} to {last.label}", first.start, last.end)


def _bounded(word: str, point: Period) -> Period:
    start, end = {"since": (point.start, ""), "after": (point.end, ""), "before": ("", point.start)}[word]
    return Period(f"{word} {point.label}", start, end)
