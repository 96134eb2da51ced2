"""The open database: runs trusted SQL of the prepared tools, and untrusted SQL in a sandbox."""

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_servers.sales.roles import Facts
from mcp_servers.sales.sandbox import TIME_LIMIT_S, Sandbox

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Warehouse:
    """One database, created and opened on first use. Thread-safe; its methods block."""

    def __init__(self, prepare: Callable[[], tuple[Path, str]], time_limit_s: float = TIME_LIMIT_S) -> None:
        """`prepare` returns the path and version of the database; a query may take `time_limit_s` seconds."""
        self._prepare = prepare
        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._spellings: dict[str, dict[str, list[str]]] = {}

    def opened(self) -> "Warehouse":
        """Open the file, which may then be removed, and return self. Raises what `prepare` and opening raise."""
        with self._lock:
            _ = self._connection, self._sandbox
        return self

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a trusted statement."""
        with self._lock:
            connection = self._connection
        with connection.cursor() as cursor:
            return cursor.execute(sql, list(parameters)).fetchall()

    @property
    def sandbox(self) -> Sandbox:
        """Runs untrusted statements."""
        with self._lock:
            return self._sandbox

    def spellings(self, enum: str) -> dict[str, list[str]]:
        """The values of a type, each under what it is with case and space around it ignored."""
        if enum not in self._spellings:
            [(values,)] = self.rows(f"SELECT enum_range(NULL::{enum})")
            found: dict[str, list[str]] = {}
            for value in values:
                found.setdefault(value.strip().casefold(), []).append(value)
            self._spellings[enum] = found
        return self._spellings[enum]

    @cached_property
    def facts(self) -> Facts:
        """What the prepared tools have to know. Only data with roles have it."""
        return Facts.model_validate_json(self.rows("SELECT facts FROM prepared.facts")[0][0])

    @property
    def data_version(self) -> str:
        """A short version that changes when the data change."""
        with self._lock:
            return self._prepared[1]

    @cached_property
    def _prepared(self) -> tuple[Path, str]:
        return self._prepare()

    @cached_property
    def _connection(self) -> "DuckDBPyConnection":
        from mcp_servers.sales.database import open_locked  # noqa: PLC0415

        return open_locked(self._prepared[0], threads=1)  # small statements cost more CPU on several

    @cached_property
    def _sandbox(self) -> Sandbox:
        return Sandbox(self._prepared[0], self._time_limit_s)
