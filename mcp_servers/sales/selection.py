"""Checks filters and period against the facts, and selects rows of the tables of facts."""

import itertools
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.sales.arguments import Filters, Period
from mcp_servers.sales.facts import of
from mcp_servers.sales.roles import MONTHS_IN, Facts
from mcp_servers.sales.warehouse import Warehouse

MAX_LISTED = 60


@dataclass
class Selection:
    """Checked conditions with their parameters, what to say of them, and how many values of a column each leaves."""

    conditions: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    leaves: dict[str, int] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The WHERE clause."""
        return " AND ".join(self.conditions) or "true"

    def add(self, column: str, condition: str, parameters: Collection[Any], leaves: int, words: str) -> None:
        """Select rows by a condition."""
        self.conditions.append(condition)
        self.parameters += parameters
        self.words.append(words)
        self.leaves[column] = min(leaves, self.leaves.get(column, leaves))


def column_of(name: str) -> str:
    """The column with a dimension or time."""
    return "month" if name in MONTHS_IN else of(name)


def expression(name: str) -> str:
    """A dimension, or the number of a year, quarter or month."""
    return f"month // {MONTHS_IN[name]}" if name in MONTHS_IN else of(name)


def as_text(name: str, number: int) -> str:
    """The year, quarter or month of this number."""
    if name == "year":
        return f"{number:04}"
    return f"{number // 4:04}-Q{number % 4 + 1}" if name == "quarter" else f"{number // 12:04}-{number % 12 + 1:02}"


def select(
    warehouse: Warehouse, allowed: Collection[str], filters: Filters | None, period: Period | str | None
) -> Selection:
    """Check filters and period against the data. Raises ToolError, which lists the valid values."""
    chosen, facts = Selection(), warehouse.facts
    for name, wanted in (filters or {}).items():
        if name not in allowed:
            raise ToolError(f"cannot filter by {name!r}; filter by {', '.join(allowed)}")
        values = _known_values(warehouse, name, wanted)
        condition = f"{expression(name)} IN ({', '.join('?' * len(values))})"
        length = MONTHS_IN.get(name, 0)
        parameters = [_months(value)[0] // length for value in values] if length else values
        chosen.add(column_of(name), condition, parameters, len(values) * (length or 1), f"{name} {' or '.join(values)}")
    if period is not None:
        start, end = _span(period)
        chosen.notes += _coverage(facts, start, end)
        chosen.add("month", "month BETWEEN ? AND ?", [start, end], end - start + 1, _in_words(period))
    if "month" in chosen.leaves and facts.undated:
        chosen.notes.append(f"{facts.undated} rows of the data have no date; they are left out")
    return chosen


def _known_values(warehouse: Warehouse, name: str, wanted: list[str]) -> list[str]:
    """The values meant, as spelt in the data."""
    if not wanted:
        raise ToolError(f"the filter {name!r} has no values; give some or leave the filter out")
    known = _spellings(warehouse, name)
    found = list[str]()
    for value in wanted:
        spellings = known.get(value.strip().casefold(), [])
        if not spellings:
            there = _listed(list(itertools.chain(*known.values())))
            raise ToolError(f"{name} {value!r} is not in the data; it has: {there}")
        found += [value] if value in spellings else spellings
    return list(dict.fromkeys(found))


def _spellings(warehouse: Warehouse, name: str) -> dict[str, list[str]]:
    if name not in MONTHS_IN:
        return warehouse.spellings(f"prepared.{of(name)}")
    numbers = dict.fromkeys(month // MONTHS_IN[name] for month in warehouse.facts.months)
    return {text.casefold(): [text] for text in (as_text(name, number) for number in numbers)}


def _listed(values: list[str]) -> str:
    if len(values) > MAX_LISTED:
        return f"{len(values)} values from {values[0]} to {values[-1]}"
    return "; ".join(values)


def _span(period: Period | str) -> tuple[int, int]:
    """The first and last month."""
    first, last = (period, period) if isinstance(period, str) else (period.start, period.end)
    start, end = _months(first)[0], _months(last)[1]
    if start > end:
        raise ToolError(f"the period ends before it starts: {first} to {last}")
    return start, end


def _months(text: str) -> tuple[int, int]:
    """The first and last month of a year, quarter or month."""
    found = re.fullmatch(r"(\d{4})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?", text.strip(), re.IGNORECASE | re.ASCII)
    if found is None:
        raise ToolError(
            f'the period {text!r} is invalid; write {{"start": "2024-01", "end": "2024-12"}}, '
            "or one month (2024-01), quarter (2024-Q1) or year (2024)"
        )
    january, quarter, month = 12 * int(found[1]), found[2], found[3]
    if month:
        return january + int(month) - 1, january + int(month) - 1
    if quarter:
        return january + 3 * int(quarter) - 3, january + 3 * int(quarter) - 1
    return january, january + 11


def _coverage(facts: Facts, start: int, end: int) -> list[str]:
    """A note if the data cover only a part of the period. Raises ToolError if they cover none of it."""
    if not facts.months:
        raise ToolError("the data have no dates, so there are no sales in any period")
    first, last = facts.months[0], facts.months[-1]
    if start > last or end < first:
        raise ToolError(f"there are no sales in this period; the data runs from {facts.first} to {facts.last}")
    return [] if start >= first and end <= last else [f"the data runs from {facts.first} to {facts.last} only"]


def _in_words(period: Period | str) -> str:
    if isinstance(period, str) or period.start == period.end:
        return period if isinstance(period, str) else period.start
    return f"{period.start} to {period.end}"
