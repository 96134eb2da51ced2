"""Runs the SQL of strangers in bounded processes, and says why when one was stopped."""

import os
import weakref
from pathlib import Path
from typing import Any

from mcp_servers.base.bounded import Bounded, Died
from mcp_servers.sales.sql_guard import Refused

TIME_LIMIT_S = 5.0


class Sandbox:
    """Runs statements over one database: each in a process of its own while it runs, which then waits for the next.

    Thread-safe. How many run at once is up to whoever asks.
    """

    def __init__(self, database: Path, time_limit_s: float = TIME_LIMIT_S) -> None:
        """Holds the file open: it may be removed or replaced meanwhile. Raises OSError when it is not there."""
        self._file = os.open(database, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._time_limit_s = time_limit_s
        self._idle: list[Bounded] = []

    def run(self, sql: str, max_rows: int) -> dict[str, Any]:
        """`columns`, `rows`, `row_count`. Raises Refused with a message for the writer of the statement."""
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
        """DuckDB looks for the name of the file before it opens it. When the file is removed between the two, it is not
        found; from then on it has no name, and is opened by its descriptor. Raises Refused."""
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
        return f"the query stopped the database (code {end.code}), most likely for lack of memory; make it smaller"
