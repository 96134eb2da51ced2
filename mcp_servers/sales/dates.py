"""Reads dates and times as people write them: `2024-01-31`, `31.01.2024 10:30`, `1/31/24`, `31 Jan 2024`."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcp_servers.sales.plain import literal

DAY_FIRST, MONTH_FIRST, YEAR_FIRST = "day-first", "month-first", "year-first"
TIME = r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
ZONE = r"(Z|[+-]\d{2}:?\d{2})"
ISO = rf"[1-9]\d{{3}}-\d{{1,2}}-\d{{1,2}}([ T]{TIME})?"
ZONED = ISO.removesuffix("?") + rf" ?{ZONE}"
_MONTH = r"[A-Za-z]{3,9}\.?"
_DATES = (
    (r"[1-9]\d{3}([/.])\d{1,2}\1\d{1,2}", "%Y{0}%m{0}%d"),
    (r"\d{1,2}([/-])\d{1,2}\1([1-9]\d{3}|\d{2})", ""),  # day or month first
    (r"\d{1,2}(\.)\d{1,2}\.([1-9]\d{3}|\d{2})", "%d{0}%m{0}%Y"),
    (rf"\d{{1,2}}([ -]){_MONTH}\1([1-9]\d{{3}}|\d{{2}})", "%d{0}%b{0}%Y"),
    (rf"{_MONTH}( )\d{{1,2}}, ([1-9]\d{{3}}|\d{{2}})", "%b{0}%d, %Y"),
)
_WHOLE = re.compile(rf"(?P<date>.+?)(?:(?P<between>,? )(?P<time>{TIME})(?P<half> ?[AaPp][Mm])?)?")
_ORDERED = {DAY_FIRST: "%d{0}%m{0}%Y", MONTH_FIRST: "%m{0}%d{0}%Y", YEAR_FIRST: "%y{0}%m{0}%d"}


@dataclass(frozen=True)
class Date:
    """One way to read a column of dates: day or month first, empty if no date depends on it. SQL on the column."""

    text: str
    choice: str
    formats: tuple[str, ...]
    iso: bool
    zoned: bool

    @property
    def read(self) -> str:
        """The moment, in UTC if it has a zone; null if it does not fit."""
        ways = []
        if self.iso:  # not by cast alone, which also takes `epoch` and years of two digits
            cast = f"TRY_CAST({self.text} AS TIMESTAMP)"
            ways.append(f"CASE WHEN regexp_full_match({self.text}, {literal(ISO)}) THEN {cast} END")
        if self.zoned:
            cast = f"TRY_CAST({self.text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
            ways.append(f"CASE WHEN regexp_full_match({self.text}, {literal(ZONED)}) THEN {cast} END")
        if self.formats:  # year 24 is a year of two digits that was read as one of four
            parsed = f"try_strptime({self.text}, [{', '.join(map(literal, self.formats))}])"
            ways.append(f"CASE WHEN {parsed} >= DATE '1000-01-01' THEN {parsed} END")
        return f"coalesce({', '.join(ways)})"

    def compared(self, read: str) -> str:
        """What differs if two ways read the same text differently."""
        return read

    def measures(self, read: str) -> Mapping[str, str]:
        """What has to be known of all values to choose a type. `read`: the column that has them."""
        return {"times": f"count(*) FILTER (date_trunc('day', {read}) <> {read})"}

    def typed(self, told: Mapping[str, Any]) -> tuple[str, list[str]]:
        """The expression with its type, by the measures, and notes."""
        notes = ["times are UTC" + (", where they have a zone" if self.iso else "")] if self.zoned else []
        notes += ["years of two digits are 1969 to 2068"] if any("%y" in each for each in self.formats) else []
        kind = "TIMESTAMP" if told["times"] else "DATE"
        if told["all fit"] and not self.formats and not self.zoned:  # without looking at each value again
            return f"TRY_CAST({self.text} AS {kind})", notes
        return f"CAST({self.read} AS {kind})", notes


def fits(value: str) -> bool:
    """Whether the text is a date, or a date with a time."""
    return bool(re.fullmatch(f"{ISO}|{ZONED}", value) or any(_format(value, order) for order in _ORDERED))


def ways(text: str, values: Sequence[str]) -> Iterator[Date]:
    """The ways to read all these values; `text`: the SQL expression of the column."""
    iso = any(re.fullmatch(ISO, value) for value in values)
    zoned = any(re.fullmatch(ZONED, value) for value in values)
    others = [value for value in values if not re.fullmatch(f"{ISO}|{ZONED}", value)]
    formats = {order: [_format(value, order) for value in others] for order in _ORDERED}
    depends = formats[DAY_FIRST] != formats[MONTH_FIRST]
    for order, ours in formats.items():
        if all(ours) and (order == DAY_FIRST or depends):
            chosen = sorted(set(ours), key=lambda each: "%Y" in each)  # %Y would take years of two digits too
            yield Date(text, order if depends else "", tuple(chosen), iso, zoned)


def _format(value: str, order: str) -> str:
    """The format of one date as strptime has it; empty if it is none, or not in this order."""
    whole = _WHOLE.fullmatch(value)
    for pattern, form in _DATES if whole else ():
        if whole and (found := re.fullmatch(pattern, whole["date"])):
            read_as = (form or _ORDERED[order]).format(*found.groups()[:1])
            if read_as.startswith("%y") and not re.match(r"\d\d\D", whole["date"]):
                return ""
            if re.search(r"\D\d\d$", whole["date"]) and not form.startswith("%Y"):
                read_as = read_as.replace("%Y", "%y")
            if re.search(r"[A-Za-z]{4}", whole["date"]):
                read_as = read_as.replace("%b", "%B")
            read_as += _time_format(whole)
            with contextlib.suppress(ValueError):
                datetime.strptime(value, read_as)  # noqa: DTZ007  only whether it can be read
                return read_as
    return ""


def _time_format(whole: re.Match[str]) -> str:
    if not (time := whole["time"]):
        return ""
    form = "%H:%M:%S"[: 3 * time.count(":") + 2] + (".%f" if "." in time else "")
    half = whole["half"] or ""
    return whole["between"] + (form.replace("%H", "%I") + half[:-2] + "%p" if half else form)
