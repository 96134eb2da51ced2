"""Runs untrusted SQL in bounded processes, and explains why one was stopped."""

import os
import weakref
from pathlib import Path
from typing import Any

from mcp_servers.base.bounded import Bounded, Died
from mcp_servers.sales.sql_guard import Refused

TIME_LIMIT_S = 5.0


class Sandbox:
    """Runs statements on one database, each in its own process while it runs; idle processes are reused.

    Thread-safe. The caller limits how many run at once.
    """

    def __init__(self, database: Path, time_limit_s: float = TIME_LIMIT_S) -> None:
        """Keeps the file open, so that it may be removed or replaced. Raises OSError if it does not exist."""
        self._file = os.open(database, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._time_limit_s = time_limit_s
        self._idle: list[Bounded] = []

    def run(self, sql: str, max_rows: int) -> dict[str, Any]:
        """`columns`, `rows`, `row_count`. Raises Refused with a message for the author of the statement."""
        try:
            process = self._idle.pop()
        except IndexError:
            process = self._new()
        asked = {"sql": sql, "max_rows": max_rows}
        try:
            answer = process.ask(asked)
        except Died as end:
            if end.out_of_time or not self._is_removed():
                raise Refused(self._reason(end)) from end
            answer = self._asked_again(process, asked)
        finally:
            self._idle.append(process)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def _asked_again(self, process: Bounded, asked: dict[str, Any]) -> dict[str, Any]:
        """Retry if the file was removed between DuckDB's look-up of its name and opening it: it now has no name, and is
        opened by its descriptor. Raises Refused."""
        try:
            return process.ask(asked)
        except Died as end:
            raise Refused(self._reason(end)) from end

    def _is_removed(self) -> bool:
        return os.fstat(self._file).st_nlink == 0

    def _new(self) -> Bounded:
        file, seconds = f"/dev/fd/{self._file}", str(self._time_limit_s)
        return Bounded("mcp_servers.sales.query_worker", file, seconds, files=[self._file])

    def _reason(self, end: Died) -> str:
        if end.out_of_time:
            return (
                f"stopped after the time limit of {self._time_limit_s:g} seconds; filter earlier, aggregate, or join "
                "on keys instead of combining every row with every other"
            )
        return f"the query crashed the database (code {end.code}), probably out of memory; make it smaller"
