"""Loads tables of any source into one DuckDB file: names, types, comments and notes are made here and nowhere else."""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mcp_servers.base.serving import StartupError
from mcp_servers.sales import catalog
from mcp_servers.sales.columns import Reading
from mcp_servers.sales.layout import TOTALS
from mcp_servers.sales.naming import Names, describe, original
from mcp_servers.sales.numbers import AMOUNT, CURRENCIES, currency_in
from mcp_servers.sales.plain import literal, quoted
from mcp_servers.sales.settings import Column, DataSettings, TableSettings
from mcp_servers.sales.sources import KINDS, Found

# What a table may hold that makes it unreadable; the others are served.
UNREADABLE = (StartupError, duckdb.Error, sqlite3.Error, UnicodeError, EOFError, zlib.error)
PASSING = (duckdb.IOException, duckdb.OutOfMemoryException, OSError, MemoryError)  # another time it may be read
NUMBERS = ("DECIMAL", "DOUBLE", "FLOAT", "BIGINT", "INTEGER", "HUGEINT")


class Loader:
    """Loads one table after the other, each in a transaction; those that are there already are not loaded again."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: DataSettings, file: Path) -> None:
        """`file`: of the settings, for notes."""
        self._connection = connection
        self._settings = settings
        self._file = file
        self._names = Names(connection)
        # A schema that queries cannot see.
        connection.execute("CREATE SCHEMA IF NOT EXISTS about")
        connection.execute("CREATE TABLE IF NOT EXISTS about.loaded (name VARCHAR, note VARCHAR)")
        self._loaded = {str(name) for (name,) in connection.execute("SELECT name FROM about.loaded").fetchall()}

    def load(self, tables: Iterable[Found], scratch: Path) -> None:
        """Load all tables; one that cannot be read is left out with a note."""
        for found in tables:
            name = self._names.take(found.name, "table")
            if name in self._loaded:
                continue
            with self.leaving_out(found.name), self._connection.cursor() as transaction:
                self._load(transaction, found, name, scratch)

    @contextlib.contextmanager
    def leaving_out(self, name: str) -> Iterator[None]:
        """Note a table or file that cannot be read, instead of ending the load. Raises what may pass."""
        try:
            yield
        except PASSING:
            raise
        except UNREADABLE as error:
            note = reason(error)
        else:
            return
        self._connection.execute("INSERT INTO about.loaded VALUES (?, ?)", [name, note])

    def finish(self) -> None:
        """Check that there are data. Raises StartupError with the reasons why there are none."""
        found = self._connection.execute("SELECT name, note FROM about.loaded").fetchall()
        if unknown := set(self._settings.tables) - {name for name, _ in found}:
            there = ", ".join(name for name, note in found if not note)
            raise StartupError(f"{self._file} has settings for {', '.join(sorted(unknown))}; the tables are {there}")
        if all(note for _, note in found):
            told = [f"{name}: {note}" if len(found) > 1 else str(note) for name, note in found[:3]]
            raise StartupError("; ".join(told) or f"it has no tables; give {KINDS}")

    def _load(self, own: duckdb.DuckDBPyConnection, found: Found, name: str, scratch: Path) -> None:
        """Load a table in a transaction of its own, which ends with the connection."""
        settings = self._settings.table(name)
        table = found.read(settings, scratch)
        readings = table.readings(self._connection, settings, self._file) if table.relation else {}
        if not readings:
            raise StartupError("it has no columns")
        if unknown := set(settings.columns) - set(readings):
            raise StartupError(f"{self._file} names columns that it does not have: {', '.join(sorted(unknown))}")
        columns = _columns(readings, settings, Names(self._connection))
        own.execute("BEGIN")
        listed = ", ".join(f"{each.expression} AS {quoted(each.name)}" for each in columns)
        own.execute(f"CREATE TABLE {quoted(name)} AS SELECT {listed} FROM {table.relation}")  # noqa: S608
        kinds = {str(column): str(kind) for column, kind, *_ in own.execute(f"DESCRIBE {quoted(name)}").fetchall()}
        beside = _currency_column(own, name, kinds)
        about = [
            settings.description,
            table.comment,
            original(found.name, name),
            *table.notes,
            *_totals(own, name, kinds),
        ]
        describe(own, f"TABLE {quoted(name)}", about)
        for each in columns:
            told = settings.columns.get(each.old, Column())
            currency = told.currency or each.currency
            if not currency and kinds[each.name].startswith(NUMBERS):
                currency = currency_in(each.old) or (beside if AMOUNT.search(each.name) else "")
            parts = [
                *(told.description, table.comments.get(each.old, ""), original(each.old, each.name)),
                *([f"currency: {currency}"] if currency else []),
                *each.notes,
            ]
            describe(own, f"COLUMN {quoted(name)}.{quoted(each.name)}", parts)
        catalog.record(own, name)
        own.execute("INSERT INTO about.loaded VALUES (?, '')", [name])
        own.execute("COMMIT")


def _totals(connection: duckdb.DuckDBPyConnection, table: str, kinds: Mapping[str, str]) -> list[str]:
    """A note on rows that look like totals of others."""
    first = next((name for name, kind in kinds.items() if kind == "VARCHAR"), None)
    if first is None:
        return []
    words = ", ".join(map(literal, sorted(TOTALS)))
    looks = f"lower(rtrim(trim({quoted(first)}), ':')) IN ({words})"
    [(count,)] = connection.execute(f"SELECT count(*) FROM {quoted(table)} WHERE {looks}").fetchall()  # noqa: S608
    return [f"{count} rows look like totals, by {first}: do not add them to the others"] if count else []


def _currency_column(connection: duckdb.DuckDBPyConnection, table: str, kinds: Mapping[str, str]) -> str:
    """`in currency` if that column, and no other, has nothing but codes of several currencies."""
    codes = ", ".join(map(literal, CURRENCIES))
    found = []
    for name in (name for name, kind in kinds.items() if kind == "VARCHAR"):
        known = f"count(*) FILTER ({quoted(name)} IN ({codes}))"
        [(several,)] = connection.execute(
            f"SELECT {known} = count({quoted(name)}) AND count(DISTINCT {quoted(name)}) > 1 FROM {quoted(table)}"  # noqa: S608
        ).fetchall()
        found += [name] if several else []
    return f"in {found[0]}" if len(found) == 1 else ""


@dataclass(frozen=True)
class _Column:
    """A column to make: its name, the original one, its expression, currency and notes."""

    name: str
    old: str
    expression: str
    currency: str
    notes: tuple[str, ...]


def _columns(readings: Mapping[str, Reading], settings: TableSettings, names: Names) -> list[_Column]:
    found = []
    for old, reading in readings.items():
        name = names.take(settings.columns.get(old, Column()).name or old, "column")
        if reading.currency_expression:
            beside = names.take(f"{name}_currency", "column")
            found.append(_Column(name, old, reading.expression, f"in {beside}", reading.notes))
            found.append(_Column(beside, beside, reading.currency_expression, "", ()))
        else:
            found.append(_Column(name, old, reading.expression, reading.currency, reading.notes))
    return found


def reason(error: Exception) -> str:
    """Why something cannot be read, in one line, without paths of our own."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error).split("\n")[0]
    return " ".join(words.split())[:300]
