"""Reads a company's data into one DuckDB file: CSV, Parquet, SQLite, a folder of them, a DuckDB file, or a script."""

import csv
import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb

from mcp_servers.base.reloading import Progress
from mcp_servers.base.serving import StartupError
from mcp_servers.sales import stored
from mcp_servers.sales.columns import Reading, read_as
from mcp_servers.sales.database import copy_atomically, write_atomically
from mcp_servers.sales.naming import describe, original, plain_names, snake_case
from mcp_servers.sales.plain import quoted
from mcp_servers.sales.warehouse import Warehouse

LOADER = "2"
TEXT_FILES = {".csv", ".tsv", ".txt"}
SQLITE, DUCKDB, PARQUET, SCRIPT = "SQLite", "DuckDB", "Parquet", "SQL script"
KINDS = "CSV, Parquet, SQLite, DuckDB, an SQL script that makes the data, or a folder of CSV and Parquet files"


class Files:
    """A source for `reloading.Newest`: files, or a folder of them."""

    def __init__(self, path: Path, data_dir: Path, time_limit_s: float) -> None:
        self.settles = not _is_sqlite(path)  # SQLite gives a consistent copy during changes
        self._path = path
        self._data_dir = data_dir
        self._time_limit_s = time_limit_s

    def state(self) -> object:
        """Names, sizes and times of the files. Raises StartupError if there are none."""
        try:
            return _state(self._path)
        except OSError as error:
            raise StartupError(f"cannot read {self._path}: {_reason(error)}; give {KINDS}") from error

    def load(self, _: Progress[Warehouse]) -> Warehouse:
        """Load the files. Raises StartupError if they cannot be read."""
        return stored.opened(lambda: load(self._path, self._data_dir), self._time_limit_s)


def load(path: Path, data_dir: Path) -> tuple[Path, str]:
    """The database to open and the version of its data. Raises StartupError if the data cannot be read.

    The data are copied into `data_dir` once per content of the files, so that the files themselves are not kept open.
    """
    try:
        if not _is_sqlite(path):
            return _stored(path, data_dir, path)
        with tempfile.TemporaryDirectory() as scratch:
            return _stored(_backup(path, Path(scratch)), data_dir, path)
    except (duckdb.Error, sqlite3.Error, OSError, UnicodeError) as error:
        raise StartupError(f"cannot read {path}: {_reason(error)}; give {KINDS}") from error


def _stored(path: Path, data_dir: Path, told: Path) -> tuple[Path, str]:
    """`told`: the path as shown in messages."""
    before = _state(path)
    version = f"own-{_fingerprint(path)}"
    database = stored.path(data_dir, version)
    if not database.exists():
        _make(database, path, told, lambda: _state(path) == before)
    return database, version


def _make(database: Path, path: Path, told: Path, unchanged: Callable[[], bool]) -> None:
    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        if _kind(path) == SCRIPT:
            _run(connection, path)
        else:
            _fill(connection, path, told)
        check(connection)

    def check(connection: duckdb.DuckDBPyConnection) -> None:
        if not connection.execute("SELECT 1 FROM duckdb_columns() WHERE NOT internal LIMIT 1").fetchall():
            raise StartupError(f"{told} has no tables; give {KINDS}")
        if not unchanged():  # the name of the database is the digest of its content
            raise StartupError(f"{told} changed while it was read; try again when it is no longer written to")

    if _kind(path) == DUCKDB:
        copy_atomically(path, database, check)
    else:
        write_atomically(database, fill)


def _is_sqlite(path: Path) -> bool:
    try:
        return _kind(path) == SQLITE
    except (OSError, StartupError):  # reported when it is read
        return False


def _backup(path: Path, folder: Path) -> Path:
    """A consistent copy of an SQLite database with its log applied. Raises sqlite3.Error."""
    copy = folder / path.name
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = delete")  # else reading the copy creates a log beside it
    return copy


def _reason(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error).split("\nLINE ")[0]
    return " ".join(words.split())[:300]


def _state(path: Path) -> list[tuple[str, int, int, int, int]]:
    """Includes inode and ctime: a file may be replaced by one of the same size and mtime."""
    stats = [(file.name, file.stat()) for file in _with_logs(_files(path))]
    return [(name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats]


def _fingerprint(path: Path) -> str:
    """A digest of names and contents: the same on every replica, wherever its files are."""
    seen = hashlib.sha256(LOADER.encode())
    for file in _with_logs(_files(path)):
        with file.open("rb") as content:
            seen.update(f"{file.name}|{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return seen.hexdigest()[:10]


def _with_logs(files: list[Path]) -> list[Path]:
    """Each file, and its SQLite or DuckDB write-ahead log."""
    near = [file.with_name(f"{file.name}{log}") for file in files for log in ("", "-wal", ".wal")]
    return [each for each in near if each in files or each.exists()]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in TEXT_FILES | {".parquet"})
    if not found:
        raise StartupError(f"the folder {path} has no CSV or Parquet file")
    return found


def _kind(path: Path) -> str | None:
    if path.is_dir():
        return None
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise StartupError(f"{path} is empty; give {KINDS}")
    signatures = {
        SQLITE: head.startswith(b"SQLite format 3"),
        DUCKDB: head[8:12] == b"DUCK",
        PARQUET: head[:4] == b"PAR1",
    }
    kind = next((kind for kind, found in signatures.items() if found), None)
    if kind is None and path.suffix.lower() == ".sql":
        return SCRIPT
    if kind is None and b"\0" in head:
        raise StartupError(f"{path} is neither text nor a supported format; give {KINDS}")
    return kind


def _run(connection: duckdb.DuckDBPyConnection, script: Path) -> None:
    """Run a script, without access to files and the network."""
    connection.execute("SET enable_external_access = false")
    for statement in duckdb.extract_statements(script.read_text(encoding="utf-8")):
        connection.execute(statement)


def _fill(connection: duckdb.DuckDBPyConnection, path: Path, told: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for file in _files(path):
            sources = _exported(file, Path(scratch)) if _kind(file) == SQLITE else [(file.stem, file)]
            for name, source in sources:
                _stage(connection, source, Path(scratch))
                if not connection.execute("SELECT 1 FROM staged LIMIT 1").fetchall():
                    shown = told if file == path else file
                    raise StartupError(f"{shown} has no rows in {name}; give data with at least one row")
                _take_over(connection, name)


def _exported(database: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """SQLite's tables as CSV files, so that its loosely typed values are read like CSV."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as source:
        tables = source.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        for number, (table,) in enumerate(tables.fetchall()):
            rows = source.execute(f"SELECT * FROM {quoted(table)}")  # noqa: S608
            target = scratch / f"{number}.csv"
            with target.open("w", encoding="utf-8", newline="") as out:
                writer = csv.writer(out)
                writer.writerow([column for column, *_ in rows.description])
                writer.writerows(rows)
            yield table, target


def _stage(connection: duckdb.DuckDBPyConnection, file: Path, scratch: Path) -> None:
    """Load the file into the table `staged`; columns of CSV files as text."""
    if _kind(file) == PARQUET:
        reader = "read_parquet(?)"
    elif file.suffix.lower() in TEXT_FILES:
        reader = "read_csv(?, all_varchar = true, header = true, null_padding = true, parallel = false)"
    else:
        raise StartupError(f"{file} is not a supported format; give {KINDS}")
    create = f"CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM {reader}"  # noqa: S608
    try:
        connection.execute(create, [str(file)])
    except duckdb.InvalidInputException as error:
        if "utf-8" not in str(error).lower():
            raise
        connection.execute(create, [str(_as_utf8(file, scratch))])


def _as_utf8(file: Path, scratch: Path) -> Path:
    """A UTF-8 copy of a text file in another encoding, assumed to be Windows-1252 (Excel)."""
    copy = scratch / "utf8.csv"
    with file.open(encoding="cp1252") as old, copy.open("w", encoding="utf-8") as new:
        shutil.copyfileobj(old, new)
    return copy


def _take_over(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Create the final table from `staged`, with plain names, inferred types and comments."""
    table = quoted(snake_case(name) or "data")
    columns = connection.execute("DESCRIBE staged").fetchall()
    names = plain_names(connection, [str(column) for column, *_ in columns])
    readings = [
        read_as(connection, "staged", quoted(column)) if kind == "VARCHAR" else Reading(quoted(column))
        for column, kind, *_ in columns
    ]
    listed = ", ".join(f"{reading.expression} AS {quoted(new)}" for reading, new in zip(readings, names, strict=True))
    connection.execute(f"CREATE TABLE {table} AS SELECT {listed} FROM staged")  # noqa: S608
    for (old, *_), new, reading in zip(columns, names, readings, strict=True):
        describe(connection, f"COLUMN {table}.{quoted(new)}", [original(old, new), reading.note])
