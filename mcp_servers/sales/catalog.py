"""Describes the database for whoever writes SQL for it; sizes and values are recorded when the data are loaded."""

from duckdb import DuckDBPyConnection

from mcp_servers.base.results import Table
from mcp_servers.sales.plain import quoted
from mcp_servers.sales.warehouse import Warehouse

COLUMNS = ["table", "column", "type", "description", "values"]
MAX_VALUES = 40
MAX_ROWS = 1000
MAX_CHARS = 800
NESTED = ("STRUCT", "MAP", "UNION", "BLOB", "BIT", "VARIANT")


def describe(warehouse: Warehouse) -> Table:
    """One row per column, with its values if they are few, else its range; the table `sales` first."""
    rows = warehouse.rows(
        """
        SELECT c.table_name, c.column_name, c.data_type, coalesce(c.comment, ''), coalesce(d.known_values, '')
        FROM duckdb_columns() c LEFT JOIN about.described d USING (table_name, column_name)
        WHERE c.schema_name = 'main' AND NOT c.internal ORDER BY c.table_name <> 'sales', c.table_name, c.column_index
        """
    )
    tables = warehouse.rows(
        """
        SELECT table_name, row_count, coalesce(comment, '') FROM duckdb_tables() JOIN about.sizes USING (table_name)
        WHERE schema_name = 'main' AND NOT internal ORDER BY table_name <> 'sales', table_name
        """
    )
    left_out = warehouse.rows("SELECT concat(name, ': ', note) FROM about.loaded WHERE note <> '' ORDER BY ALL")
    return Table(
        title="Tables and columns",
        columns=COLUMNS,
        rows=[list(row) for row in rows[:MAX_ROWS]],
        row_count=len(rows),
        truncated=len(rows) > MAX_ROWS,
        notes=[f"{name}: {size} rows. {comment}".strip() for name, size, comment in tables]
        + [f"left out: {note}" for (note,) in left_out],
        data_version=warehouse.data_version,
    )


def record(connection: DuckDBPyConnection, table: str) -> None:
    """Store the size of a table, and the values or range of its columns."""
    connection.execute("CREATE TABLE IF NOT EXISTS about.sizes (table_name VARCHAR, row_count BIGINT)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS about.described (table_name VARCHAR, column_name VARCHAR, known_values VARCHAR)"
    )
    connection.execute(f"INSERT INTO about.sizes SELECT ?, count(*) FROM {quoted(table)}", [table])  # noqa: S608
    described = connection.execute(f"DESCRIBE {quoted(table)}").fetchall()
    plain = [str(name) for name, kind, *_ in described if not kind.startswith(NESTED) and not kind.endswith("]")]
    if not plain:
        return
    # A rough count first: exact counts of every column at once take a hundred megabytes.
    measures = ", ".join(
        f"approx_count_distinct({name}), concat(min({name}), ' .. ', max({name}))" for name in map(quoted, plain)
    )
    [found] = connection.execute(f"SELECT {measures} FROM {quoted(table)}").fetchall()  # noqa: S608
    for name, roughly, span in zip(plain, found[::2], found[1::2], strict=True):
        values = _values(connection, table, name) if roughly <= 2 * MAX_VALUES else []
        shown = "; ".join(values) if 0 < len(values) <= MAX_VALUES else span if roughly else ""
        connection.execute("INSERT INTO about.described VALUES (?, ?, ?)", [table, name, shown[:MAX_CHARS]])


def _values(connection: DuckDBPyConnection, table: str, column: str) -> list[str]:
    found = connection.execute(
        f"SELECT CAST(v AS VARCHAR) FROM (SELECT DISTINCT {quoted(column)} AS v FROM {quoted(table)}) "  # noqa: S608
        f"WHERE v IS NOT NULL ORDER BY v LIMIT {MAX_VALUES + 1}"
    ).fetchall()
    return [str(value) for (value,) in found]
