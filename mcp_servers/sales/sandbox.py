"""Keeps one worker process for the SQL of strangers, and starts another when a query has killed it."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp_servers.sales.sql_guard import Refused

TIME_LIMIT_S = 5.0
REPOSITORY = Path(__file__).parents[2]


class Sandbox:
    """Runs statements one after the other over one database. Thread-safe."""

    def __init__(self, database: Path, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._command = [sys.executable, "-m", "mcp_servers.sales.query_worker"]
        self._command += [str(database.resolve()), str(time_limit_s)]
        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[str] | None = None

    def run(self, sql: str, max_rows: int) -> dict[str, Any]:
        """`columns`, `rows`, `row_count`. Raises Refused with a message for the writer of the statement."""
        with self._turn():
            worker = self._started()
            line = _ask(worker, json.dumps({"sql": sql, "max_rows": max_rows}))
            if not line:
                raise Refused(self._cause_of_death(worker))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._time_limit_s):
            raise Refused("busy: queries of others are running; try again in 1 s, or use another tool")
        try:
            yield
        finally:
            self._lock.release()

    def _started(self) -> "subprocess.Popen[str]":
        if self._worker is None:
            self._worker = subprocess.Popen(  # noqa: S603
                self._command, cwd=REPOSITORY, env={}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self._stop = weakref.finalize(self, _stop, self._worker)
        return self._worker

    def _cause_of_death(self, worker: "subprocess.Popen[str]") -> str:
        code = worker.wait()
        self._worker = None
        self._stop()
        if code == -signal.SIGALRM:
            return (
                f"stopped after the time limit of {self._time_limit_s:g} seconds; filter earlier, aggregate, or join "
                "on keys instead of combining every row with every other"
            )
        return f"the query stopped the database (code {code}), most likely for lack of memory; make it smaller"


def _ask(worker: "subprocess.Popen[str]", request: str) -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(f"{request}\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return ""
    return worker.stdout.readline()


def _stop(worker: "subprocess.Popen[str]") -> None:
    worker.kill()
    with contextlib.suppress(BrokenPipeError), worker:  # closes the pipes and waits
        pass
