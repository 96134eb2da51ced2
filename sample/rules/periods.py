"""Years, quarters, months and spans in the words of a question, as inclusive spans of months."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from sample.rules.vocabulary import MONTHS, NUMBERS

_MONTH = rf"(?:{'|'.join(MONTHS)}|{'|'.join(name[:3] for name in MONTHS)}|sept)\.?"
_YEAR = r"(?:19|20|21)\d\d"
_COUNT = rf"(?:\d{{1,3}}|{'|'.join(NUMBERS)})"
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_ORDINAL = rf"(?:{'|'.join(_ORDINALS)})"
_MONTHS_IN = {"month": 1, "quarter": 3, "half": 6, "year": 12}
_UNIT = "(?:month|quarter|year)"


@dataclass(frozen=True)
class Span:
    """Months from `start` to `end`, both included, as counts since the year 0; `label` as people write it."""

    start: int
    end: int
    label: str

    @property
    def months(self) -> int:
        return self.end - self.start + 1

    @property
    def years(self) -> list[int]:
        """Every calendar year that the span touches."""
        return list(range(self.start // 12, self.end // 12 + 1))

    @property
    def bounds(self) -> dict[str, str]:
        """As the sales tools take a period: {"start": "2024-01", "end": "2024-12"}."""
        return {"start": month_label(self.start), "end": month_label(self.end)}

    def within(self, other: "Span") -> "Span | None":
        """The part of it that lies in the other, or None."""
        if other.start <= self.start and self.end <= other.end:
            return self
        start, end = max(self.start, other.start), min(self.end, other.end)
        return span(start, end) if start <= end else None


@dataclass(frozen=True)
class Relative:
    """`count` units before the end of the data (or after it, for a forecast)."""

    count: int
    unit: str

    @property
    def months(self) -> int:
        return self.count * _MONTHS_IN[self.unit]


@dataclass(frozen=True)
class Times:
    """All that a text says of time. `since` and `until` leave one end open."""

    spans: tuple[Span, ...]
    past: Relative | None
    ahead: Relative | None
    since: int | None
    until: int | None


def month_label(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"


def month_number(label: str) -> int | None:
    """The month that a label like 2024-03 or a date like 2024-03-31 names, or None."""
    match = re.match(r"(\d{4})-(\d\d)", label)
    return int(match[1]) * 12 + int(match[2]) - 1 if match else None


def month_name(label: str) -> str:
    """`2024-03` or `03` as March; anything else unchanged."""
    match = re.fullmatch(r"(?:(\d{4})-)?(0[1-9]|1[0-2])", label)
    if not match:
        return label
    name = MONTHS[int(match[2]) - 1].capitalize()
    return f"{name} {match[1]}" if match[1] else name


def span(start: int, end: int) -> Span:
    """A span with the shortest label that says it: 2024, 2022 to 2024, or 2024-01 to 2024-06."""
    if start % 12 == 0 and end % 12 == 11:
        first, last = start // 12, end // 12
        return Span(start, end, str(first) if first == last else f"{first} to {last}")
    if start == end:
        return Span(start, end, month_label(start))
    return Span(start, end, f"{month_label(start)} to {month_label(end)}")


def hull(spans: tuple[Span, ...]) -> Span | None:
    """The smallest span that holds them all; itself for a single one."""
    if len(spans) < 2:
        return spans[0] if spans else None
    return span(min(each.start for each in spans), max(each.end for each in spans))


def times(text: str) -> Times:
    """Reads every mention of time; a part of the text that was read is not read again."""
    rest = text.lower()
    found: list[tuple[int, Span]] = []
    for pattern, read in _FORMS:
        rest = _take(pattern, read, rest, found)
    since, rest = _open_end(r"(?:since|after|starting in|from)", rest)
    until, rest = _open_end(r"(?:until|till|up to|before|through|by the end of)", rest)
    _take(re.compile(rf"(?<![\w.,])(?P<y>{_YEAR})(?![\w,.]*\d|%)"), _year, rest, found)
    ordered = dict.fromkeys(each for _, each in sorted(found, key=lambda pair: pair[0]))
    return Times(tuple(ordered), _relative(_PAST, rest), _relative(_AHEAD, rest), since, until)


def _take(
    pattern: re.Pattern[str], read: Callable[[re.Match[str]], Span | None], text: str, found: list[tuple[int, Span]]
) -> str:
    """Adds what the pattern finds to `found` and returns the text with those places blanked."""

    def blank(match: re.Match[str]) -> str:
        each = read(match)
        if each is None:
            return match.group()
        found.append((match.start(), each))
        return " " * len(match.group())

    return pattern.sub(blank, text)


def _open_end(words: str, text: str) -> tuple[int | None, str]:
    match = re.search(rf"\b{words} (?:the (?:start|beginning|end) of )?({_YEAR})\b", text)
    if not match:
        return None, text
    year = int(match[1]) + (1 if match.group().startswith("after") else 0)
    year -= 1 if match.group().startswith("before") else 0
    return year, text[: match.start()] + " " * len(match.group()) + text[match.end() :]


def _relative(pattern: re.Pattern[str], text: str) -> Relative | None:
    match = pattern.search(text)
    if not match:
        return None
    count = match["n"] or "1"
    return Relative(int(count) if count.isdecimal() else NUMBERS[count], match["unit"])


_PAST = re.compile(rf"\b(?:last|past|previous|latest|most recent)\s+(?:(?P<n>{_COUNT})\s+)?(?P<unit>{_UNIT})s?\b")
_AHEAD = re.compile(rf"\b(?:next|coming|following|upcoming)\s+(?:(?P<n>{_COUNT})\s+)?(?P<unit>{_UNIT})s?\b")


def _year(match: re.Match[str]) -> Span:
    year = int(match["y"])
    return span(year * 12, year * 12 + 11)


def _years(match: re.Match[str]) -> Span | None:
    first, last = int(match["y"]), int(match["z"])
    return span(first * 12, last * 12 + 11) if first <= last else None


def _quarter(match: re.Match[str]) -> Span:
    number = _ORDINALS.get(match["q"]) or int(match["q"])
    start = int(match["y"]) * 12 + (number - 1) * 3
    return Span(start, start + 2, f"{match['y']}-Q{number}")


def _month_of(name: str) -> int:
    return next(index for index, full in enumerate(MONTHS) if full.startswith(name.strip(".")[:3]))


def _month(match: re.Match[str]) -> Span:
    month = int(match["y"]) * 12 + _month_of(match["m"])
    return span(month, month)


def _months(match: re.Match[str]) -> Span | None:
    last = int(match["z"])
    first = int(match["y"]) if match["y"] else last
    start, end = first * 12 + _month_of(match["m"]), last * 12 + _month_of(match["o"])
    return span(start, end) if start <= end else None


_TO = r"\s*(?:to|until|till|through|and|–|—|-)\s*"  # noqa: RUF001
_STRICT_TO = r"\s*(?:to|until|till|through|–|—|-)\s*"  # noqa: RUF001
_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Span | None]], ...] = (
    (re.compile(rf"\bbetween\s+(?P<m>{_MONTH})\s+(?:(?P<y>{_YEAR}))?{_TO}(?P<o>{_MONTH})\s+(?P<z>{_YEAR})\b"), _months),
    (re.compile(rf"\b(?P<m>{_MONTH})\s+(?:(?P<y>{_YEAR}))?{_STRICT_TO}(?P<o>{_MONTH})\s+(?P<z>{_YEAR})\b"), _months),
    (re.compile(rf"\b(?:from|between)\s+(?P<y>{_YEAR}){_TO}(?P<z>{_YEAR})\b"), _years),
    (re.compile(rf"(?<![\w-])(?P<y>{_YEAR}){_STRICT_TO}(?P<z>{_YEAR})(?![\w-])"), _years),
    (re.compile(rf"\b(?P<y>{_YEAR})[- ]?q(?P<q>[1-4])\b"), _quarter),
    (re.compile(rf"\bq(?P<q>[1-4])[- ]?(?:of )?(?P<y>{_YEAR})\b"), _quarter),
    (re.compile(rf"\b(?P<q>{_ORDINAL}) quarter (?:of )?(?P<y>{_YEAR})\b"), _quarter),
    (re.compile(rf"\b(?P<m>{_MONTH})\s+(?:of )?(?P<y>{_YEAR})\b"), _month),
)
