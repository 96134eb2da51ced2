"""Checks dimensions, filters and period against the data, and selects the rows of `sales`."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

from mcp.server.fastmcp.exceptions import ToolError

from mcp_servers.sales.arguments import Dimension, Filters, Period
from mcp_servers.sales.plain import quoted
from mcp_servers.sales.warehouse import Warehouse

EXPRESSIONS = {
    **{name: name for name in get_args(Dimension)},
    "year": "strftime(order_date, '%Y')",
    "quarter": "concat(year(order_date), '-Q', quarter(order_date))",
    "month": "strftime(order_date, '%Y-%m')",
}
TIMES = ("year", "quarter", "month")
MAX_LISTED = 60


@dataclass(frozen=True)
class Selection:
    """A checked WHERE clause, its parameters, and its description."""

    where: str
    parameters: list[Any]
    words: str
    notes: list[str]


def require(warehouse: Warehouse, relation: str, columns: list[str]) -> None:
    """Raises ToolError unless the relation has these columns; your own data may not have them."""
    missing = [column for column in columns if column not in warehouse.columns(relation)]
    if missing:
        raise ToolError(
            f"this data has no {relation}.{missing[0]}, which this tool needs; "
            "call describe_schema and write SQL for the tool query instead"
        )


def source_columns(dimensions: list[str]) -> list[str]:
    """The columns of `sales` that these dimensions need."""
    return ["order_date" if name in TIMES else name for name in dimensions]


def select(warehouse: Warehouse, allowed: list[str], filters: Filters | None, period: Period | str | None) -> Selection:
    """Check filters and period against the data. Raises ToolError, which lists the valid values."""
    conditions, words, notes = ["true"], list[str](), list[str]()
    parameters: list[Any] = []
    for name, wanted in (filters or {}).items():
        values = _known_values(warehouse, allowed, name, wanted)
        conditions.append(f"{EXPRESSIONS[name]} IN ({', '.join('?' * len(values))})")
        parameters += values
        words.append(f"{name} {' or '.join(values)}")
    if period is not None:
        start, end = _span(period)
        notes += _coverage(warehouse, start, end)
        conditions.append("order_date >= ? AND order_date < ?")
        parameters += [start, end]
        words.append(_in_words(period))
    return Selection(" AND ".join(conditions), parameters, "".join(f", {each}" for each in words), notes)


def _known_values(warehouse: Warehouse, allowed: list[str], name: str, wanted: list[str]) -> list[str]:
    if name not in allowed:
        raise ToolError(f"cannot filter by {name!r}; filter by {', '.join(allowed)}")
    if not wanted:
        raise ToolError(f"the filter {name!r} has no values; give some or leave the filter out")
    require(warehouse, "sales", source_columns([name]))
    known = warehouse.values("sales", EXPRESSIONS[name])
    spelling = {value.casefold(): value for value in known}
    for value in wanted:
        if value.strip().casefold() not in spelling:
            raise ToolError(f"{name} {value!r} is not in the data; it has: {_listed(known)}")
    return list(dict.fromkeys(spelling[value.strip().casefold()] for value in wanted))


def _listed(values: list[str]) -> str:
    if len(values) > MAX_LISTED:
        return f"{len(values)} values from {values[0]} to {values[-1]}"
    return "; ".join(values)


def _span(period: Period | str) -> tuple[date, date]:
    """First day, and the first day after the last."""
    first, last = (period, period) if isinstance(period, str) else (period.start, period.end)
    start, end = _months(first)[0], _months(last)[1]
    if start >= end:
        raise ToolError(f"the period ends before it starts: {first} to {last}")
    return start, end


def _months(text: str) -> tuple[date, date]:
    found = re.fullmatch(r"((?:19|20)\d\d)(?:-Q([1-4])|-(0[1-9]|1[0-2]))?", text.strip(), re.IGNORECASE)
    if found is None:
        raise ToolError(
            f'the period {text!r} is invalid; write {{"start": "2024-01", "end": "2024-12"}}, '
            "or one month (2024-01), quarter (2024-Q1) or year (2024)"
        )
    year, quarter, month = int(found[1]), found[2], found[3]
    if month:
        return _month(year, int(month)), _month(year, int(month) + 1)
    if quarter:
        return _month(year, 3 * int(quarter) - 2), _month(year, 3 * int(quarter) + 1)
    return _month(year, 1), _month(year, 13)


def _month(year: int, month: int) -> date:
    return date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def _coverage(warehouse: Warehouse, start: date, end: date) -> list[str]:
    """A note if the data cover only a part of the period. Raises ToolError if they cover none of it."""
    require(warehouse, "sales", ["order_date"])
    [(first, last)] = warehouse.rows("SELECT CAST(min(order_date) AS DATE), CAST(max(order_date) AS DATE) FROM sales")
    if first is None or start > last or end <= first:
        raise ToolError(f"there are no sales in this period; the data runs from {first} to {last}")
    covered = start >= _month(first.year, first.month) and end <= _month(last.year, last.month + 1)
    return [] if covered else [f"the data runs from {first} to {last} only"]


def _in_words(period: Period | str) -> str:
    if isinstance(period, str) or period.start == period.end:
        return period if isinstance(period, str) else period.start
    return f"{period.start} to {period.end}"


def column_list(names: list[str]) -> str:
    """Quoted names for a SELECT, GROUP BY or ORDER BY."""
    return ", ".join(map(quoted, names))
