"""Converts DuckDB values to JSON, and names to SQL identifiers."""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the query worker starts faster without pydantic
    from mcp_servers.base.results import Cell


def cells(rows: Iterable[Sequence[object]]) -> "list[list[Cell]]":
    """Decimals become floats, dates ISO text, NaN and infinity null."""
    return [[_cell(value) for value in row] for row in rows]


def _cell(value: object) -> "Cell":
    if isinstance(value, Decimal):
        near = float(value)
        value = near if Decimal(repr(near)) == value else str(value)  # a sum must not lose a cent
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def quoted(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
