"""Describes the database for whoever writes SQL for it."""

from mcp_servers.base.results import Cell, Table
from mcp_servers.sales.plain import quoted
from mcp_servers.sales.warehouse import Warehouse

COLUMNS = ["table", "column", "type", "description", "values"]
MAX_VALUES = 40
MAX_ROWS = 1000
MAX_CHARS = 800
NESTED = ("STRUCT", "MAP", "UNION", "BLOB", "BIT", "VARIANT")


def describe(warehouse: Warehouse) -> Table:
    """One row per column, with its values if they are few, else its range."""
    rows: list[list[Cell]] = []
    notes: list[str] = []
    for relation, comment, size in _relations(warehouse):
        rows += _described(warehouse, relation)
        notes.append(f"{relation}: {size} rows. {comment}".strip())
    return Table(
        title="Tables and columns",
        columns=COLUMNS,
        rows=rows[:MAX_ROWS],
        row_count=len(rows),
        truncated=len(rows) > MAX_ROWS,
        notes=notes,
        data_version=warehouse.data_version,
    )


def _relations(warehouse: Warehouse) -> list[tuple[str, str, int]]:
    """Name, comment and number of rows of each table and view; the view `sales` first."""
    found = warehouse.rows(
        """
        SELECT view_name AS name, comment FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'
        UNION ALL SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal AND schema_name = 'main'
        ORDER BY name <> 'sales', name
        """
    )
    return [
        (name, comment or "", warehouse.rows(f"SELECT count(*) FROM {quoted(name)}")[0][0])  # noqa: S608
        for name, comment in found
    ]


def _described(warehouse: Warehouse, relation: str) -> list[list[Cell]]:
    columns = warehouse.rows(
        "SELECT column_name, data_type, coalesce(comment, '') FROM duckdb_columns() "
        "WHERE table_name = ? AND schema_name = 'main' ORDER BY column_index",
        [relation],
    )
    plain = [name for name, kind, _ in columns if not kind.startswith(NESTED) and not kind.endswith("]")]
    values = _values(warehouse, relation, plain) if plain else {}
    return [[relation, name, kind, comment, values.get(name, "")[:MAX_CHARS]] for name, kind, comment in columns]


def _values(warehouse: Warehouse, relation: str, names: list[str]) -> dict[str, str]:
    """Per column, its values if they are few, else its minimum and maximum."""
    # A rough count first: exact counts of every column at once take a hundred megabytes.
    measures = ", ".join(
        f"approx_count_distinct({name}), concat(min({name}), ' .. ', max({name}))" for name in map(quoted, names)
    )
    [found] = warehouse.rows(f"SELECT {measures} FROM {quoted(relation)}")  # noqa: S608
    return {
        name: _listed(warehouse, relation, name, span) if roughly <= 2 * MAX_VALUES else span
        for name, roughly, span in zip(names, found[::2], found[1::2], strict=True)
    }


def _listed(warehouse: Warehouse, relation: str, column: str, span: str) -> str:
    values = warehouse.values(quoted(relation), quoted(column))
    return "; ".join(values) if len(values) <= MAX_VALUES else span
