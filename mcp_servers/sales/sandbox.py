"""Runs the SQL of strangers in a bounded process, and says why when that was stopped."""

import os
import weakref
from pathlib import Path
from typing import Any

from mcp_servers.bounded import Bounded, Died, Engaged
from mcp_servers.sales.sql_guard import Refused

TIME_LIMIT_S = 5.0


class Sandbox:
    """Runs statements one after the other over one database. Thread-safe."""

    def __init__(self, database: Path, time_limit_s: float = TIME_LIMIT_S) -> None:
        """Holds the file open: it may be removed or replaced meanwhile. Raises OSError when it is not there."""
        file = os.open(database, os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        self._time_limit_s = time_limit_s
        self._process = Bounded("mcp_servers.sales.query_worker", f"/dev/fd/{file}", str(time_limit_s), files=[file])

    def run(self, sql: str, max_rows: int) -> dict[str, Any]:
        """`columns`, `rows`, `row_count`. Raises Refused with a message for the writer of the statement."""
        try:
            answer = self._process.ask({"sql": sql, "max_rows": max_rows}, self._time_limit_s)
        except Engaged as others:
            raise Refused("busy: queries of others are running; try again in 1 s, or use another tool") from others
        except Died as end:
            raise Refused(self._reason(end)) from end
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def _reason(self, end: Died) -> str:
        if end.out_of_time:
            return (
                f"stopped after the time limit of {self._time_limit_s:g} seconds; filter earlier, aggregate, or join "
                "on keys instead of combining every row with every other"
            )
        return f"the query stopped the database (code {end.code}), most likely for lack of memory; make it smaller"
