"""Copies a consistent snapshot of what a role may read of a Postgres database into one DuckDB file.

Agents query the copy: their SQL never reaches the production database, and is the same for every source of data.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import psycopg
from psycopg import Cursor, conninfo, sql

from mcp_servers.base.reloading import Progress
from mcp_servers.base.serving import StartupError
from mcp_servers.sales import facts, postgres_catalog, postgres_types, settings, stored
from mcp_servers.sales.columns import Reading
from mcp_servers.sales.database import make
from mcp_servers.sales.loading import Loader
from mcp_servers.sales.plain import literal
from mcp_servers.sales.postgres_catalog import Relation
from mcp_servers.sales.postgres_types import Type
from mcp_servers.sales.settings import TableSettings
from mcp_servers.sales.sources import Found, Table
from mcp_servers.sales.text_files import BUFFER_BYTES, LINE_BYTES
from mcp_servers.sales.warehouse import Warehouse

LOADER = "postgres 2"
MALFORMED = (
    "the URL of the Postgres database is invalid; write postgresql://user:password@host:5432/database, with special "
    "characters in the password percent-encoded (@ is %40)"
)

# If we die, the database ends our statements and our transaction.
SESSION = {
    "statement_timeout": "120s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "search_path": "",
    "synchronize_seqscans": "off",  # a stable order of rows, and so a stable version
}


@dataclass(frozen=True)
class Bounds:
    """Limits of a snapshot: rows and bytes over all tables, and seconds."""

    rows: int = 5_000_000
    bytes: int = 1024 * 1024 * 1024
    seconds: float = 300.0


class Postgres:
    """A source for `reloading.Newest`: everything that the role in the URL may read."""

    settles = False

    def __init__(
        self,
        url: str,
        data_dir: Path,
        time_limit_s: float,
        bounds: Bounds = Bounds(),
        settings_file: Path | None = None,
    ) -> None:
        """`settings_file`: the settings of the data. Raises StartupError if the URL is invalid."""
        self._url = url
        self._settings_file = settings_file
        self._parts = _parts(url)
        self._data_dir = data_dir
        self._time_limit_s = time_limit_s
        self._bounds = bounds

    def state(self) -> object:
        """The database's own counters. Raises StartupError."""
        changed = self._settings_file.stat().st_mtime_ns if self._settings_file else None
        with self._transaction() as rows:
            return changed, postgres_catalog.state(rows)

    def load(self, _: Progress[Warehouse]) -> Warehouse:
        """A snapshot. Raises StartupError: unreachable, nothing to read, too much to read, or the role can write."""
        return stored.opened(self._snapshot, self._time_limit_s)

    def _snapshot(self) -> tuple[Path, str]:
        with TemporaryDirectory(prefix=".own-", dir=stored.folder(self._data_dir)) as scratch:
            with self._transaction() as rows:
                self._refuse_writers(rows)
                found = self._relations(rows)
                copies = _copied(rows, found, Path(scratch), self._bounds)
            version = _version(found, copies, self._settings_file)
            database = stored.path(self._data_dir, version)
            try:
                make(database, partial(self._fill, found, copies, Path(scratch)))
            except (duckdb.Error, OSError) as error:
                raise StartupError(f"cannot store the data of Postgres in {database.parent}: {error}") from error
        return database, version

    def _fill(
        self, found: list[Relation], copies: list[Path], scratch: Path, connection: duckdb.DuckDBPyConnection
    ) -> None:
        read = settings.read(self._settings_file)
        loader = Loader(connection, read, self._settings_file or Path("the settings"))
        loader.load(_tables(found, copies), scratch)
        loader.finish()
        facts.prepare(connection, read)

    def _refuse_writers(self, rows: Cursor[Any]) -> None:
        if what := postgres_catalog.writable(rows):
            raise StartupError(
                f"the role {self._parts.get('user')} of the Postgres database can write to {what}; use one that can "
                "only read (mcp_servers/sales/README.md has the SQL for it)"
            )

    def _relations(self, rows: Cursor[Any]) -> list[Relation]:
        found = [relation for relation in postgres_catalog.relations(rows) if relation.columns]
        if not found:
            raise StartupError(
                f"the role {self._parts.get('user')} of the Postgres database can read no table; GRANT it SELECT"
            )
        return found

    @contextmanager
    def _transaction(self) -> Iterator[Cursor[Any]]:
        """A read-only snapshot transaction. Raises every failure as a StartupError without secrets."""
        try:
            with psycopg.connect(
                self._url,
                connect_timeout=10,
                tcp_user_timeout=30_000,
                application_name="tollgate sales",
                client_encoding="utf8",
                prepare_threshold=None,  # a pooler may use another connection per transaction
            ) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                with connection.cursor() as rows:
                    for name, value in SESSION.items():
                        rows.execute("SELECT set_config(%s, %s, true)", [name, value])
                    yield rows
        except psycopg.Error as error:
            raise StartupError(f"cannot read the Postgres database: {self._without_secrets(error)}") from None

    def _without_secrets(self, error: Exception) -> str:
        text = " ".join(str(error).split())[:400]
        secrets = [str(value) for name, value in self._parts.items() if "password" in name and value]
        for secret in secrets:
            text = text.replace(secret, "[secret]")
        return text


def _parts(url: str) -> dict[str, Any]:
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        raise StartupError(MALFORMED) from None  # its message may quote the password
    # An unencoded @ or / in a password moves parts of it into these, which messages show.
    ports = str(parts.get("port", "")).replace(",", "")
    if any("@" in str(parts.get(name, "")) for name in ("host", "dbname")) or not (ports or "0").isdigit():
        raise StartupError(MALFORMED)
    return parts


def has_password(url: str) -> bool:
    """Whether this URL contains a password. Raises StartupError if it is invalid."""
    return bool(_parts(url).get("password"))


def _copied(rows: Cursor[Any], relations: list[Relation], folder: Path, bounds: Bounds) -> list[Path]:
    """A CSV file per relation. Raises StartupError beyond the bounds."""
    copies, size, count = list[Path](), 0, 0
    until = time.monotonic() + bounds.seconds
    for number, relation in enumerate(relations):
        copies.append(folder / f"{number}.csv")
        with copies[-1].open("wb") as out, rows.copy(_query(relation, bounds.rows - count + 1)) as blocks:
            for block in blocks:
                size += len(block)
                if size > bounds.bytes or time.monotonic() > until:
                    raise _too_much(relation, bounds)
                out.write(block)
        count += rows.rowcount
        if count > bounds.rows:
            raise _too_much(relation, bounds)
    return copies


def _query(relation: Relation, limit: int) -> sql.Composed:
    columns = sql.SQL(", ").join(postgres_types.sent(column.name, column.kind) for column in relation.columns)
    text = "COPY (SELECT {} FROM {} LIMIT {}) TO STDOUT (FORMAT csv, NULL '\\N', FORCE_QUOTE *)"
    return sql.SQL(text).format(columns, sql.Identifier(relation.schema, relation.name), sql.Literal(limit))


def _too_much(relation: Relation, bounds: Bounds) -> StartupError:
    return StartupError(
        f"the Postgres database has more than {bounds.rows:,} rows or {bounds.bytes:,} bytes for this role, or took "
        f"more than {bounds.seconds:g} s (at {relation.schema}.{relation.name}); GRANT the role less, or a view that "
        "selects or aggregates what matters"
    )


def _version(relations: list[Relation], copies: list[Path], settings_file: Path | None) -> str:
    seen = hashlib.sha256(f"{LOADER}{relations}".encode())
    for each in [*copies, *([settings_file] if settings_file else [])]:
        with each.open("rb") as content:
            seen.update(hashlib.file_digest(content, "sha256").digest())
    return f"own-{seen.hexdigest()[:10]}"


def _tables(relations: list[Relation], copies: list[Path]) -> Iterator[Found]:
    shared = [relation.name for relation in relations]
    for relation, copy in zip(relations, copies, strict=True):
        plain = shared.count(relation.name) == 1 or relation.schema == "public"
        table = _Copy(
            relation=_relation(relation, copy),
            comment=relation.comment,
            comments={column.name: column.comment for column in relation.columns},
            notes=[f"left out: {', '.join(relation.left_out)}"] if relation.left_out else [],
            kinds={column.name: column.kind for column in relation.columns},
        )
        yield Found(relation.name if plain else f"{relation.schema}_{relation.name}", lambda _, __, table=table: table)  # type: ignore[misc]


@dataclass
class _Copy(Table):
    """A copied relation: every column is text, and its type is known."""

    kinds: dict[str, Type] = field(default_factory=dict)

    def readings(self, connection: duckdb.DuckDBPyConnection, _: TableSettings, __: Path) -> dict[str, Reading]:
        return {name: postgres_types.read(connection, self.relation, name, kind) for name, kind in self.kinds.items()}


def _relation(relation: Relation, copy: Path) -> str:
    """The SQL that reads the copy as text; null differs from empty."""
    columns = ", ".join(f"{literal(column.name)}: 'VARCHAR'" for column in relation.columns)
    return (
        f"read_csv({literal(str(copy))}, columns = {{{columns}}}, auto_detect = false, header = false, delim = ',', "
        "quote = '\"', escape = '\"', nullstr = '\\N', allow_quoted_nulls = false, "
        f"max_line_size = {LINE_BYTES}, buffer_size = {BUFFER_BYTES}, parallel = false)"
    )
