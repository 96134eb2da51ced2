"""The process that runs untrusted SQL, limited in time and memory.

A string function such as `lpad('x', 2000000000)` can allocate gigabytes outside DuckDB's own memory limit, and cannot
be interrupted.
"""

import sys
from pathlib import Path
from typing import Any

import duckdb

from mcp_servers.base import bounded
from mcp_servers.sales.database import open_locked
from mcp_servers.sales.plain import cells, quoted
from mcp_servers.sales.sql_guard import Guard, Refused

PROCESS_MEMORY = 512 * 1024 * 1024
MAX_COLUMNS = 50
MAX_CELL_CHARS = 500
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
PLAIN_TYPES = ("BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL", *INTEGERS, *(f"U{kind}" for kind in INTEGERS))
TOO_BIG = "the query needs too much memory; filter, aggregate or select fewer rows and columns"


def main(database: Path, seconds: float) -> None:
    """Answer requests until stdin closes. A request that exceeds `seconds` ends the process."""
    connection = open_locked(database)
    guard = Guard(connection)
    bounded.serve(lambda request: answer(connection, guard, **request), seconds, PROCESS_MEMORY)


def answer(connection: duckdb.DuckDBPyConnection, guard: Guard, sql: str, max_rows: int) -> dict[str, Any]:
    """`columns`, `rows` (at most `max_rows`) and `row_count`, or `error` with the remedy."""
    try:
        return _run(connection, guard.check(sql), max_rows)
    except Refused as refusal:
        return {"error": str(refusal)}
    except (duckdb.OutOfMemoryException, MemoryError):
        return {"error": TOO_BIG}
    except duckdb.IOException:  # its message names files
        return {"error": "the sales data cannot be read at the moment; try again, or do without"}
    except duckdb.Error as error:
        return {"error": f"{str(error)[:800]}\nCorrect the statement; describe_schema lists tables and columns."}


def _run(connection: duckdb.DuckDBPyConnection, sql: str, max_rows: int) -> dict[str, Any]:
    inner = f"(\n{sql}\n)"  # newlines: the statement may end in a comment
    described = connection.execute(f"DESCRIBE SELECT * FROM {inner}").fetchall()  # noqa: S608
    if len(described) > MAX_COLUMNS:
        raise Refused(f"the result has {len(described)} columns, the limit is {MAX_COLUMNS}; name the ones you need")
    shown = ", ".join(_shown(str(name), str(kind)) for name, kind, *_ in described)
    rows = connection.execute(f"SELECT {shown} FROM {inner} LIMIT {max_rows + 1}").fetchall()  # noqa: S608
    count = len(rows)
    if count > max_rows:
        [(count,)] = connection.execute(f"SELECT count(*) FROM {inner}").fetchall()  # noqa: S608
    return {"columns": [name for name, *_ in described], "rows": cells(rows[:max_rows]), "row_count": count}


def _shown(name: str, kind: str) -> str:
    """The SQL of a column as a plain value: long text and nested values are cut inside DuckDB."""
    column = quoted(name)
    if kind.startswith(PLAIN_TYPES) and not kind.endswith("]"):
        return column
    return f"left(CAST({column} AS VARCHAR), {MAX_CELL_CHARS}) AS {column}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
