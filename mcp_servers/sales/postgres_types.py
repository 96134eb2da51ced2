"""Maps Postgres types to DuckDB: how a column is sent as text, and how the text is read.

A column gets its type only if all values fit; otherwise it stays text, with a note.
"""

from dataclasses import dataclass

from duckdb import DuckDBPyConnection
from psycopg import sql

from mcp_servers.sales.columns import Reading
from mcp_servers.sales.plain import quoted

SIMPLE = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "oid": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP",
    "time": "TIME",
    "interval": "INTERVAL",
    "uuid": "UUID",
    "json": "JSON",
    "jsonb": "JSON",
}
LISTS = {
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "uuid"), "VARCHAR[]"),
    **dict.fromkeys(("int2", "int4", "int8"), "BIGINT[]"),
    **dict.fromkeys(("float4", "float8"), "DOUBLE[]"),
    "bool": "BOOLEAN[]",
}
# The range of Python's dates: no infinity, nothing BC, no year of five digits.
MOMENT = r"\d{4}-[0-9-]+( [0-9:.]+)?"
LEFT_OUT = ("bytea",)


@dataclass(frozen=True)
class Type:
    """A type, with domains resolved. `name` is as in pg_type (of arrays, the element's); only numerics have digits."""

    name: str
    array: bool = False
    precision: int | None = None
    scale: int | None = None


def sent(column: str, kind: Type) -> sql.Composable:
    """The Postgres SQL that returns a column of this type as text."""
    name = sql.Identifier(column)
    if kind.array:
        return sql.SQL("to_json({})::text").format(name)
    if kind.name == "timestamptz":
        return sql.SQL("({} AT TIME ZONE 'UTC')::text").format(name)
    if kind.name == "money":  # its text depends on the locale
        return sql.SQL("{}::numeric::text").format(name)
    return sql.SQL("{}::text").format(name)


def read(connection: DuckDBPyConnection, table: str, column: str, kind: Type) -> Reading:
    """How to read a column of this type from a DuckDB table of text."""
    value = quoted(column)
    notes = ["times are UTC"] if kind.name == "timestamptz" and not kind.array else []
    if (wanted := _wanted(connection, table, value, kind)) is None:
        return Reading(value, tuple(notes))
    present = _present(value, kind)
    if wanted.endswith("[]"):
        present = f"{present}::JSON"
    if _count(connection, table, f"{present} IS NOT NULL AND TRY_CAST({present} AS {wanted}) IS NULL"):
        return Reading(value, (*notes, f"text: not every value is a {wanted}"))
    if missing := _count(connection, table, f"{value} IS NOT NULL AND {present} IS NULL"):
        notes.append(f"{missing} values that no {wanted} can hold are missing")
    return Reading(f"CAST({present} AS {wanted})", tuple(notes))


def _wanted(connection: DuckDBPyConnection, table: str, value: str, kind: Type) -> str | None:
    if kind.array:
        nested = _count(connection, table, f"json_type({value}, '$[0]') = 'ARRAY'")
        return "JSON" if nested else LISTS.get(kind.name, "JSON")
    if kind.name not in {"numeric", "money"}:
        return SIMPLE.get(kind.name)
    if kind.precision is not None and kind.scale is not None and 0 <= kind.scale <= kind.precision <= 38:
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _decimal(connection, table, _present(value, kind))


def _present(value: str, kind: Type) -> str:
    """The text, or null for values that a result cannot hold."""
    if kind.name in {"date", "timestamp", "timestamptz"} and not kind.array:
        return f"CASE WHEN regexp_full_match({value}, '{MOMENT}') THEN {value} END"
    if kind.name == "numeric" and not kind.array:
        return f"CASE WHEN {value} NOT IN ('NaN', 'Infinity', '-Infinity') THEN {value} END"
    return value


def _decimal(connection: DuckDBPyConnection, table: str, value: str) -> str:
    """Exact if 38 digits are enough for all values, else floating point."""
    whole, point = f"length(ltrim(split_part({value}, '.', 1), '-'))", f"length(split_part({value}, '.', 2))"
    [(digits, scale)] = connection.execute(f"SELECT max({whole}), max({point}) FROM {table}").fetchall()  # noqa: S608
    if digits is None:
        return "DECIMAL(18, 4)"
    if digits + scale <= 38:
        return f"DECIMAL({18 if digits + scale <= 18 else 38}, {scale})"
    return "DOUBLE"


def _count(connection: DuckDBPyConnection, table: str, condition: str) -> int:
    [(count,)] = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchall()  # noqa: S608
    return int(count)
