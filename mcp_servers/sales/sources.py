"""The tables in a file of any kind: text, spreadsheet, JSON, Parquet, SQLite, DuckDB, or a script that makes them."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb

from mcp_servers.base.serving import StartupError
from mcp_servers.sales import rows
from mcp_servers.sales.columns import Reading, readings
from mcp_servers.sales.database import CLOSED, copy_database
from mcp_servers.sales.naming import describe
from mcp_servers.sales.plain import literal, quoted
from mcp_servers.sales.settings import TableSettings
from mcp_servers.sales.text_files import TextTable, text_table

TEXT = {".csv", ".tsv", ".tab", ".txt"}
JSON = {".json", ".jsonl", ".ndjson"}
SHEETS = {".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"}
OTHERS = {".parquet", ".sqlite", ".sqlite3", ".db", ".duckdb", ".ddb"}
SUFFIXES = TEXT | JSON | SHEETS | OTHERS
KINDS = (
    "CSV, TSV, JSON lines, Excel, Parquet, SQLite, DuckDB, an SQL script that makes the data, or a folder of such files"
)
NO_FORMAT = f"it is neither text nor a supported format; give {KINDS}"
BINARY_FILE = "binary"
BINARY = ("BLOB", "BIT")
VIEWS = "views_that_were_made_tables"


@dataclass
class Table:
    """One table before it is loaded. `relation`: the SQL to read it. Columns of text are examined unless `typed`."""

    relation: str
    typed: bool = False
    comment: str = ""
    comments: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)

    def readings(
        self, connection: duckdb.DuckDBPyConnection, settings: TableSettings, file: Path
    ) -> dict[str, Reading]:
        """How to read each column, without those left out."""
        columns = connection.execute(f"DESCRIBE SELECT * FROM {self.relation}").fetchall()  # noqa: S608
        kinds = {str(name): str(kind) for name, kind, *_ in columns if name not in self.left_out}
        binary = [name for name, kind in kinds.items() if kind.startswith(BINARY)]
        self.notes += [f"binary columns left out: {', '.join(binary)}"] if binary else []
        texts = [name for name, kind in kinds.items() if kind == "VARCHAR" and not self.typed]
        examined = readings(connection, self.relation, texts, settings, file) if texts else {}
        return {name: examined.get(name, Reading(quoted(name))) for name in kinds if name not in binary}


@dataclass(frozen=True)
class Found:
    """A table that is there: where, its original name, and how to read it when it is needed."""

    name: str
    read: Callable[[TableSettings, Path], Table]


def tables(connection: duckdb.DuckDBPyConnection, file: Path, settings_file: Path, scratch: Path) -> Iterator[Found]:
    """The tables in the file. Each has to be loaded before the next is asked for. Raises StartupError.

    Files other than the data are made in `scratch`.
    """
    stem = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    suffix = Path(file.name.removesuffix(".gz")).suffix.lower()
    kind = signature(file)
    if kind == "SQLite":
        yield from _sqlite(file)
    elif kind == "DuckDB" or suffix == ".sql":
        yield from _duckdb(connection, file, scratch)
    elif kind == "Parquet":
        yield Found(stem, lambda _, __: Table(f"read_parquet({literal(str(file))})", typed=True))
    elif suffix in SHEETS:
        yield from _sheets(file, stem)
    elif suffix in JSON:
        yield Found(stem, lambda _, __: Table(_json(connection, file)))
    elif kind is None or (kind == BINARY_FILE and suffix in TEXT):
        yield Found(stem, lambda settings, into: _text(connection, file, settings, settings_file, into))
    else:
        raise StartupError(NO_FORMAT)


def signature(file: Path) -> str | None:
    """What the first bytes say it is; None: perhaps text. Raises StartupError if the file is empty."""
    with file.open("rb") as content:
        head = content.read(4096)
    if not head:
        raise StartupError(f"it is empty; give {KINDS}")
    for kind, at, sign in (
        ("SQLite", 0, b"SQLite format 3\0"),
        ("DuckDB", 8, b"DUCK"),
        ("Parquet", 0, b"PAR1"),
        ("a zip archive", 0, b"PK\3\4"),
    ):
        if head[at : at + len(sign)] == sign:
            return kind
    is_text = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b")) or b"\0" not in head
    return None if is_text else BINARY_FILE


def _json(connection: duckdb.DuckDBPyConnection, file: Path) -> str:
    """The SQL that reads JSON: dates as text, of which DuckDB would guess the order of day and month."""
    relation = f"read_json({literal(str(file))}, sample_size = -1"
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation})").fetchall()  # noqa: S608
    kinds = {
        name: re.sub(r"\b(TIMESTAMP( WITH TIME ZONE)?|DATE|TIME)\b", "VARCHAR", kind) for name, kind, *_ in described
    }
    columns = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in kinds.items())
    return f"{relation}, columns = {{{columns}}})"


def _text(
    connection: duckdb.DuckDBPyConnection, file: Path, settings: TableSettings, settings_file: Path, scratch: Path
) -> Table:
    if signature(file) == BINARY_FILE and settings.encoding is None:  # it may be UTF-16 that does not say so
        raise StartupError(NO_FORMAT)
    return _of_text(text_table(connection, file, settings, settings_file, scratch))


def _of_text(found: TextTable) -> Table:
    return Table(found.relation if found.names else "", notes=found.notes, left_out=found.left_out)


def _sheets(file: Path, stem: str) -> Iterator[Found]:
    try:
        found = list(rows.sheets(file))
    except Exception as error:  # the reader's own, and whatever a damaged file leads to
        raise StartupError(f"it is no readable spreadsheet ({error}); save it again as .xlsx or CSV") from error
    for name, cells, told in found:
        yield Found(stem if len(found) == 1 else name, partial(_sheet, cells, told))


def _sheet(cells: Iterator[list[str]], told: list[str], settings: TableSettings, scratch: Path) -> Table:
    return _of_text(rows.sheet_table(cells, told, settings, scratch))


def _sqlite(file: Path) -> Iterator[Found]:
    with closing(rows.opened_sqlite(file)) as database:
        for name in rows.sqlite_tables(database):
            yield Found(name, lambda _, scratch, name=name: _of_text(rows.sqlite_table(database, name, scratch)))  # type: ignore[misc]


def _duckdb(connection: duckdb.DuckDBPyConnection, file: Path, scratch: Path) -> Iterator[Found]:
    """The tables and views of a DuckDB file, or of what a script makes, read from a copy."""
    copy = scratch / "database"
    if signature(file) == "DuckDB":
        copy_database(file, copy)
    with duckdb.connect(str(copy), config=CLOSED) as database:
        if signature(file) is None:
            for statement in duckdb.extract_statements(file.read_text(encoding="utf-8")):
                database.execute(statement)
        broken = _made_tables(database)
    connection.execute(f"ATTACH {literal(str(copy))} AS source (READ_ONLY)")
    try:
        yield from _attached(connection, broken)
    finally:
        connection.execute("DETACH source")
        copy.unlink()


def _made_tables(database: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Make the views of a database tables in the schema VIEWS; those that fail, with the reason."""
    database.execute(f"CREATE SCHEMA {VIEWS}")
    views = "SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal AND NOT temporary"
    broken = {}
    for schema, view, comment in database.execute(views).fetchall():
        made = f"{VIEWS}.{quoted(f'{schema}.{view}')}"
        try:
            database.execute(f"CREATE TABLE {made} AS FROM {quoted(schema)}.{quoted(view)}")
        except duckdb.Error as error:
            broken[view if schema == "main" else f"{schema}.{view}"] = str(error).split("\n")[0]
            continue
        columns = "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?"
        describe(database, f"TABLE {made}", [comment or ""])
        for column, told in database.execute(columns, [schema, view]).fetchall():
            describe(database, f"COLUMN {made}.{quoted(column)}", [told or ""])
    return broken


def _attached(connection: duckdb.DuckDBPyConnection, broken: dict[str, str]) -> Iterator[Found]:
    listed = connection.execute(
        "SELECT schema_name, table_name, coalesce(comment, '') FROM duckdb_tables() "
        "WHERE database_name = 'source' AND NOT internal ORDER BY ALL"
    ).fetchall()
    places = [
        (*(table.split(".", 1) if schema == VIEWS else (schema, table)), schema, table, comment)
        for schema, table, comment in listed
    ]
    shared = Counter(name for _, name, *_ in places)
    for owner, name, schema, table, comment in sorted(places):
        columns = connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = 'source' AND schema_name = ? "
            "AND table_name = ? AND comment IS NOT NULL",
            [schema, table],
        ).fetchall()
        found = Table(f"source.{quoted(schema)}.{quoted(table)}", typed=True, comment=comment, comments=dict(columns))
        wish = name if owner == "main" or shared[name] == 1 else f"{owner}_{name}"
        yield Found(wish, lambda _, __, found=found: found)  # type: ignore[misc]
    for view, reason in broken.items():
        yield Found(view, partial(_refused, reason))


def _refused(reason: str, *_: object) -> Table:
    raise StartupError(reason)
