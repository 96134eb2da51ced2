"""Infers what a text column holds: integers, decimals, dates, or just text.

A column gets a type only if all its values fit; otherwise it stays text. A column may mix date formats. A date such as
03/04/2024 is read day first, unless the column has a date that only fits month first (04/30/2024) and none that only
fits day first.
"""

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

MISSING = ("", "-", "--", "?", "NA", "N/A", "NAN", "NONE", "NULL")
CURRENCY = "^(EUR|USD|GBP|€|[$]|£)\\s*|\\s*(EUR|USD|GBP|€|[$]|£)$"
# No leading zeros and at most 18 digits: postcodes and long identifiers stay text
_DIGITS = r"(0|[1-9]\d{0,17})"
WHOLE = rf"[+-]?{_DIGITS}"
DECIMAL = rf"[+-]?({_DIGITS}(\.\d+)?|\.\d+)([eE][+-]?\d+)?"
ENGLISH = rf"[+-]?(\d{{1,3}}(,\d{{3}})+|{_DIGITS})(\.\d+)?"
CONTINENTAL = rf"[+-]?(\d{{1,3}}(\.\d{{3}})+|{_DIGITS})(,\d+)?"

# The first format that fits wins, and %Y fits a year of two digits too: %y comes before it, year-first last
_DAY_FIRST = ["%d/%m/%y", "%d-%m-%y", "%d/%m/%Y", "%d-%m-%Y"]
_MONTH_FIRST = ["%m/%d/%y", "%m-%d-%y", "%m/%d/%Y", "%m-%d-%Y"]
_OTHERS = [
    "%d.%m.%y",
    "%d.%m.%Y",
    "%d %b %y",
    "%d-%b-%y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%Y-%m-%d",
    "%Y/%m/%d",
]
_TIMES = ["", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%SZ", "T%H:%M:%S.%f"]


@dataclass(frozen=True)
class Reading:
    """How to read a column: an SQL expression, and a note on the result."""

    expression: str
    note: str = ""


def read_as(connection: DuckDBPyConnection, table: str, column: str) -> Reading:
    """The narrowest reading that all values of the text column fit. Names come quoted."""
    value = f"CASE WHEN upper(trim({column})) NOT IN {MISSING} THEN trim({column}) END"
    number = f"regexp_replace({value}, '{CURRENCY}', '', 'g')"
    text = Reading(f"nullif({column}, '')")
    if _count(connection, table, f"{value} IS NOT NULL") == 0:
        return text
    return _number(connection, table, number) or _date(connection, table, value) or text


def _number(connection: DuckDBPyConnection, table: str, value: str) -> Reading | None:
    def all_fit(pattern: str) -> bool:
        return _count(connection, table, f"NOT regexp_full_match({value}, '{pattern}')") == 0

    if all_fit(WHOLE):
        return Reading(f"CAST({value} AS BIGINT)")
    if all_fit(DECIMAL):
        return Reading(_decimal(connection, table, value))
    if all_fit(ENGLISH):
        plain = f"replace({value}, ',', '')"
        return Reading(_decimal(connection, table, plain), "numbers written as 1,234.50")
    if all_fit(CONTINENTAL):
        plain = f"replace(replace({value}, '.', ''), ',', '.')"
        return Reading(_decimal(connection, table, plain), "numbers written as 1.234,50")
    return None


def _decimal(connection: DuckDBPyConnection, table: str, value: str) -> str:
    """Exact decimals if they fit (money stays exact), else floating point."""
    exact = f"TRY_CAST({value} AS DECIMAL(18, 4))"
    inexact = _count(connection, table, f"{exact} IS DISTINCT FROM TRY_CAST({value} AS DECIMAL(38, 12))")
    return f"CAST({value} AS DOUBLE)" if inexact else exact


def _date(connection: DuckDBPyConnection, table: str, value: str) -> Reading | None:
    day_first, month_first = _parsed(value, _DAY_FIRST), _parsed(value, _MONTH_FIRST)
    either_way = _count(connection, table, f"{day_first} <> {month_first}")
    only_day = _count(connection, table, f"{day_first} IS NOT NULL AND {month_first} IS NULL")
    only_month = _count(connection, table, f"{day_first} IS NULL AND {month_first} IS NOT NULL")
    american = only_month > 0 and only_day == 0
    order = [*_MONTH_FIRST, *_DAY_FIRST] if american else [*_DAY_FIRST, *_MONTH_FIRST]
    moment = _parsed(value, [*order, *_OTHERS])
    if _count(connection, table, f"{value} IS NOT NULL AND {moment} IS NULL"):
        return None
    has_times = _count(connection, table, f"date_trunc('day', {moment}) <> {moment}")
    words = f"{either_way} dates fit day/month and month/day; read {'month' if american else 'day'} first"
    return Reading(moment if has_times else f"CAST({moment} AS DATE)", words if either_way else "")


def _parsed(value: str, days: list[str]) -> str:
    formats = [f"{day}{time}" for day in days for time in _TIMES]
    return f"try_strptime({value}, {formats})"


def _count(connection: DuckDBPyConnection, table: str, condition: str) -> int:
    [(count,)] = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchall()  # noqa: S608
    return int(count)
