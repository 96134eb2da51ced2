"""Voltbay's sales of 2022 to 2025, made by `voltbay.sql`: the same figures on every machine."""

import hashlib
from pathlib import Path

import duckdb

from mcp_servers.sales.database import open_locked, write_atomically

SCRIPT = Path(__file__).with_name("voltbay.sql")


def version() -> str:
    """Names the data: it changes when the script does."""
    return f"voltbay-{hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:8]}"


def ensure(data_dir: Path) -> tuple[Path, str]:
    """The database and its version, generated first if it is missing, broken or of another version."""
    path = data_dir / "sales" / "voltbay.duckdb"
    if _version_of(path) != version():
        generate(path)
    return path, version()


def generate(path: Path) -> None:
    """Write the database to `path`: about a second of one core."""

    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        for statement in duckdb.extract_statements(SCRIPT.read_text(encoding="utf-8")):
            connection.execute(statement)
        connection.execute("CREATE SCHEMA about")
        connection.execute("CREATE TABLE about.version AS SELECT ? AS version", [version()])

    write_atomically(path, fill)


def _version_of(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        with open_locked(path) as connection:
            rows = connection.execute("SELECT version FROM about.version").fetchall()
    except duckdb.Error:
        return None
    return str(rows[0][0])
